package ciconfig

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// word gives the values of a shell word.
func (sh *shell) word(ch *chunk, w *syntax.Word) []text {
	vals, shared := sh.values(ch, w)
	if shared {
		return slices.Clone(vals)
	}
	return vals
}

// values gives the values of a shell word, to be looked at only where others have them, too.
func (sh *shell) values(ch *chunk, w *syntax.Word) (vals []text, shared bool) {
	if w == nil {
		return nil, false
	}
	if vals, ok := ch.literals[w]; ok {
		return vals, true
	}
	if ch.recipe || !isLiteral(w.Parts) || strings.Contains(ch.text[w.Pos().Offset():w.End().Offset()], "$[[") {
		return sh.parts(ch, w.Parts, false, false), false
	}
	vals = sh.parts(ch, w.Parts, false, false)
	if ch.literals == nil {
		ch.literals = map[*syntax.Word][]text{}
	}
	ch.literals[w] = vals
	return vals, true
}

// isLiteral says whether parts of a word mean the same wherever they are evaluated.
func isLiteral(parts []syntax.WordPart) bool {
	for _, p := range parts {
		switch p := p.(type) {
		case *syntax.Lit, *syntax.SglQuoted:
		case *syntax.DblQuoted:
			if !isLiteral(p.Parts) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

func (sh *shell) parts(ch *chunk, parts []syntax.WordPart, raw, quoted bool) []text {
	if len(parts) == 1 {
		return sh.part(ch, parts[0], raw, quoted)
	}
	out := strand{make(text, 0, len(parts))}
	for _, p := range parts {
		out = out.with(sh.part(ch, p, raw, quoted)...)
	}
	return out
}

// part gives the values of a part of a word.
func (sh *shell) part(ch *chunk, p syntax.WordPart, raw, quoted bool) []text {
	from, to := int(p.Pos().Offset()), int(p.End().Offset())
	switch p := p.(type) {
	case *syntax.Lit:
		if strings.HasPrefix(ch.text[from:to], p.Value) { // the parser counts the end mark of a here-document in
			to = from + len(p.Value)
		}
		vals := sh.interpolated(ch, from, to, false)
		if !raw {
			for i := range vals {
				vals[i] = unescape(vals[i], quoted)
			}
		}
		return vals
	case *syntax.SglQuoted:
		start := int(p.Left.Offset()) + 1
		if p.Dollar {
			start++
		}
		if ch.recipe {
			return sh.quoted(ch, start, int(p.Right.Offset()))
		}
		vals := sh.interpolated(ch, start, int(p.Right.Offset()), false)
		for _, t := range vals {
			for i := range t {
				t[i].single = true
			}
		}
		return vals
	case *syntax.DblQuoted:
		return sh.parts(ch, p.Parts, raw, true)
	case *syntax.ParamExp:
		return sh.param(ch, p, !quoted)
	case *syntax.CmdSubst:
		return sh.substitution(ch, p, !quoted)
	case *syntax.ProcSubst:
		b := sh.clone()
		if p.Op == syntax.CmdIn && !sources.MatchString(ch.text[max(0, from-20):from]) { // what it prints goes to the command
			b.piped, b.print, b.target = true, nil, ""
		}
		b.stmts(ch, p.Stmts)
	}
	return []text{{{hole: unknown, at: ch.span(from, to)}}}
}

// sources is the text before what a shell takes over: its variables are followed (sourcesOutput).
var sources = regexp.MustCompile(`(^|[\s;&|({])(source|\.)\s+$`)

// unescape drops the backslashes of the shell. A backslash may be a piece of its own,
// where YAML has escaped it.
func unescape(t text, quoted bool) text {
	if !t.has('\\') {
		return t
	}
	var out text
	var last *piece // ends with a backslash of which it is not known yet what it escapes
	for _, p := range t {
		start, i := 0, 0
		if last != nil && p.text != "" {
			if quoted && !strings.ContainsRune(escapable, rune(p.text[0])) {
				out = append(out, *last)
			} else if p.text[0] == '\n' {
				start = 1
			}
			i, last = 1, nil
		}
		for ; i < len(p.text); i++ {
			if p.text[i] != '\\' {
				continue
			}
			if i+1 == len(p.text) {
				if i > start {
					out = append(out, p.slice(start, i))
				}
				b := p.slice(i, i+1)
				last, start = &b, i+1
				break
			}
			next := p.text[i+1]
			if quoted && !strings.ContainsRune(escapable, rune(next)) {
				i++
				continue
			}
			if i > start {
				out = append(out, p.slice(start, i))
			}
			if next == '\n' {
				start = i + 2
			} else {
				start = i + 1
			}
			i++
		}
		if start < len(p.text) {
			out = append(out, p.slice(start, len(p.text)))
		}
	}
	if last != nil {
		out = append(out, *last)
	}
	return out
}

// escapable is what a backslash escapes between double quotes.
const escapable = "$`\"\\\n"

// param gives the values of a parameter expansion.
func (sh *shell) param(ch *chunk, p *syntax.ParamExp, split bool) []text {
	if from, to := int(p.Pos().Offset()), int(p.End().Offset()); strings.HasPrefix(ch.text[from:to], "$[[") {
		return sh.interpolated(ch, from, to, split)
	}
	at := ch.span(int(p.Pos().Offset()), int(p.End().Offset()))
	if p.Excl {
		return sh.indirect(p, at, split)
	}
	if p.Param == nil || p.Length || p.Width {
		return lone(piece{hole: unknown, at: at, split: split})
	}
	name := p.Param.Value
	vals, ok := sh.lookup(name)
	switch {
	case p.Slice != nil && shortCommit(vals, name, p.Slice) != "":
		return expanded(nil, shortCommit(vals, name, p.Slice), at, split)
	case p.Repl != nil && ofSlashes(p.Repl) && unslashed(vals, name):
		return expanded(vals, name, at, split)
	case p.Slice != nil || p.Repl != nil || p.Names != 0:
		return sh.operated(vals, name, at, split)
	case p.Exp == nil:
		if one := sh.joined(p, vals, at); one != nil && !split {
			vals = one
		}
		return expanded(vals, name, at, split)
	}
	var word []text
	void := p.Exp.Op == syntax.AlternateUnsetOrNull && !empty(vals) && slices.ContainsFunc(vals, func(v text) bool { return len(v) == 0 })
	if void && p.Exp.Word != nil { // where it is empty, nothing is put in
		b := sh.clone()
		b.vars = b.vars.with(name, slices.DeleteFunc(slices.Clone(vals), func(v text) bool { return len(v) == 0 }))
		word = b.word(ch, p.Exp.Word)
	} else if p.Exp.Word != nil {
		word = sh.word(ch, p.Exp.Word)
	}
	for i := range word {
		word[i] = word[i].through(at, split)
	}
	if word == nil {
		word = []text{{}}
	}
	switch p.Exp.Op {
	case syntax.DefaultUnset, syntax.DefaultUnsetOrNull:
		return sh.defaulted(p, vals, ok, word, at, split)
	case syntax.AssignUnset, syntax.AssignUnsetOrNull: // : "${NAME:=value}"
		out := sh.defaulted(p, vals, ok, word, at, split)
		if isName.MatchString(name) && !predefined(name) && (!ok || empty(vals) || len(out) > len(vals)) {
			given := slices.Clone(out)
			for i := range given {
				given[i] = unsplit(given[i])
			}
			sh.set(name, given)
			sh.run.assignment(sh, name, given, at)
		}
		return out
	case syntax.AlternateUnset, syntax.AlternateUnsetOrNull:
		if void {
			return union(word, []text{{}})
		}
		if predefined(name) || ok && !empty(vals) {
			return word
		}
		if ok && p.Exp.Op == syntax.AlternateUnsetOrNull && !slices.ContainsFunc(vals, text.uncertain) {
			return []text{{}} // it is set to nothing
		}
		return union(word, []text{{}})
	case syntax.ErrorUnset, syntax.ErrorUnsetOrNull:
		return expanded(vals, name, at, split)
	case syntax.LowerAll:
		return expanded(lowered(vals), name, at, split)
	case syntax.LowerFirst:
		if predefined(name) {
			return expanded(vals, name, at, split)
		}
	case syntax.RemSmallSuffix, syntax.RemLargeSuffix:
		if s, plain := word[0].literal(); plain && s == "/" && predefined(name) && !ok {
			return expanded(vals, name, at, split) // it ends with none
		} else if v := withoutSlash(vals); plain && s == "/" && v != nil {
			return expanded(v, name, at, split)
		} else if plain && s == ":*" {
			if v := sh.untagged(vals, at); v != nil {
				return expanded(v, name, at, split)
			}
		}
	case syntax.RemSmallPrefix, syntax.RemLargePrefix:
		if s, plain := word[0].literal(); plain && s == "*:" {
			if v := sh.justTags(vals, at); v != nil {
				return expanded(v, name, at, split)
			}
		}
	}
	if v := sh.shortened(vals, p.Exp.Op, word); v != nil {
		return expanded(v, name, at, split)
	}
	return sh.operated(vals, name, at, split)
}

// defaulted are the values of a variable with a default, or one that the expansion gives it.
func (sh *shell) defaulted(p *syntax.ParamExp, vals []text, ok bool, word []text, at span, split bool) []text {
	name := p.Param.Value
	if predefined(name) && (!ok || slices.ContainsFunc(vals, text.uncertain)) {
		return expanded(nil, name, at, split)
	}
	if ok && !empty(vals) {
		if p.Exp.Op != syntax.DefaultUnset && p.Exp.Op != syntax.AssignUnset && (slices.ContainsFunc(vals, text.mayBeEmpty) || sh.perhapsHanded(name)) {
			return union(expanded(vals, name, at, split), insteadOf(vals, word))
		}
		out := expanded(vals, name, at, split)
		for _, w := range word { // for use by hand, say: it has to stay what the pipeline gives
			if sh.run.mentions(w) && slices.ContainsFunc(vals, func(v text) bool { return v.String() == w.String() }) {
				out = union(out, []text{w})
			}
		}
		return out
	}
	if sh.known && len(name) == 1 && name[0] >= '1' && name[0] <= '9' {
		return word // called without this argument
	}
	if strings.HasPrefix(name, "CI_") {
		return union(expanded(nil, name, at, split), word)
	}
	return union(word, expanded(vals, name, at, split))
}

func empty(vals []text) bool {
	for _, v := range vals {
		if len(v) > 0 {
			return false
		}
	}
	return true
}

// operated is a value after a string operation such as ${name%:*}: nobody
// knows what is left of it, but whether it held an image name matters.
func (sh *shell) operated(vals []text, name string, at span, split bool) []text {
	if predefined(name) && vals == nil {
		vals = []text{{piece{hole: name, at: at}}}
	}
	at.src.mark(at.start, vals)
	cut, colon := false, false
	for _, v := range vals {
		colon = colon || slices.ContainsFunc(v, func(p piece) bool { return strings.Contains(p.text, ":") })
		cut = cut || slices.ContainsFunc(v, func(p piece) bool { return p.cut })
		if sh.run.mentions(v) {
			sh.run.operations = append(sh.run.operations, operation{at: at, value: v})
			cut = true
		}
	}
	return []text{{piece{hole: unknown, at: at, split: split, cut: cut, colon: colon}}}
}

// shortCommit is the beginning of the commit as a variable, where a slice is that.
func shortCommit(vals []text, name string, s *syntax.Slice) string {
	from, begins := s.Offset.(*syntax.Word)
	length, ends := s.Length.(*syntax.Word)
	if !ends || s.Offset != nil && (!begins || from.Lit() != "0") {
		return ""
	}
	return ofCommit(vals, name, length.Lit())
}

// ofCommit are so many characters of the commit as a variable, where a value is that: eight of
// them are $CI_COMMIT_SHORT_SHA.
func ofCommit(vals []text, name, length string) string {
	if len(vals) == 1 && len(vals[0]) == 1 {
		name = vals[0][0].hole
	} else if len(vals) > 0 {
		return ""
	}
	if name != "CI_COMMIT_SHA" && name != "CI_BUILD_REF" {
		return ""
	}
	switch n, err := strconv.Atoi(length); {
	case err != nil || n < 7:
		return ""
	case n == 8:
		return "CI_COMMIT_SHORT_SHA"
	}
	return name + ":0:" + length
}

// ofSlashes says whether a replacement puts something else in place of slashes, as those in the
// name of a branch: ${CI_COMMIT_REF_NAME//\//-}.
func ofSlashes(r *syntax.Replace) bool {
	if r.Orig == nil {
		return false
	}
	l := r.Orig.Lit()
	return l == `\/` || l == "/"
}

// unslashed says whether values are the same without slashes, or no more than a branch's or a
// git tag's name in a form that a tag may have: they have none but in such a name.
func unslashed(vals []text, name string) bool {
	if vals == nil {
		return slashedRef.MatchString(name)
	}
	for _, v := range vals {
		if slices.ContainsFunc(v, func(p piece) bool {
			return strings.Contains(p.text, "/") || p.hole != "" && !slashedRef.MatchString(p.hole)
		}) {
			return false
		}
	}
	return true
}

// slashedRef are variables with no slash but in the name of a branch or a git tag.
var slashedRef = regexp.MustCompile(`^CI_(COMMIT_(SHA|SHORT_SHA|REF_NAME|REF_SLUG|BRANCH|TAG)|PIPELINE_I?ID|JOB_ID)$`)

// substitution follows $(...) and keeps what echo prints there.
func (sh *shell) substitution(ch *chunk, c *syntax.CmdSubst, split bool) []text {
	at := ch.span(int(c.Pos().Offset()), int(c.End().Offset()))
	if vals := sh.filtered(ch, c); vals != nil {
		return expanded(vals, unknown, at, split)
	}
	if vals := sh.wordsOf(ch, c); len(vals) > 0 {
		return expanded(vals, unknown, at, split)
	}
	b := sh.clone()
	b.target = ""
	var printed []text
	prints := sh.outputOf(c.Stmts, 0)
	b.print = nil
	if prints.known {
		b.print, b.since = &printed, len(sh.arms)
	}
	before := len(sh.run.operations)
	b.stmts(ch, c.Stmts)
	switch {
	case prints.joined:
		return sh.operated(printed, unknown, at, split)
	case len(printed) > 0 && prints.unknown:
		return append(expanded(printed, unknown, at, split), text{{hole: unknown, at: at, split: split}})
	}
	out := expanded(printed, unknown, at, split)
	if len(printed) == 0 && len(sh.run.operations) > before {
		out[0][0].cut, out[0][0].rebuilt = true, true
	}
	return out
}
