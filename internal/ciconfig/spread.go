package ciconfig

import (
	"regexp"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// The elements of a shell array are the values of one word, as a loop takes them. A command
// gets all of them, each as a word of its own: "${OPTIONS[@]}" may bring the --push.

// isArray says whether a word is all elements of an array.
func isArray(w *syntax.Word) bool {
	p := onlyParam(w)
	if p == nil || p.Index == nil {
		return false
	}
	all, ok := p.Index.(*syntax.Word)
	return ok && (all.Lit() == "@" || all.Lit() == "*")
}

// joined is what "${ARRAY[*]}" and "$*" stand for where IFS is set to something else than
// space: one word, with the first character of it between the elements, or nothing where it is
// empty. It is nil for all else. Where it stands between several of them, no single one can be
// another character: there it is written by the expansion.
// https://www.gnu.org/software/bash/manual/html_node/Special-Parameters.html
func (sh *shell) joined(p *syntax.ParamExp, elements []text, at span) []text {
	all, _ := p.Index.(*syntax.Word)
	if p.Param.Value != "*" && (all == nil || all.Lit() != "*") || len(elements) < 2 {
		return nil
	}
	ifs, _ := sh.vars.get("IFS")
	var between text
	switch {
	case len(ifs) != 1 || len(ifs[0]) > 0 && strings.TrimSpace(ifs[0][0].text) == "":
		return nil
	case len(ifs[0]) > 0 && len(elements) > 2:
		between = text{{text: ifs[0][0].text[:1], at: at}}
	case len(ifs[0]) > 0:
		between = text{ifs[0][0].slice(0, 1)}
	}
	out := strand{slices.Clip(elements[0])}
	for _, e := range elements[1:] {
		out = out.with(between).with(e)
	}
	return out
}

// isArguments says whether a word is all arguments of a function or a script, each as a word
// of its own.
func isArguments(w *syntax.Word) bool {
	p := onlyParam(w)
	return p != nil && p.Param != nil && p.Param.Value == "@" && p.Exp == nil && p.Slice == nil && p.Repl == nil && p.Index == nil && !p.Length
}

// onlyParam is the parameter that is all of a word, nil for none.
func onlyParam(w *syntax.Word) *syntax.ParamExp {
	parts := w.Parts
	if len(parts) == 1 {
		if q, ok := parts[0].(*syntax.DblQuoted); ok {
			parts = q.Parts
		}
	}
	if len(parts) != 1 {
		return nil
	}
	p, _ := parts[0].(*syntax.ParamExp)
	return p
}

// addArguments appends what "$@" stands for: a field for each argument, once for each of the
// values that they may have together.
func (c *command) addArguments(args [][]text, w *syntax.Word) {
	var words [][][]text
	for _, a := range args {
		var values [][]text
		for _, v := range a {
			values = append(values, []text{v})
		}
		if values != nil {
			words = append(words, values)
		}
	}
	start := len(c.lits)
	for k, fields := range combined(words) {
		for n, f := range fields {
			c.add(f, w, start, k, n)
		}
	}
}

// spread is the command as it runs, with the elements of its arrays and with the value that
// an argument belongs to, and the place of the argument in it. ok is false where it has no
// arrays, and view shows it as well.
func (c *command) spread(i int) (lits []string, at int, ok bool) {
	if c.arrays == nil {
		is := slices.ContainsFunc(c.words, isArray)
		c.arrays = &is
	}
	if !*c.arrays {
		return nil, 0, false
	}
	flag := ""
	for k, w := range c.words {
		array := isArray(w)
		if !array && c.alt[k] != 0 && w != c.words[i] || !array && w == c.words[i] && c.alt[k] != c.alt[i] {
			continue
		}
		l := c.lit(k)
		if k == 0 || c.words[k-1] != w {
			flag = ""
		}
		if array && !strings.HasPrefix(l, "-") { // a flag is one value, however often it is there
			switch {
			case givesVariable.MatchString(l):
				lits = append(lits, "--build-arg")
			case flag != "" && lits[len(lits)-1] != flag:
				lits = append(lits, flag)
			}
		} else if array && !strings.Contains(l, "=") {
			flag = l
		}
		if k == i {
			at = len(lits)
		}
		lits = append(lits, l)
	}
	return lits, at, true
}

// givesVariable is a value for a build's argument or the environment.
var givesVariable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`)
