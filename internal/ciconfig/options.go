package ciconfig

import (
	"regexp"
	"slices"
	"strings"

	glob "mvdan.cc/sh/v3/pattern"
	"mvdan.cc/sh/v3/syntax"
)

// A script that is called with known arguments takes them one by one in a loop, and
// case says which option each is:
//
//	while [ $# -gt 0 ]; do
//	  case "$1" in    (or of a variable that holds it)
//	    --image=*) IMAGE="${1#*=}" ;;
//	  esac
//	  shift
//	done
//
// or lets getopts do so.

// options follows such a loop once for each argument.
func (sh *shell) options(ch *chunk, c *syntax.WhileClause) bool {
	if call := getoptsOf(c); call != nil && sh.known && len(sh.args) > 0 {
		sh.getopts(ch, call, c.Do)
		return true
	}
	if !sh.known || c.Until || len(c.Cond) == 0 || len(sh.args) == 0 {
		return false
	}
	if !takesArguments(ch, c) {
		return false
	}
	sh.taking = true
	defer func() { sh.taking = false }()
	for n := len(sh.args); n > 0; n = len(sh.args) {
		sh.stmts(ch, c.Do)
		if len(sh.args) >= n { // nobody knows how many it takes
			sh.args, sh.known = nil, false
			sh.maybe(func(b *shell) { b.stmts(ch, c.Do) })
		}
	}
	return true
}

// takesArguments says whether a loop takes the arguments of its script.
func takesArguments(ch *chunk, c *syntax.WhileClause) bool {
	if len(c.Cond) == 0 {
		return false
	}
	cond := ch.text[c.Cond[0].Pos().Offset():c.Cond[len(c.Cond)-1].End().Offset()]
	return getoptsOf(c) != nil || strings.Contains(cond, "$#") || strings.Contains(cond, "$1") || strings.Contains(cond, "${1")
}

// getoptsOf is the call in the condition of such a loop: while getopts r:t: option; do.
func getoptsOf(c *syntax.WhileClause) *syntax.CallExpr {
	if c.Until || len(c.Cond) != 1 {
		return nil
	}
	call, ok := c.Cond[0].Cmd.(*syntax.CallExpr)
	if !ok || len(call.Args) < 3 || call.Args[0].Lit() != "getopts" || !isName.MatchString(call.Args[2].Lit()) {
		return nil
	}
	return call
}

// getopts follows the loop once for each option among the arguments. Where nobody knows
// which they are, each may be the value of any.
func (sh *shell) getopts(ch *chunk, call *syntax.CallExpr, do []*syntax.Stmt) {
	spec, name := plainWord(call.Args[1]), call.Args[2].Lit()
	sh.taking = true
	defer func() { sh.taking = false }()
	sh.optind = 0
	for sh.optind < len(sh.args) {
		vals := sh.args[sh.optind]
		begin, whole, same := sh.run.beginnings(vals)
		switch {
		case !same || spec == "" || len(call.Args) > 3 || begin == "-" && !whole || begin == "" && !noDash.MatchString(holeOf(vals[0])):
			var all []text
			for _, a := range sh.args {
				for _, v := range a {
					if begin, _ := sh.run.beginning(v); strings.HasPrefix(begin, "-") {
						v = v.after(1 + optionLetters(begin, spec))
					}
					if len(v) > 0 {
						all = union(all, []text{v})
					}
				}
			}
			sh.vars = sh.vars.with("OPTARG", all).without(name)
			sh.maybe(func(b *shell) {
				b.args, b.known = nil, false
				b.stmts(ch, do)
			})
			sh.args, sh.known = nil, false
			return
		case begin == "--":
			sh.optind++
			return
		case len(begin) < 2 || begin[0] != '-':
			return
		}
		sh.optind++
		for i := 1; i < len(begin); i++ {
			given := []text{{}}
			takes := strings.Contains(spec, begin[i:i+1]+":")
			switch {
			case takes && (i+1 < len(begin) || !whole):
				given = nil
				for _, v := range vals {
					given = union(given, []text{v.after(i + 1)})
				}
			case takes && sh.optind < len(sh.args):
				given = sh.args[sh.optind]
				sh.optind++
			}
			sh.vars = sh.vars.with(name, []text{{{text: begin[i : i+1]}}}).with("OPTARG", given)
			sh.stmts(ch, do)
			if takes {
				break
			}
		}
	}
}

