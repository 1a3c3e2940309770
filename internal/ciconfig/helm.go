package ciconfig

import "strings"

// repository handles a use that wants the bare repository, with no tag beside it.
func (r *run) repository(u *use) {
	if u.lits == nil {
		if strings.HasPrefix(u.command, "input") {
			return
		}
		u.bad = "tag-elsewhere"
		return
	}
	all := strings.Join(u.lits, " ")
	switch {
	case strings.Contains(all, "--cache-repo") && strings.Contains(u.lits[max(u.arg-1, 0)]+u.lits[u.arg], "--cache-repo"):
		return // a cache needs no tag
	case strings.Contains(u.lits[u.arg], "push-by-digest=true"):
		return // the digest is the name
	case pushesAllTags(u.lits):
		u.bad = "all-tags"
	case strings.Contains(all, "list-tags"), strings.Contains(all, "tag ls"), u.lits[0] == "crane":
		u.bad = "registry-cleanup"
	default:
		u.bad = "tag-elsewhere"
	}
}

// flagPairs looks at a repository that a flag of helm sets, and the tag that another
// sets beside it, as the one reference that the chart makes of them: the name goes
// before the tag. A digest needs none. It says whether there is such a tag or digest.
//
//	--set image.repository=$B/api --set image.tag=$T     ->  =$B and =api-$T
//	--set a.repository=$API,a.tag=$T                     ->  =$B and =api-$T
//	--set a.repository=$B/api,a.digest=$D                ->  =$B and =$D
func (r *run) flagPairs(u *use) bool {
	if u.lits[0] != "helm" || u.ref.colon >= 0 || u.ref.digest >= 0 {
		return false
	}
	key := keyBefore(u.ref.f.s[:u.ref.start])
	image, h := key[:strings.LastIndexByte(key, '.')+1], r.helms[len(r.helms)-1]
	if tags := h.tags[image+"tag"]; len(tags) > 0 {
		return r.addPairs(u, tags)
	}
	return r.addPairs(u, h.digests[image+"digest"]) // it names an image by itself
}

// keyBefore is the key of key=value that stands directly before the value.
func keyBefore(s string) string {
	s, ok := strings.CutSuffix(s, "=")
	if !ok {
		return ""
	}
	return s[strings.LastIndexAny(s, ",= ")+1:]
}
