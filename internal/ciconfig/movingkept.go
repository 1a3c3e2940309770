package ciconfig

import (
	"slices"

	"go.yaml.in/yaml/v3"
)

// One word of a script may push an image under several moving tags: the turns of a loop,
// the jobs of a matrix or of a template. One tag of the build in their place would be
// pushed by all of them, so each keeps its own and has that of the build behind it: $t
// becomes $t-$CI_COMMIT_SHA. That goes for jobs of different branches, too, which may
// have a commit in common.

// keptTags marks the tags of a cluster that have to be told from one another.
func keptTags(cluster []*movings) {
	byName := map[string][]*movings{}
	for _, g := range cluster {
		if len(g.pushes) > 0 {
			byName[g.name] = append(byName[g.name], g)
		}
	}
	for _, list := range byName {
		meet := slices.ContainsFunc(list, func(g *movings) bool {
			return slices.ContainsFunc(list, func(h *movings) bool { return g != h && pushedBeside(g, h) })
		})
		for _, g := range list {
			g.kept = meet
		}
	}
}

// pushedBeside says whether both tags may be pushed for one commit.
func pushedBeside(g, h *movings) bool {
	return slices.ContainsFunc(g.pushes, func(p *use) bool {
		return slices.ContainsFunc(h.pushes, func(q *use) bool { return bothPushed(p, q) })
	})
}

func bothPushed(p, q *use) bool {
	for _, j := range p.jobs() {
		for _, k := range q.jobs() {
			if j != k || !p.excludes(q) {
				return true
			}
		}
	}
	return false
}

// excludes says whether a job pushes one of two tags only: they are on different ways
// through its script, or different rules give them.
func (u *use) excludes(v *use) bool {
	for _, p := range u.tagPieces() {
		for _, q := range v.tagPieces() {
			if p.by != nil && q.by != nil && p.by.among == q.by.among && p.by.one != q.by.one && p.by.onlyOne() {
				return true
			}
		}
	}
	return false
}

// onlyOne says whether a job takes one of the alternatives alone.
func (c *choice) onlyOne() bool {
	if c.turn {
		return false
	}
	rule, ok := c.one.(*yaml.Node)
	return !ok || child(rule, "variables") != nil
}

// tagPieces are the pieces of a use's tag.
func (u *use) tagPieces() []piece {
	var out []piece
	for i := max(u.ref.colon, 0) + 1; i < u.ref.tagEnd; i++ {
		if k := u.ref.f.piece[i]; len(out) == 0 || k != u.ref.f.piece[i-1] {
			out = append(out, u.ref.f.t[k])
		}
	}
	return out
}