// optionLetters is how many letters of options stand behind the dash of an argument: up to
// the first that takes the rest for its value.
func optionLetters(begin, spec string) int {
	for i := 1; i < len(begin); i++ {
		if strings.Contains(spec, begin[i:i+1]+":") {
			return i
		}
	}
	return len(begin) - 1
}

// holeOf is the variable that a text begins with.
func holeOf(t text) string {
	if len(t) == 0 {
		return ""
	}
	return t[0].hole
}

// option goes the way that case takes for a known argument, if it is sure for all that it
// may be. The other ways are looked at, too, by somebody who knows no argument.
func (sh *shell) option(ch *chunk, c *syntax.CaseClause, vals []text) bool {
	if !sh.known || len(vals) == 0 || !positional(c.Word) && !(sh.taking && variableOf(c.Word) != "") { // key="$1"
		return false
	}
	taken := -1
	for i, it := range c.Items {
		if it.Op != syntax.Break {
			return false
		}
		for _, p := range it.Patterns {
			fits, sure := sh.run.fits(vals[0], p.Lit())
			for _, v := range vals[1:] {
				also, certain := sh.run.fits(v, p.Lit())
				sure = sure && certain && also == fits
			}
			if !sure && taken < 0 {
				return false
			}
			if fits && taken < 0 {
				taken = i
			}
		}
	}
	for i, it := range c.Items {
		if i != taken {
			other := sh.clone()
			other.args, other.known = nil, false
			other.vars = other.vars.without("OPTARG")
			other.stmts(ch, it.Stmts)
		}
	}
	if taken >= 0 {
		sh.stmts(ch, c.Items[taken].Stmts)
	}
	return true
}

// filling goes the way that if takes in such a loop where it asks which variables have
// their arguments already: if [ -z "$TAG" ]; then TAG="$1"; elif [ -z "$DIR" ]; ...
func (sh *shell) filling(ch *chunk, c *syntax.IfClause) bool {
	if !sh.taking || !sh.known {
		return false
	}
	taken := c
	for ; taken != nil && len(taken.Cond) > 0; taken = taken.Else {
		holds, sure := sh.emptiness(taken.Cond)
		if !sure {
			return false
		}
		if holds {
			break
		}
	}
	for ; c != nil; c = c.Else {
		other := sh.clone()
		other.stmts(ch, c.Cond)
		if c != taken {
			other.args, other.known = nil, false
			other.stmts(ch, c.Then)
		}
	}
	if taken != nil {
		sh.stmts(ch, taken.Then)
	}
	return true
}

// emptiness says whether a condition that asks whether a variable is empty holds, and
// whether that is sure. What is not known of a value is taken for something.
func (sh *shell) emptiness(cond []*syntax.Stmt) (holds, sure bool) {
	if len(cond) != 1 || cond[0].Negated {
		return false, false
	}
	var word *syntax.Word
	empty := true
	switch c := cond[0].Cmd.(type) {
	case *syntax.CallExpr:
		name := ""
		if len(c.Args) > 2 {
			name = c.Args[0].Lit()
		}
		if name != "[" && name != "test" {
			return false, false
		}
		word, empty = c.Args[2], c.Args[1].Lit() == "-z"
		if !empty && c.Args[1].Lit() != "-n" || len(c.Args) > 4 || len(c.Args) == 4 && c.Args[3].Lit() != "]" {
			return false, false
		}
	case *syntax.TestClause:
		x, ok := c.X.(*syntax.UnaryTest)
		if !ok || x.Op != syntax.TsEmpStr && x.Op != syntax.TsNempStr {
			return false, false
		}
		w, ok := x.X.(*syntax.Word)
		if !ok {
			return false, false
		}
		word, empty = w, x.Op == syntax.TsEmpStr
	}
	name := variableOf(word)
	if name == "" {
		return false, false
	}
	vals, ok := sh.lookup(name)
	full := slices.ContainsFunc(vals, func(v text) bool { return len(v) > 0 })
	if ok && full && slices.ContainsFunc(vals, func(v text) bool { return len(v) == 0 }) {
		return false, false
	}
	return full != empty, true
}

