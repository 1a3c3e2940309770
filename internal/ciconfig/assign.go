package ciconfig

import (
	"regexp"

	"mvdan.cc/sh/v3/syntax"
)

// The ways to give a shell variable its value beside NAME=value.

// given takes over NAME=value that stands before a command: env IMAGE=x make.
func (sh *shell) given(c *command, i int) {
	name, value, ok := assigned(c.args[i])
	if !ok {
		return
	}
	vals := []text{value}
	if c.alt[i] > 0 {
		before, _ := sh.vars.get(name)
		vals = union(before, vals)
	}
	sh.set(name, vals)
	sh.run.assignment(sh, name, vals, c.argSpan(i))
}

var isName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// keysOf is under which name the keys of an associative array are kept.
func keysOf(array string) string { return "!" + array }

func (sh *shell) keys(array string) []text {
	vals, _ := sh.vars.get(keysOf(array))
	return vals
}

// indirect is the value of the variable that another one names: ${!NAME}.
func (sh *shell) indirect(p *syntax.ParamExp, at span, split bool) []text {
	hole := expanded(nil, unknown, at, split)
	if p.Param != nil && p.Index != nil { // ${!ARRAY[@]}
		if keys := sh.keys(p.Param.Value); len(keys) > 0 {
			return expanded(keys, p.Param.Value, at, split)
		}
	}
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
