package ciconfig

import (
	"regexp"
	"strings"

	glob "mvdan.cc/sh/v3/pattern"
	"mvdan.cc/sh/v3/syntax"
)

// A script that is called with known arguments takes them one by one in a loop, and
// case says which option each is:
//
//	while [ $# -gt 0 ]; do
//	  case "$1" in
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
	for n := len(sh.args); n > 0; n = len(sh.args) {
		sh.stmts(ch, c.Do)
		if len(sh.args) >= n { // nobody knows how many it takes
			sh.args, sh.known = nil, false
			sh.maybe(func(b *shell) { b.stmts(ch, c.Do) })
		}
	}
	return true
}

// option goes the way that case takes for a known argument, if it is sure. The other
// ways are looked at, too, by somebody who knows no argument.
func (sh *shell) option(ch *chunk, c *syntax.CaseClause, vals []text) bool {
	if !sh.known || len(vals) != 1 || !positional(c.Word) {
		return false
	}
	taken := -1
	for i, it := range c.Items {
		if it.Op != syntax.Break {
			return false
		}
		for _, p := range it.Patterns {
			fits, sure := sh.run.fits(vals[0], p.Lit())
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
	case fixed[:n] != begin[:n]:
		return false, true
	case n == len(fixed) && pat[n:] == "*":
		return true, true
	case !strings.ContainsAny(pat, `*[\`) && len(begin) > len(pat):
		return false, true
	}
	return false, false
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
