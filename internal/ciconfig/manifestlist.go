package ciconfig

import (
	"slices"
	"strings"
)

// partOf says whether an image is one of several that a list under the moving
// tag is made of, such as that of one architecture: it cannot stand for the list.
func (r *run) partOf(g *movings, s *use) bool {
	for _, u := range g.all {
		all := strings.Join(u.lits, " ")
		added := strings.Contains(all, "manifest add")
		if u.cmd == nil || !added && !strings.Contains(all, "manifest create") && !strings.Contains(all, "imagetools create") {
			continue
		}
		parts, words := map[string]bool{}, map[int]bool{} // a word may have several values
		for _, v := range r.uses {
			if v.cmd != nil && v.cmd.call == u.cmd.call && v.ref.own && v.flagOf() < 0 && v.ref.String() != u.ref.String() {
				parts[v.ref.String()], words[v.arg] = true, true
			}
		}
		if (added || len(words) > 1) && parts[s.ref.String()] {
			return true
		}
	}
	return false
}

// pushedAs says whether a list that podman or buildah has under the moving tag is pushed under
// another one, too: podman manifest push B:latest docker://B:$SHA. Without it there is none.
func (r *run) pushedAs(g *movings) bool {
	return slices.ContainsFunc(g.all, func(u *use) bool {
		return !u.push && u.cmd != nil && strings.Contains(u.command, " manifest push") && slices.ContainsFunc(r.uses, func(v *use) bool {
			return v.push && v.cmd != nil && v.cmd.call == u.cmd.call && !slices.Contains(g.all, v)
		})
	})
}
