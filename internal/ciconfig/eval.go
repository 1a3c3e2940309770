package ciconfig

import (
	"regexp"
	"slices"
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
	var lines []text
	for _, v := range printed {
		for _, line := range v.cut("\n;", longest) {
			if line = trimmed(line).without("export "); len(line) > 0 {
				lines = append(lines, line)
			}
		}
	}
	return sh.setsAll(lines, at)
}

// setsAll gives variables the values of words NAME=value, and says whether there are any.
func (sh *shell) setsAll(words []text, at span) bool {
	given := map[string][]text{}
	for _, w := range words {
		if name, value, ok := assigned(w.joinedName()); ok {
			given[name] = union(given[name], []text{value.unquoted()})
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

// joinedName is a text in one piece up to an equals sign, where it begins with a name that was
// put together: IMAGE_$name=$CI_REGISTRY_IMAGE/$name.
func (t text) joinedName() text {
	name := ""
	for i, p := range t {
		if p.hole != "" {
			return t
		}
		before, _, ok := strings.Cut(p.text, "=")
		if !ok {
			name += p.text
			continue
		}
		if i == 0 || !isName.MatchString(name+before) {
			return t
		}
		return append(text{{text: name + before + "="}, p.slice(len(before)+1, len(p.text))}, t[i+1:]...)
	}
	return t
}

// refers says whether a declaration gives a variable the name of another one: local -n image=$1.
// https://www.gnu.org/software/bash/manual/html_node/Shell-Parameters.html
func refers(c *syntax.DeclClause) bool {
	return c.Variant.Value != "export" && slices.ContainsFunc(c.Args, func(a *syntax.Assign) bool {
		return a.Naked && a.Value != nil && strings.HasPrefix(a.Value.Lit(), "-") && strings.Contains(a.Value.Lit(), "n")
	})
}

// refer gives such a variable the values of those that it names.
func (sh *shell) refer(a *syntax.Assign) {
	if a.Name == nil || a.Value == nil {
		return
	}
	var vals []text
	named, _ := sh.vars.get(a.Name.Value)
	for _, n := range named {
		name, _ := n.literal()
		v, _ := sh.lookup(name)
		vals = union(vals, v)
	}
	sh.set(a.Name.Value, vals)
}
