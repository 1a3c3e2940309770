package ciconfig

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// One word of a script may push an image under several moving tags: the turns of a loop,
// the jobs of a matrix or of a template. One tag of the build in their place would be
// pushed by all of them, so each keeps its own and has that of the build behind it, or in
// the place of the branch at its end: $t becomes $t-$CI_COMMIT_SHA. That goes for jobs of
// different branches, too, which may have a commit in common.

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
		tail := meet && !slices.ContainsFunc(list, func(g *movings) bool {
			return g.tailVariable() == "" || g.tailVariable() != list[0].tailVariable()
		})
		for _, g := range list {
			g.kept, g.tail = meet, tail
		}
	}
	spreadKept(cluster)
}

// spreadKept keeps the tags, too, that are written by the same words as kept ones: a matrix
// may push one image under several tags, and another under one of them.
func spreadKept(cluster []*movings) {
	words := map[span]*movings{}
	for more := true; more; {
		more = false
		for _, g := range cluster {
			for _, u := range g.all {
				switch k := words[u.at]; {
				case g.kept && k == nil:
					words[u.at], more = g, true
				case k != nil && !g.kept:
					g.kept, g.tail, more = true, k.tail && g.tailVariable() == k.tailVariable(), true
				case k != nil && k.tail != g.tail:
					k.tail, g.tail, more = false, false, true
				}
			}
		}
	}
}

// tailVariable is the moving variable at the end of a tag, where all uses write it out
// beside what is in front of it.
func (g *movings) tailVariable() string {
	i := strings.LastIndexByte(g.tag, '$')
	if i < 0 || !movingVariables[strings.Trim(g.tag[i:], "${}")] || slices.ContainsFunc(g.all, func(u *use) bool { _, ok := u.tail(); return !ok }) {
		return ""
	}
	return g.tag[i:]
}

// tail is the place of the variable at the end of a use's tag.
func (u *use) tail() (span, bool) {
	f, last := u.ref.f, u.ref.tagEnd-1
	if u.ref.colon < 0 || f.off[last] >= 0 {
		return span{}, false
	}
	at, ok := f.level(last, f.via(u.ref.colon))
	return at, ok && at == f.t[f.piece[last]].at
}

// keptChange is the change c of a whole tag where it is kept: what is written may be a
// variable, for all of the tags.
func (u *use) keptChange(c change, g *movings, with string) change {
	if g.tail {
		at, _ := u.tail()
		return change{span: at, with: with[strings.LastIndexByte(with, '$'):]}
	}
	if c.start == c.end {
		return c // the tag was not written
	}
	return change{span: span{c.src, c.end, c.end}, with: strings.TrimPrefix(with, g.tag)}
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
			if p.by != nil && q.by != nil && p.by.among == q.by.among && p.by.differs(q.by) && p.by.onlyOne() {
				return true
			}
		}
	}
	return false
}

// onlyOne says whether a job takes one of the alternatives alone.
func (c *choice) onlyOne() bool {
	_, row := c.one.(*yaml.Node)
	return !c.turn && (!row || c.byRule())
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
