package ciconfig

import "strings"

// partOf says whether an image is one of several that a list under the moving
// tag is made of, such as that of one architecture: it cannot stand for the list.
func (r *run) partOf(g *movings, s *use) bool {
	for _, u := range g.all {
		if all := strings.Join(u.lits, " "); u.cmd == nil || !strings.Contains(all, "manifest create") && !strings.Contains(all, "imagetools create") {
			continue
		}
		parts := map[string]bool{}
		for _, v := range r.uses {
			if v.cmd != nil && v.cmd.call == u.cmd.call && v.ref.own && v.flagOf() < 0 && v.ref.String() != u.ref.String() {
				parts[v.ref.String()] = true
			}
		}
		if len(parts) > 1 && parts[s.ref.String()] {
			return true
		}
	}
	return false
}
