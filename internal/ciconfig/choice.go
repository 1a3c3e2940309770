package ciconfig

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// choice says of which alternative a value is a part: an entry of parallel:matrix,
// a rule, an include with its inputs, a way through a script. Values of different
// alternatives never come together.
type choice struct {
	among any    // what holds the alternatives: a node, or a turn of a script
	one   any    // the alternative, nil for a value that goes with each
	also  []any  // further ones that have the same value
	name  string // the variable or input
	value *yaml.Node
	turn  bool // one of a loop, which takes all, one after the other
	spare bool // nothing takes the value by itself: an option, a default that is always given
}

// way says whether the alternatives are ways through a script or turns of a loop.
func (c *choice) way() bool {
	_, way := c.among.(*choice)
	return way
}

// byRule says whether the alternative is a rule of a job with variables, of which one counts.
func (c *choice) byRule() bool {
	rule, ok := c.one.(*yaml.Node)
	return ok && child(rule, "variables") != nil
}

// chosen are values as a part of an alternative.
func chosen(vals []text, by *choice) []text {
	if by == nil {
		return vals
	}
	out := make([]text, len(vals))
	for i, v := range vals {
		out[i] = slices.Clone(v)
		for k := range v {
			if v[k].by == nil {
				out[i][k].by = by
			}
		}
	}
	return out
}

// or is the choice of a value that two alternatives have.
func (c *choice) or(d *choice) *choice {
	if c == d || c == nil || d == nil || c.among != d.among || c.name != d.name || c.one == d.one && c.value == d.value {
		return c
	}
	both := *c
	switch {
	case c.one == d.one:
		both.value = nil
	case !c.is(d.one):
		both.also = append(slices.Clip(c.also), d.one)
	}
	return &both
}

// is says whether the value is that of an alternative.
func (c *choice) is(one any) bool { return c.one == one || slices.Contains(c.also, one) }

// differs says whether two values that have alternatives of one kind have none in common.
func (c *choice) differs(d *choice) bool {
	return c.one != nil && d.one != nil && !c.is(d.one) && !slices.ContainsFunc(d.also, c.is)
}

// apart says whether two texts hold values of different alternatives.
func apart(a, b text) bool {
	for i := range a {
		p := a[i].by
		if p == nil {
			continue
		}
		for k := range b {
			if q := b[k].by; q != nil && q != p && q.among == p.among && (p.differs(q) || p.name == q.name && p.value != q.value && p.value != nil && q.value != nil) {
				return true
			}
		}
	}
	return false
}

// together are the pairs of left and right values that may come together.
func together(left, right []text) (pairs [][2]text) {
	for _, keep := range []func(l, r text) bool{func(l, r text) bool { return !apart(l, r) }, func(text, text) bool { return true }} {
		for _, l := range left {
			for _, r := range right {
				if keep(l, r) {
					pairs = append(pairs, [2]text{l, r})
				}
			}
		}
		if len(pairs) > 0 {
			break
		}
	}
	return pairs
}

// spare says whether the use's reference is made of a value that nothing takes by
// itself. It has to follow the others, and no pipeline pushes it.
func (u *use) spare() bool {
	for i := u.ref.start; i < u.ref.end; i++ {
		if by := u.ref.f.t[u.ref.f.piece[i]].by; by != nil && by.spare {
			return true
		}
	}
	return false
}

// conditions tells uses from one another whose reference is made of the same text, but of values
// that not every job with it has: a letter for each such piece.
func (u *use) conditions() string {
	var out []byte
	for i := u.ref.start; i < u.ref.end; i++ {
		k := u.ref.f.piece[i]
		by := u.ref.f.t[k].by
		if by == nil || i > u.ref.start && k == u.ref.f.piece[i-1] {
			continue
		}
		letter := byte('a') // one of an alternative
		switch {
		case by.spare:
			letter = 's'
		case by.turn:
			letter = 't'
		case by.way():
			letter = 'w'
		case by.name == "": // what a variable has, or what stands in for it
			letter = 'o'
		}
		out = append(out, 0, byte(k), letter)
	}
	return string(out)
}

// namesImage is the cheap test whether a scalar may hold an image of the registry.
func (c *config) namesImage(n *yaml.Node) bool {
	return n != nil && n.Kind == yaml.ScalarNode && (strings.Contains(n.Value, "$") || strings.Contains(n.Value, c.in.Project.OldHost))
}

// lacks says whether the name or the tag of a reference is empty, which every tool refuses.
func (ref *reference) lacks() bool {
	s := ref.f.s
	return ref.own && !ref.host && !ref.open && (s[ref.nameEnd-1] == '/' || ref.colon >= 0 && ref.tagEnd == ref.colon+1)
}

// elseComplete says whether a word has another value that is a whole reference, written in the
// same place up to where this one ends: the one that lacks a part is that before a script has
// taken its options.
func (r *run) elseComplete(c *command, i int, lacking *reference) bool {
	at := lacking.nameEnd - 1
	if lacking.f.s[at] != '/' {
		at = lacking.colon
	}
	last, _ := lacking.f.at(at)
	whole := func(ref *reference) bool {
		for _, k := range []int{ref.sep, ref.colon} {
			if k < 0 {
				continue
			}
			if s, _ := ref.f.at(k); s == last {
				return ref.own && !ref.host && !ref.lacks()
			}
		}
		return false
	}
	for k, w := range c.words {
		if w == c.words[i] && k != i && slices.ContainsFunc(r.references(c.args[k]), whole) {
			return true
		}
	}
	return false
}
