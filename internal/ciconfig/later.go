package ciconfig

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// Text in single quotes, behind backslashes or in a quoted here-document is not
// expanded where it is written. Whoever reads it puts the variables in: another
// shell, envsubst, compose. The names in it have to follow the variables' values.

// laterVariable is an expansion that stands in such a text.
var laterVariable = regexp.MustCompile(`\$([A-Za-z_][A-Za-z0-9_]*)|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::?[-=?][^{}$]*)?\}|\$\([^()]*\)`)

// later is an evaluated text with the variables put in that its reader will find
// in it. It is nil where there are none.
func (sh *shell) later(t text) []text {
	if !t.has('$') {
		return nil
	}
	out := strand{{}}
	for _, p := range t {
		last := 0
		for _, m := range laterVariable.FindAllStringSubmatchIndex(p.text, -1) {
			if m[0] > last {
				out = out.with(text{p.slice(last, m[0])})
			}
			last = m[1]
			at, name := p.slice(m[0], m[1]).at, unknown
			if m[2] >= 0 || m[4] >= 0 {
				name = p.text[max(m[2], m[4]):max(m[3], m[5])]
			}
			vals, _ := sh.lookup(name)
			put := expanded(vals, name, at, false)
			for i := range put {
				for k := len(p.via) - 1; k >= 0; k-- {
					put[i] = put[i].through(p.via[k], false)
				}
			}
			out = out.with(put...)
		}
		switch {
		case last == 0:
			out = out.with(text{p})
		case last < len(p.text):
			out = out.with(text{p.slice(last, len(p.text))})
		}
	}
	return out
}

// laterUses records the references that come out of a text only where it is
// read. Others in it are recorded where it is written.
func (r *run) laterUses(sh *shell, t text, at span) {
	for _, v := range sh.later(t) {
		for _, ref := range r.references(v) {
			first := v[ref.f.piece[ref.start]]
			if slices.ContainsFunc(t, func(p piece) bool { return p.at == first.at && slices.Equal(p.via, first.via) }) {
				continue
			}
			r.add(&use{ref: ref, at: at, command: "text", role: laterRole(ref), shell: true, expands: true})
		}
	}
}

// laterRole is the role of a reference in a text that something reads: an image
// of a manifest, a name that is complete, or one that nobody knows.
func laterRole(ref *reference) role {
	switch {
	case ref.colon >= 0 || ref.digest >= 0 || ref.sep < 0:
		return textRole
	case imageKeyed.MatchString(ref.f.s[:ref.start]):
		return imageRole
	}
	return unclearRole
}

// imageKeyed is the end of a text behind which an image follows, whose missing
// tag means latest.
var imageKeyed = regexp.MustCompile(`(^|\n)[ \t-]*["']?image["']?:[ \t]*["']?$`)

// fed says whether a statement starts a shell that reads its script from standard
// input, and whether that is on another machine.
func fed(s *syntax.Stmt) (yes, away bool) {
	c, ok := s.Cmd.(*syntax.CallExpr)
	if !ok || len(c.Args) == 0 {
		return false, false
	}
	args := c.Args
	for len(args) > 1 && (args[0].Lit() == "sudo" || args[0].Lit() == "env") {
		args = args[1:]
		for len(args) > 1 && (strings.HasPrefix(args[0].Lit(), "-") || assigns(args[0])) {
			args = args[1:]
		}
	}
	switch path.Base(args[0].Lit()) {
	case "ssh":
		return true, true
	case "sh", "bash", "ash", "dash":
		for _, a := range args[1:] {
			if l := a.Lit(); l == "-s" || l == "-" {
				return true, false
			} else if !strings.HasPrefix(l, "-") || strings.HasSuffix(l, "c") {
				return false, false // a script of its own
			}
		}
		return true, false
	}
	return false, false
}

