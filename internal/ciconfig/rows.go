package ciconfig

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"mvdan.cc/sh/v3/syntax"
)

// Loops are followed once, with the values of all turns. Those of one turn stay
// together: a name and its directory, out of one line.

// turnList are the values of the turns of a loop. A turn may have several, of which one counts.
type turnList struct {
	vals []text
	turn []int // of each
	all  int
}

// add adds the turns that a word stands for, whose values are cut into words.
func (l *turnList) add(word []text, fields func(text) []text) {
	var alternatives [][]text
	for _, v := range word {
		if len(v) > 0 { // an empty word is none
			alternatives = append(alternatives, fields(v))
		}
	}
	l.addEach(alternatives)
}

// addEach adds the turns of one of several lists.
func (l *turnList) addEach(alternatives [][]text) {
	first, turns := l.all, 0
	for _, fields := range alternatives {
		turns = max(turns, len(fields))
	}
	l.all = first + turns
	for i := range turns {
		for _, fields := range alternatives {
			switch n := len(l.vals); {
			case i >= len(fields) || slices.ContainsFunc(l.vals, fields[i].same):
			case n == most:
				l.vals[n-1] = text{{hole: unknown}}
				return
			default:
				l.vals, l.turn = append(l.vals, fields[i]), append(l.turn, first+i)
			}
		}
	}
}

func (l *turnList) values() []text {
	if l.all < 2 {
		return l.vals
	}
	among, out := &choice{}, make([]text, 0, len(l.vals))
	for i := range l.vals {
		by := &choice{among: among, one: l.turn[i], turn: true}
		if i > 0 && l.turn[i-1] == l.turn[i] || i+1 < len(l.turn) && l.turn[i+1] == l.turn[i] {
			by.value = &yaml.Node{} // not beside another one of the turn
		}
		out = append(out, chosen(l.vals[i:i+1], by)...)
	}
	return out
}

// loop follows for.
func (sh *shell) loop(ch *chunk, c *syntax.ForClause) {
	if it, ok := c.Loop.(*syntax.WordIter); ok {
		var list turnList
		if !it.InPos.IsValid() {
			for _, a := range sh.args {
				list.add(a, func(v text) []text { return []text{v} })
			}
		}
		seps := sh.fieldEnds()
		for _, w := range it.Items {
			list.add(sh.word(ch, w), func(v text) []text { return sh.fields(ch, w, v, seps) })
		}
		vals := list.values()
		for i, v := range vals {
			if s, ok := v.literal(); ok && strings.ContainsAny(s, "*?{") {
				sh.run.recordWide(sh, s)
				vals[i] = text{{hole: it.Name.Value, at: ch.span(int(it.Pos().Offset()), int(it.End().Offset()))}}
			}
		}
		sh.set(it.Name.Value, vals)
	}
	sh.maybe(func(b *shell) { b.stmts(ch, c.Do) })
}

// readsLines says whether a statement is a loop that reads its input line by line.
func readsLines(s *syntax.Stmt) bool {
	c, ok := s.Cmd.(*syntax.WhileClause)
	return ok && len(c.Cond) == 1 && isRead(c.Cond[0])
}

func isRead(s *syntax.Stmt) bool {
	switch c := s.Cmd.(type) {
	case *syntax.CallExpr:
		return len(c.Args) > 0 && c.Args[0].Lit() == "read" && len(s.Redirs) == 0
	case *syntax.BinaryCmd: // read line || [ -n "$line" ]
		return isRead(c.X)
	}
	return false
}

// readsWhole says whether a statement is a read that is given its input.
func readsWhole(s *syntax.Stmt) bool {
	c, ok := s.Cmd.(*syntax.CallExpr)
	return ok && len(c.Args) > 0 && c.Args[0].Lit() == "read"
}

// isReader says whether a command sets variables, or an array, out of what it reads.
func isReader(c *syntax.CallExpr) bool {
	return len(c.Args) > 0 && slices.Contains([]string{"read", "mapfile", "readarray"}, c.Args[0].Lit())
}

// processOf is the process substitution that a statement has for its input: read name < <(…).
func processOf(r *syntax.Redirect) *syntax.ProcSubst {
	if r.Op != syntax.RdrIn || r.Word == nil || len(r.Word.Parts) != 1 {
		return nil
	}
	p, ok := r.Word.Parts[0].(*syntax.ProcSubst)
	if !ok || p.Op != syntax.CmdIn {
		return nil
	}
	return p
}

// readsOutput gives a loop, or a command, that reads lines those which commands print, where
// all of that is known.
func (sh *shell) readsOutput(ch *chunk, s *syntax.Stmt, r *syntax.Redirect) bool {
	p := processOf(r)
	call, isCall := s.Cmd.(*syntax.CallExpr)
	if p == nil || !readsLines(s) && !(isCall && isReader(call)) {
		return false
	}
	if prints := sh.outputOf(p.Stmts, 0); prints.unknown || prints.joined || !prints.known {
		return false
	}
	b := sh.clone()
	var printed []text
	b.print, b.target, b.piped = &printed, "", false
	b.stmts(ch, p.Stmts)
	if len(printed) == 0 {
		return false
	}
	if sh.lines = turnsOf(printed, "\n", true); readsWhole(s) {
		sh.lines = printed[0].cut("\n", longest)[:1]
	}
	return true
}

// turnsOf are the turns of a loop that reads the lines, or the words, of one of several texts;
// or of all of them, which commands print one after the other.
func turnsOf(vals []text, seps string, all bool) []text {
	var list turnList
	var parts [][]text
	for _, v := range vals {
		parts = append(parts, v.cut(seps, longest))
		if all {
			list.addEach(parts)
			parts = nil
		}
	}
	list.addEach(parts)
	return list.values()
}

