package ciconfig

import (
	"regexp"
	"strings"
)

var evalAssigns = regexp.MustCompile(`(?:^|[\s;&|(])(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=`)

// evalTakes is a text that eval runs which only takes the value of another variable: gives it
// to one, or prints it.
var evalTakes = regexp.MustCompile(`^(?:(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=|(?:echo\s+)?)["']?\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?["']?$`)

// evaluated sets the variables that eval sets: eval IMAGE=\$${NAME}_IMAGE. It forgets those
// that it sets from text which is not followed: eval $SET_TAG, where SET_TAG is "export
// TAG=$(date +%s)".
func (sh *shell) evaluated(c *command) {
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
			*sh.print = union(*sh.print, vals)
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
}

// printsVariables takes what printenv prints for the output of a substitution.
func (sh *shell) printsVariables(c *command) {
	for i := 1; i < len(c.args) && sh.print != nil; i++ {
		if vals, ok := sh.lookup(c.lit(i)); ok {
			*sh.print = union(*sh.print, expanded(vals, c.lit(i), c.argSpan(i), false))
		}
	}
}