// takesText says whether a command takes its input for text, and not for a script or for values.
func takesText(s *syntax.Stmt) bool {
	c, ok := s.Cmd.(*syntax.CallExpr)
	if !ok || isReader(c) {
		return false
	}
	shell, _ := fed(s)
	return !shell
}

// assigns says whether a word gives a variable its value: env IMAGE=x make.
func assigns(w *syntax.Word) bool {
	first, ok := w.Parts[0].(*syntax.Lit)
	if !ok {
		return false
	}
	name, _, ok := strings.Cut(first.Value, "=")
	return ok && isName.MatchString(name)
}

// hereScript is a here-document that the shell of a command reads as its script.
type hereScript struct {
	script *chunk
	away   bool // on another machine
	local  bool // expanded before
	read   bool

	sourced bool // by the shell that has written it
}

// readsHere lets a shell that a command starts run the here-document: with the variables that
// it has there, and the arguments behind word i.
func (sh *shell) readsHere(c *command, i int) bool {
	if sh.here == nil || sh.here.read || sh.here.local || sh.depth >= maxCalls {
		return false
	}
	if c.lit(i+1) == "--" {
		i++
	}
	b := sh.clone()
	b.args, b.known = c.positional(i), true
	b.runHere()
	return true
}

// runHere runs the here-document where nothing has read it.
func (sh *shell) runHere() {
	if sh.here.read {
		return
	}
	sh.here.read = true
	b := sh.clone()
	b.depth++
	b.away, b.local = b.away || sh.here.away, sh.here.local
	b.script(sh.here.script)
	if sh.here.sourced {
		sh.vars, sh.funcs = b.vars, b.funcs
	}
}

// startsScript is what stands before the name of a script that is started.
var startsScript = regexp.MustCompile(`(?:(?:\b(?:sh|bash|ash|source)\s+(?:-\w+\s+)*|(?:^|[\s;&|(])\.\s+)(?:\./)?|(?:^|[\s;&|("'])\./)$`)

// sourcesScript is what stands before the name of one that the shell itself reads.
var sourcesScript = regexp.MustCompile(`(?:\bsource|(?:^|[\s;&|(])\.)\s+(?:\./)?$`)

// mayStart is the cheap test for the last word of such a text.
func mayStart(before string) bool {
	word := before[strings.LastIndexAny(before, " \t\n")+1:]
	return strings.HasPrefix(word, "-") || strings.HasSuffix(word, "sh") || strings.HasSuffix(word, "source") || strings.HasSuffix(word, ".")
}

// startsLater says whether a here-document is a script that cat writes, and that is started by
// its name behind it; and whether the shell itself reads it there.
func (sh *shell) startsLater(s *syntax.Stmt, rest string) (starts, sourced bool) {
	c, ok := s.Cmd.(*syntax.CallExpr)
	if !ok || sh.target == "" || len(c.Args) != 1 || c.Args[0].Lit() != "cat" {
		return false, false
	}
	var lines []line
	if j := sh.run.now; j != nil && j.in != nil {
		lines = j.in.scriptOf(j)
	}
	if !strings.Contains(rest, sh.target) && !slices.ContainsFunc(lines, func(l line) bool { return strings.Contains(l.node.Value, sh.target) }) {
		return false, false // no expression is made for it
	}
	for _, l := range lines {
		rest += "\n" + l.node.Value
	}
	for at := 0; ; {
		i := strings.Index(rest[at:], sh.target)
		if i < 0 {
			return false, false
		}
		from, to := at+i, at+i+len(sh.target)
		at = from + 1
		before := rest[max(from-200, 0):from]
		if starts := strings.TrimRight(before, " \t\n"); !strings.HasSuffix(before, "./") && (starts == before || !mayStart(starts)) {
			continue
		}
		if startsScript.MatchString(before) && (to == len(rest) || !wordByte(rest[to])) {
			return true, sourcesScript.MatchString(before)
		}
	}
}

