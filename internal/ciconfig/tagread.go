package ciconfig

import (
	"regexp"
	"slices"
)

var (
	// asksWhatRuns is a command that says what runs, or what was deployed.
	asksWhatRuns = regexp.MustCompile(`(?is)\b(kubectl|oc)\b.*\bget\b.*image|\bhelm\b.*\bget\b|\bargocd\b.*\bget\b|\b(docker|podman|nomad|crictl)\b.*\b(inspect|ps|images|ls)\b|\b(aws|gcloud|az)\b.*\b(describe[\w-]*|show)\b`)
	// countsOrSums is a command that leaves nothing of what it reads.
	countsOrSums = regexp.MustCompile(`\|\s*(sha\d+sum|md5sum|b2sum|cksum|shasum|wc)\b`)
	// takesApartName is the variable that a string operation takes something of.
	takesApartName = regexp.MustCompile(`\$\{?([A-Za-z_][A-Za-z0-9_]*)`)
)

// tagsRead warns of a tag that a job reads from what runs, for a rollback: the name of the
// image is a part of it there, once what this pipeline builds has been deployed.
func (r *run) tagsRead() {
	asked := map[namedIn]bool{}
	for _, u := range r.uses {
		if u.bad != "" || u.push || u.settled || !u.ref.own || u.ref.host || u.ref.sep < 0 || u.ref.colon < 0 || len(u.changes) == 0 {
			continue
		}
		for i := u.ref.colon + 1; i < u.ref.tagEnd; i++ {
			if p := u.ref.f.t[u.ref.f.piece[i]]; p.hole == unknown && p.at.src != nil && readsWhatRuns(p.at, asked) {
				f := r.reportWhy(Warning, "string-operation", u.place(), u.ref.String(), "")
				f.says("the tag of an image is read from what runs, where the image's name is a part of it once this pipeline has deployed")
				f.Remedy = "take the tag as it is read: $CI_REGISTRY_IMAGE:$TAG"
				break
			}
		}
	}
}

// namedIn is a variable that a file sets.
type namedIn struct {
	src  *source
	name string
}

// readsWhatRuns says whether an expression is the output of a command that says what runs, or
// a part of a variable that the same file gives such an output; asked are those that have been
// looked for.
func readsWhatRuns(at span, asked map[namedIn]bool) bool {
	if asksWhatRuns.MatchString(at.text()) {
		return !countsOrSums.MatchString(at.text())
	}
	for _, m := range takesApartName.FindAllStringSubmatch(at.text(), -1) {
		v := namedIn{at.src, m[1]}
		is, known := asked[v]
		if !known && len(asked) < maxUses {
			set := regexp.MustCompile(`\b` + m[1] + `=["']?\$\([^\n]*`)
			is = slices.ContainsFunc(set.FindAll(at.src.data, -1), func(b []byte) bool { return asksWhatRuns.Match(b) && !countsOrSums.Match(b) })
			asked[v] = is
		}
		if is {
			return true
		}
	}
	return false
}
