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

// options follows such a loop once for each argument.
func (sh *shell) options(ch *chunk, c *syntax.WhileClause) bool {
	if !sh.known || c.Until || len(c.Cond) == 0 || len(sh.args) == 0 {
		return false
	}
	from, to := int(c.Cond[0].Pos().Offset()), int(c.Cond[len(c.Cond)-1].End().Offset())
	if cond := ch.text[from:to]; !strings.Contains(cond, "$#") && !strings.Contains(cond, "$1") && !strings.Contains(cond, "${1") {
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