// inner is the script that an inner shell reads from the parts of a word, nil where
// that is not to be told. What the outer shell expands stays as it is written: the
// inner one finds the same values. Quotes says that a part is quoted, single that
// one is not expanded by the outer shell.
func (c *chunk) inner(parts []syntax.WordPart, quoted bool) (out *chunk, quotes, single bool) {
	out = &chunk{src: c.src}
	var b []byte
	add := func(t text) {
		for _, p := range t {
			out.add(&b, p.text, p.at.start, p.at.end)
		}
	}
	var all func(parts []syntax.WordPart, quoted bool) bool
	all = func(parts []syntax.WordPart, quoted bool) bool {
		for _, p := range parts {
			switch from, to := int(p.Pos().Offset()), int(p.End().Offset()); p := p.(type) {
			case *syntax.SglQuoted:
				if p.Dollar {
					return false
				}
				quotes, single = true, true
				add(c.pieces(from+1, int(p.Right.Offset())))
			case *syntax.DblQuoted:
				quotes = true
				if p.Dollar || !all(p.Parts, true) {
					return false
				}
			case *syntax.Lit:
				add(unescape(c.pieces(from, to), quoted))
			default:
				add(c.pieces(from, to))
			}
		}
		return true
	}
	if !all(parts, quoted) {
		return nil, false, false
	}
	out.text = string(b)
	return out, quotes, single
}

// feed hands a shell, here or on another machine, the script that it reads.
func (sh *shell) feed(at span, vals []text, h *hereScript) {
	if h.away {
		sh.run.handTags(at, vals)
		sh.run.handedOut(at, vals, "ssh")
	}
	sh.here = h
}

// fedString hands a shell the script in a here-string: ssh host <<< "docker pull $IMAGE".
func (sh *shell) fedString(ch *chunk, s *syntax.Stmt, r *syntax.Redirect) bool {
	yes, away := fed(s)
	if !yes || sh.depth >= maxCalls {
		return false
	}
	script, quotes, single := ch.inner(r.Word.Parts, false)
	if script == nil || !quotes {
		return false
	}
	at := ch.span(int(r.Word.Pos().Offset()), int(r.Word.End().Offset()))
	sh.feed(at, sh.word(ch, r.Word), &hereScript{script: script, away: away, local: !single})
	return true
}

// heredoc looks at a here-document: a script for the shell that it is fed to, which runs with
// the command, or text that something reads. In a command substitution, cat prints it.
func (sh *shell) heredoc(ch *chunk, s *syntax.Stmt, r *syntax.Redirect) {
	from, to := int(r.Hdoc.Pos().Offset()), int(r.Hdoc.End().Offset())
	at, quoted := ch.span(from, to), false
	syntax.Walk(r.Word, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.SglQuoted, *syntax.DblQuoted:
			quoted = true
		case *syntax.Lit:
			quoted = quoted || strings.Contains(n.Value, `\`)
		}
		return true
	})
	vals := sh.parts(ch, r.Hdoc.Parts, quoted, true)
	if readsLines(s) {
		sh.lines = turnsOf(vals, "\n", false)
		if !quoted {
			return
		}
	}
	yes, away := fed(s)
	starts, sourced := false, false
	if !yes {
		starts, sourced = sh.startsLater(s, ch.text[to:])
	}
	if (yes || starts) && sh.depth < maxCalls {
		script := ch.sub(from, to)
		if !quoted {
			script, _, _ = ch.inner(r.Hdoc.Parts, true)
		}
		sh.feed(at, vals, &hereScript{script: script, away: away, local: !quoted, sourced: sourced})
		return
	}
	c, ok := s.Cmd.(*syntax.CallExpr)
	cat := ok && len(c.Args) == 1 && c.Args[0].Lit() == "cat"
	if cat && sh.print != nil {
		sh.prints(vals)
	}
	sh.run.textUses(sh, vals, at, cat && !sh.piped, !quoted || laterVariable.MatchString(ch.text[from:to]))
}
