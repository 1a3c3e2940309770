package ciconfig

import (
	"regexp"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// The ways to give a shell variable its value beside NAME=value.

// given takes over NAME=value that stands before a command: env IMAGE=x make.
func (sh *shell) given(c *command, i int) {
	v := c.args[i]
	if len(v) == 0 {
		return
	}
	name, _, ok := strings.Cut(v[0].text, "=")
	if !ok || !isName.MatchString(name) {
		return
	}
	value := text{}
	if n := len(name) + 1; n < len(v[0].text) {
		value = append(value, v[0].slice(n, len(v[0].text)))
	}
	value = append(value, v[1:]...)
	vals := []text{value}
	if c.alt[i] > 0 {
		before, _ := sh.vars.get(name)
		vals = union(before, vals)
	}
	sh.set(name, vals)
	sh.run.assignment(sh, name, vals, c.argSpan(i))
}

var isName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// read sets the variables of read, from a here-string or from what nobody knows.
func (sh *shell) read(c *command) {
	var names []string
	for i := 1; i < len(c.args); i++ {
		if n := c.lit(i); isName.MatchString(n) {
			names = append(names, n)
		}
	}
	for k, n := range names {
		var vals []text
		for _, v := range c.input {
			list := []text{v}
			if len(names) > 1 {
				list = fieldsOf(v)
			}
			switch {
			case k >= len(list):
				vals = union(vals, []text{{}})
			case k+1 == len(names) && len(list) > len(names):
				vals = union(vals, []text{{piece{hole: n, at: c.at}}})
			default:
				vals = union(vals, []text{unsplit(list[k])})
			}
		}
		if vals == nil {
			vals = []text{{piece{hole: n}}}
		}
		sh.vars = sh.vars.with(n, vals)
	}
}

// fieldsOf is a text split at its white space.
func fieldsOf(t text) []text {
	out := make(text, len(t))
	for i, p := range t {
		p.split = true
		out[i] = p
	}
	return out.fields()
}

// readsWhole says whether a statement is a read that takes no more apart than the
// words of a line.
func readsWhole(s *syntax.Stmt) bool {
	c, ok := s.Cmd.(*syntax.CallExpr)
	return ok && len(c.Assigns) == 0 && len(c.Args) > 0 && c.Args[0].Lit() == "read"
}

// indirect is the value of the variable that another one names: ${!NAME}.
func (sh *shell) indirect(p *syntax.ParamExp, at span, split bool) []text {
	hole := expanded(nil, unknown, at, split)
	if p.Param == nil || p.Names != 0 || p.Index != nil || p.Exp != nil || p.Slice != nil || p.Repl != nil {
		return hole
	}
	named, _ := sh.lookup(p.Param.Value)
	var out []text
	for _, n := range named {
		name, ok := n.literal()
		vals, known := sh.lookup(name)
		if !ok || !known && !predefined(name) {
			return hole
		}
		out = union(out, expanded(vals, name, at, split))
	}
	if out == nil {
		return hole
	}
	return out
}
