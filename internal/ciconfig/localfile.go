package ciconfig

import (
	"regexp"
	"strings"
)

// localDefault is an expansion with the name of another registry for the case
// that nobody sets the variable.
var localDefault = regexp.MustCompile(`^\$\{[A-Za-z_][A-Za-z0-9_]*:?-[^${}]*[./][^${}]*\}$`)

// onlyWhereSet is an expansion that is empty where nobody sets the variable:
// ${CI_REGISTRY_IMAGE:+$CI_REGISTRY_IMAGE/}.
var onlyWhereSet = regexp.MustCompile(`^\$\{[A-Za-z_][A-Za-z0-9_]*:?\+`)

// localFiles leaves alone what serves developers: a file that no job is seen to
// read, whose images are named by a variable with another registry as its
// default, or by one that may be missing. In a pipeline the variable happens to
// hold the own registry; on a developer's machine the name without it counts.
func (r *run) localFiles() {
	if r.composes {
		return
	}
	for _, u := range r.uses {
		if !u.document || !u.ref.own || u.ref.sep < 0 || u.settled {
			continue
		}
		outer := u.ref.f.t[u.ref.f.piece[u.ref.start]].outer().text()
		if onlyWhereSet.MatchString(outer) || localDefault.MatchString(outer) && !strings.HasPrefix(outer, "${CI_") && !strings.Contains(outer, r.in.Project.OldHost) {
			u.bad = "local-file"
		}
	}
}