// read sets the variables of read, from a here-string, from the lines that the loop is
// given, or from what nobody knows.
func (sh *shell) read(c *command) {
	lines, names := sh.lines, []string(nil)
	sh.lines = nil // what is read inside of the loop are the lines behind
	if c.input != nil {
		lines = nil
		for _, v := range c.input {
			lines = union(lines, v.cut("\n", longest)[:1])
		}
	}
	seps, ok := sh.separators()
	array := c.lit(0) != "read"
	for i := 1; i < len(c.args); i++ {
		switch n := c.lit(i); {
		case array && n == "-d" && i+1 < len(c.args):
			i++
			seps, lines = c.lit(i), c.input
		case strings.HasPrefix(n, "-") && !array && strings.ContainsAny(n, "dnN"): // other ends than that of a line
			ok = false
		case isName.MatchString(n):
			names = append(names, n)
		}
		array = array || strings.HasPrefix(c.lit(i), "-") && strings.Contains(c.lit(i), "a")
	}
	if strings.ContainsAny(seps, partEnds) {
		sh.taken(lines, c.at)
	}
	if !ok {
		lines = nil
	}
	if array && len(names) == 1 {
		sh.readArray(c, names[0], lines, seps)
		return
	}
	for k, n := range names {
		var vals []text
		for _, l := range lines {
			switch words := l.cut(seps, len(names)); {
			case k < len(words):
				vals = union(vals, []text{unsplit(words[k])})
			case slices.ContainsFunc(l, func(p piece) bool { return p.hole != "" && !strings.HasPrefix(p.hole, "CI_") }):
				vals = union(vals, []text{{piece{hole: n, at: c.at}}}) // it may hold several words
			default:
				vals = union(vals, []text{{}})
			}
		}
		if vals == nil {
			vals = []text{{piece{hole: n}}}
		}
		sh.vars = sh.vars.with(n, vals)
	}
}

// readArray sets the array of read -a and of mapfile: each word, or line, is an element.
func (sh *shell) readArray(c *command, name string, lines []text, seps string) {
	if c.lit(0) != "read" && strings.Trim(seps, blanks) == "" {
		seps = "\n"
	}
	var vals []text
	for _, l := range lines {
		if sh.run.mentions(l) && strings.ContainsAny(seps, partEnds) {
			vals = nil // parts of an image
			break
		}
		vals = union(vals, l.cut(seps, longest))
	}
	for i := range vals {
		vals[i] = unsplit(vals[i])
	}
	sh.set(name, vals)
}

// partEnds are the characters between the parts of an image, in its old form or its new one.
const partEnds = "/:@-"

// fieldEnds are the characters at which the shell cuts unquoted expansions.
func (sh *shell) fieldEnds() string {
	if _, set := sh.vars.get("IFS"); !set {
		return blanks
	}
	if seps, ok := sh.separators(); ok && seps != " \t\n" {
		return seps
	}
	return blanks
}

// fields are the words into which the shell cuts a value of a word. Parts of an image fit
// only as long as its form stays.
func (sh *shell) fields(ch *chunk, w *syntax.Word, v text, seps string) []text {
	if strings.ContainsAny(seps, partEnds) && v.splits(seps) && sh.run.mentions(v) {
		at := ch.span(int(w.Pos().Offset()), int(w.End().Offset()))
		return sh.operated([]text{v}, unknown, at, false)
	}
	return v.fields(seps)
}

// separators are the characters between the words of a line, of IFS; ok is false where
// nobody knows them.
func (sh *shell) separators() (seps string, ok bool) {
	vals, set := sh.vars.get("IFS")
	if !set {
		return " \t\n", true
	}
	if len(vals) != 1 {
		return "", false
	}
	seps, ok = vals[0].literal()
	return strings.NewReplacer(`\n`, "\n", `\t`, "\t").Replace(seps), ok
}

// keepRead takes over what a read has set that had variables of its own before it:
// IFS=: read name dir.
func (sh *shell) keepRead(scope *shell, c *syntax.CallExpr) {
	if c.Args[0].Lit() != "read" {
		return
	}
	vars := scope.vars
	for _, a := range c.Assigns {
		if a.Name == nil {
			continue
		}
		if was, ok := sh.vars.get(a.Name.Value); ok {
			vars = vars.with(a.Name.Value, was)
		} else {
			vars = vars.without(a.Name.Value)
		}
	}
	sh.vars, sh.lines = vars, scope.lines
}

// cut is a text cut at separators into at most n words, the last of which keeps the
// rest. White space counts once, other separators each for itself.
// https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html#tag_19_06_05
func (t text) cut(seps string, n int) []text {
	var out []text
	var word text
	begun := false
	for _, p := range t {
		if p.hole != "" {
			word, begun = append(word, p), true
			continue
		}
		start := 0
		for i := 0; i < len(p.text); i++ {
			c := p.text[i]
			white := c == ' ' || c == '\t' || c == '\n'
			if strings.IndexByte(seps, c) < 0 || len(out) == n-1 && (begun || !white) {
				begun = true
				continue
			}
			if i > start {
				word = append(word, p.slice(start, i))
			}
			start = i + 1
			if begun || !white {
				out, word, begun = append(out, word), nil, false
			}
		}
		if start < len(p.text) {
			word = append(word, p.slice(start, len(p.text)))
		}
	}
	if begun || len(out) == 0 {
		out = append(out, word)
	}
	if k := len(out) - 1; len(out[k]) > 0 && strings.ContainsRune(seps, ' ') {
		if last := &out[k][len(out[k])-1]; last.hole == "" {
			*last = last.slice(0, len(strings.TrimRight(last.text, " \t\n")))
		}
	}
	return out
}