// variableOf is the variable that a word is, "$NAME" or "${NAME:-}", if it is one.
func variableOf(w *syntax.Word) string {
	if w == nil || len(w.Parts) != 1 {
		return ""
	}
	part := w.Parts[0]
	if q, ok := part.(*syntax.DblQuoted); ok && len(q.Parts) == 1 {
		part = q.Parts[0]
	}
	p, ok := part.(*syntax.ParamExp)
	if !ok || p.Param == nil || p.Slice != nil || p.Repl != nil || p.Length || p.Excl || p.Index != nil || p.Exp != nil && p.Exp.Word != nil {
		return ""
	}
	return p.Param.Value
}

// positional says whether a word is an argument of the script: "$1".
func positional(w *syntax.Word) bool {
	if w == nil || len(w.Parts) != 1 {
		return false
	}
	part := w.Parts[0]
	if q, ok := part.(*syntax.DblQuoted); ok && len(q.Parts) == 1 {
		part = q.Parts[0]
	}
	p, ok := part.(*syntax.ParamExp)
	return ok && p.Param != nil && len(p.Param.Value) == 1 && p.Param.Value[0] >= '1' && p.Param.Value[0] <= '9' && p.Exp == nil && p.Slice == nil && p.Repl == nil && !p.Length && !p.Excl
}

// fits says whether a text fits a pattern, and whether that is sure whatever becomes of
// the image names in it.
func (r *run) fits(t text, pat string) (fits, sure bool) {
	if pat == "*" {
		return true, true
	}
	expr, err := glob.Regexp(pat, glob.EntireString)
	if pat == "" || err != nil {
		return false, false
	}
	begin, whole := r.beginning(t)
	if whole {
		re, err := regexp.Compile(expr)
		return err == nil && re.MatchString(begin), err == nil
	}
	fixed, special := pat, strings.IndexAny(pat, `*?[\`)
	if special >= 0 {
		fixed = pat[:special]
	}
	n := min(len(fixed), len(begin))
	switch {
	case fixed[:n] != begin[:n], begin == "" && pat[0] == '-' && noDash.MatchString(t[0].hole):
		return false, true
	case n == len(fixed) && pat[n:] == "*":
		return true, true
	case !strings.ContainsAny(pat, `*[\`) && len(begin) > len(pat):
		return false, true
	}
	return false, false
}

// noDash are variables whose values do not begin with a dash, as an option does; none is
// the written name of a registry.
var noDash = regexp.MustCompile(`^(CI_REGISTRY|CI_REGISTRY_IMAGE|CI_PROJECT_(DIR|NAME|PATH)|CI_COMMIT_(SHORT_)?SHA|CI_COMMIT_REF_SLUG|CI_PIPELINE_I?ID)?$`)

// beginnings is the beginning of values, if it is the same for all.
func (r *run) beginnings(vals []text) (begin string, whole, same bool) {
	for i, v := range vals {
		b, w := r.beginning(v)
		if i > 0 && (b != begin || w != whole) {
			return "", false, false
		}
		begin, whole = b, w
	}
	return begin, whole, len(vals) > 0
}

// beginning is what is written out of a text before an image name or anything that is
// not known, and whether that is all.
func (r *run) beginning(t text) (begin string, whole bool) {
	var b strings.Builder
	for _, p := range t {
		if p.hole != "" {
			return b.String(), false
		}
		if i := strings.Index(p.text, r.in.Project.OldHost); i >= 0 {
			b.WriteString(p.text[:i])
			return b.String(), false
		}
		b.WriteString(p.text)
	}
	return b.String(), true
}
