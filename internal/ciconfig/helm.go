package ciconfig

import "strings"

// repository handles a use that wants the bare repository: the name has gone,
// so the tag that is named beside it gets the prefix.
//
//	--set image.repository=$B/api --set image.tag=$T     ->  =$B and =api-$T
//	--set a.repository=$API,a.tag=$T                     ->  =$B and =api-$T
func (r *run) repository(u *use, prefix string) {
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
		r.pair(u, prefix)
	}
}

// pair finds the tag that belongs to a repository=... argument.
func (r *run) pair(u *use, prefix string) {
	u.bad = "tag-elsewhere"
	key := keyBefore(u.ref.f.s[:u.ref.start])
	dot := strings.LastIndexByte(key, '.')
	stem := key[:dot+1]
	found := false
	for i := range u.cmd.args {
		f := r.flatten(u.cmd.args[i])
		for at := 0; at < len(f.s); {
			k := strings.Index(f.s[at:], stem+"tag=")
			if k < 0 {
				break
			}
			k += at
			at = k + len(stem) + len("tag=")
			if k > 0 && f.s[k-1] != ',' && f.s[k-1] != '=' && f.s[k-1] != ' ' {
				continue
			}
			s, ok := f.at(at - 1)
			if !ok || len(f.via(at-1)) > 0 {
				return
			}
			found = true
			u.bad = ""
			u.change(change{span: span{s.src, s.end, s.end}, with: prefix + "-"})
		}
	}
	if !found {
		u.bad = "tag-elsewhere"
	}
}

// keyBefore is the key of key=value that stands directly before the value.
func keyBefore(s string) string {
	s, ok := strings.CutSuffix(s, "=")
	if !ok {
		return ""
	}
	return s[strings.LastIndexAny(s, ",= ")+1:]
}
