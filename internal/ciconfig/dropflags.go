package ciconfig

import (
	"slices"
	"strings"
)

// Flags that a drop takes out of a command or of a variable's value, and elements of lists.

// listed takes an element out of a list of tags, at most one of each: all that the
// element stands for has to go.
func (c *cutting) listed(u *use, in map[*use]bool) {
	ch := change{span: u.element}
	for _, v := range c.run.usesAt(u.at) {
		c.bad = c.bad || v.ref.own && !in[v]
	}
	for _, other := range c.flags {
		c.bad = c.bad || other != ch && other.src == ch.src && other.start <= ch.end && ch.start <= other.end
	}
	c.take(ch)
}

// take takes out a flag or an element, once.
func (c *cutting) take(ch change) {
	if !c.taken[ch.span] {
		c.taken[ch.span] = true
		c.flags = append(c.flags, ch)
	}
}

// flag takes out --cache-from X, -t X and the like; false when the use is what
// the whole command is about.
func (c *cutting) flag(u *use) bool {
	first := u.flagOf()
	if first < 0 {
		return false
	}
	if names(u.lits[first]) && others(u.lits, first) == 0 {
		if singlePurpose(u.lits) {
			return false
		}
		c.bad = true
	}
	a, b := slices.Index(u.cmd.pos, first-1), slices.Index(u.cmd.pos, first)
	if a < 0 || b < 0 || u.cmd.words[a] == u.cmd.words[b] {
		c.bad = true
		return true
	}
	before, at := u.cmd.argSpan(a), u.at
	ch := change{span: span{at.src, before.end, at.end}}
	if before.src != at.src || before.end > at.start {
		c.bad = true
		return true
	}
	c.take(ch)
	return true
}

// flagOf is the place in lits where the flag stands that names the use, or -1.
func (u *use) flagOf() int {
	name, _, joined := strings.Cut(u.lits[u.arg], "=")
	switch prev := u.lits[max(u.arg-1, 0)]; {
	case joined && (name == "-d" && u.lits[0] == "executor" || name == "--cache-from" || name == "--cache-to" || name == "--tag" || name == "--destination"):
		return u.arg
	case prev == "--cache-from" || prev == "--cache-to" || prev == "-t" || prev == "--tag" || prev == "--destination", prev == "-d" && u.lits[0] == "executor":
		return u.arg - 1
	}
	return -1
}

// insideVariable is where a flag and its image are written together in the
// value of a variable: LATEST="--tag $B/api:latest". fine says that other names
// are left to the command.
func (c *cutting) insideVariable(u *use) (s span, fine bool) {
	first := u.flagOf()
	if first < 0 || u.cmd.nth[u.index] < u.arg-first {
		return span{}, false
	}
	flag, last := u.cmd.args[u.index-(u.arg-first)][0], u.cmd.args[u.index]
	chain := flag.via
	if len(chain) == 0 || !flag.exact() || !above(chain, last[len(last)-1].via) {
		return span{}, false
	}
	end := last[len(last)-1]
	to := end.at
	if len(end.via) > len(chain) {
		to = end.via[len(chain)]
	}
	from := flag.at
	if from.src != to.src || from.start >= to.end || !from.src.editable || strings.ContainsAny(span{from.src, from.start, to.end}.text(), "\"'\\\n") {
		return span{}, false
	}
	s = span{from.src, from.start, to.end}
	data := from.src.data
	switch {
	case s.start > 0 && data[s.start-1] == ' ':
		s.start--
	case s.end < len(data) && data[s.end] == ' ':
		s.end++
	}
	return s, !names(u.lits[first]) || others(u.lits, first) > 0
}

// madeOf says whether a part of the use's reference is written in s, or
// expanded there.
func (u *use) madeOf(s span) bool {
	for i := u.ref.start; i < u.ref.end; i++ {
		p := u.ref.f.t[u.ref.f.piece[i]]
		if at, ok := u.ref.f.at(i); ok && at.within(s) || p.hole != "" && p.at.within(s) {
			return true
		}
		if slices.ContainsFunc(p.via, func(v span) bool { return v.within(s) }) {
			return true
		}
	}
	return false
}

// names says whether a flag names what a build produces.
func names(l string) bool {
	return l == "-t" || l == "--tag" || l == "--destination" || strings.HasPrefix(l, "--tag=") || strings.HasPrefix(l, "--destination=")
}

// others counts the names of a build beside the one at first.
func others(lits []string, first int) int {
	n := 0
	for i, l := range lits {
		if i != first && names(l) {
			n++
		}
	}
	return n
}
