package ciconfig

import (
	"regexp"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

var evalAssigns = regexp.MustCompile(`(?:^|[\s;&|(])(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=`)

// evalTakes is a text that eval runs which only takes the value of another variable: gives it
// to one, or prints it.
var evalTakes = regexp.MustCompile(`^(?:(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=|(?:echo\s+)?)["']?\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?["']?$`)

// evaluated sets the variables that eval sets: eval IMAGE=\$${NAME}_IMAGE. It forgets those
// that it sets from text which is not followed: eval $SET_TAG, where SET_TAG is "export
// TAG=$(date +%s)". It says whether that is all it does: eval "$(./variables.sh)".
func (sh *shell) evaluated(c *command) bool {
	if sh.evaluatesOutput(c) {
		return true
	}
	var all strings.Builder
	taken := map[string][]text{}
	for i := 1; i < len(c.args); i++ {
		all.WriteString(c.lit(i) + " ")
		m := evalTakes.FindStringSubmatch(c.lit(i))
		if m == nil {
			continue
		}
		vals, ok := sh.lookup(m[2])
		if _, written := c.args[i].literal(); !written || !ok {
			continue
		}
		vals = expanded(vals, m[2], c.argSpan(i), false)
		switch prints := c.lit(1) == "echo" || strings.HasPrefix(c.lit(i), "echo"); {
		case m[1] != "":
			taken[m[1]] = union(taken[m[1]], vals)
		case prints && sh.print != nil:
			sh.prints(vals)
		}
	}
	for _, m := range evalAssigns.FindAllStringSubmatch(all.String(), -1) {
		switch vals := taken[m[1]]; {
		case predefined(m[1]):
		case vals != nil:
			sh.set(m[1], vals)
		default:
			sh.set(m[1], []text{{piece{hole: unknown, at: c.at}}})
		}
	}
	return false
}

// evaluatesOutput sets the variables of an eval of what commands print, where nothing else is
// seen in that.
func (sh *shell) evaluatesOutput(c *command) bool {
	var printed []text
	for i := 1; i < len(c.args); i++ {
		if !isSubstitution(c.words[i]) {
			return false
		}
		printed = append(printed, c.args[i])
	}
	return sh.setsPrinted(printed, c.at)
}

// setsPrinted gives variables what printed lines give them, NAME=value or export NAME=value,
// and says whether there are such lines.
func (sh *shell) setsPrinted(printed []text, at span) bool {
	given := map[string][]text{}
	for _, v := range printed {
		for _, line := range v.cut("\n;", longest) {
			if name, value, ok := assigned(trimmed(line).without("export ")); ok {
				given[name] = union(given[name], []text{value.unquoted()})
			}
		}
	}
	for _, name := range sortedKeys(given) {
		sh.set(name, given[name])
		sh.run.assignment(sh, name, given[name], at)
	}
	return len(given) > 0
}

// isSubstitution says whether a word is what commands print, and nothing else.
func isSubstitution(w *syntax.Word) bool {
	parts := w.Parts
	if len(parts) == 1 {
		if q, ok := parts[0].(*syntax.DblQuoted); ok {
			parts = q.Parts
		}
	}
	if len(parts) != 1 {
		return false
	}
	_, ok := parts[0].(*syntax.CmdSubst)
	return ok
}

// printsVariables takes what printenv prints for the output of a substitution.
func (sh *shell) printsVariables(c *command) {
	for i := 1; i < len(c.args) && sh.print != nil; i++ {
		if vals, ok := sh.lookup(c.lit(i)); ok {
			sh.prints(expanded(vals, c.lit(i), c.argSpan(i), false))
		}
	}
}
