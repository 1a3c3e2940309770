package ciconfig

import (
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// xargs, find and parallel start a command for each of their items: what xargs reads, or a
// file. Where the items are known, as those that echo prints for xargs, the command has them;
// else there is a variable in their place.

// takesItems says whether a statement is an xargs that starts a command for the words or lines
// that it reads.
func takesItems(s *syntax.Stmt) bool {
	c, ok := s.Cmd.(*syntax.CallExpr)
	if !ok || len(c.Args) == 0 || c.Args[0].Lit() != "xargs" {
		return false
	}
	words := make([]string, len(c.Args))
	for i, w := range c.Args {
		words[i] = plainWord(w)
	}
	return startsAt(words) > 0
}

// startsAt is the place of the command that an xargs starts, 0 where it cuts what it reads in
// another way. One that gets several items at once is looked at as if it had each alone.
// https://pubs.opengroup.org/onlinepubs/9799919799/utilities/xargs.html
func startsAt(words []string) int {
	for i := 1; i < len(words); i++ {
		switch w := words[i]; {
		case w == "-I" || w == "-n" && i+1 < len(words) && words[i+1] == "1":
			i++
		case w == "-i" || w == "-n1" || strings.HasPrefix(w, "-I") || strings.HasPrefix(w, "--replace"):
		case w == "-P":
			i++
		case w == "-r" || w == "-t" || w == "--no-run-if-empty" || strings.HasPrefix(w, "-P"):
		case strings.HasPrefix(w, "-"):
			return 0
		default:
			return i
		}
	}
	return 0
}

// itemsOf are the items that such an xargs makes of what it reads: lines where it has a
// place for them, else words.
func itemsOf(s *syntax.Stmt, vals []text, all bool) []text {
	seps := " \t\n"
	for _, w := range s.Cmd.(*syntax.CallExpr).Args {
		if l := plainWord(w); l == "-i" || strings.HasPrefix(l, "-I") || strings.HasPrefix(l, "--replace") {
			seps = "\n"
		}
	}
	return turnsOf(vals, seps, all)
}

// each is the command that an xargs starts for its items: they are in place of its placeholder,
// or behind what it has. It is nil where nobody knows where that command begins.
func (c *command) each(items []text) *command {
	words := make([]string, len(c.args))
	for k := range words {
		words[k] = c.lit(k)
	}
	first := startsAt(words)
	if first == 0 {
		return nil
	}
	word, out := c.placeholder(first), *c.from(first)
	opened := out
	opened.open(word)
	out.args, out.words, out.lits, out.pos, out.alt, out.nth = nil, nil, nil, nil, nil, nil
	out.item, out.items = word, items
	start := 0
	for k, t := range opened.args {
		if k == 0 || opened.words[k] != opened.words[k-1] {
			start = len(out.lits)
		}
		vals := filledIn(t, word, items)
		for j, v := range vals {
			out.add(v, opened.words[k], start, opened.alt[k]*len(vals)+j, opened.nth[k])
		}
	}
	if word == "" {
		start = len(out.lits)
		for j, v := range items {
			out.add(v, c.words[0], start, j, 0)
		}
	}
	return &out
}

// filledIn are the values of a text with items in place of its holes of a name.
func filledIn(t text, word string, items []text) []text {
	out := strand{{}}
	for _, p := range t {
		if p.hole != "" && p.hole == word {
			out = out.with(expanded(items, word, p.at, false)...)
		} else {
			out = out.with(text{p})
		}
	}
	return out
}

// started is the command that starts another one at i, with what it puts in there open.
func (c *command) started(i int) *command {
	out := *c
	if out.item == "" { // else it has the items already
		out.item = c.placeholder(i)
		out.open(out.item)
	}
	return &out
}

// placeholder is the word in whose place xargs puts each line that it reads, and find each
// file, before the command at i, or "".
func (c *command) placeholder(i int) string {
	switch path.Base(c.lit(0)) {
	case "find", "parallel":
		return "{}"
	case "xargs":
	default:
		return ""
	}
	for k := 1; k < i; k++ {
		switch l := c.lit(k); {
		case l == "-I" || l == "--replace":
			return c.lit(k + 1)
		case l == "-i":
			return "{}"
		case strings.HasPrefix(l, "-I"):
			return l[2:]
		case strings.HasPrefix(l, "--replace="):
			return strings.TrimPrefix(l, "--replace=")
		}
	}
	return ""
}

// open makes holes of the places of a word for which something else is put in.
func (c *command) open(word string) {
	if word == "" {
		return
	}
	c.args = slices.Clone(c.args)
	for k, t := range c.args {
		var out text
		for _, p := range t {
			for at := 0; p.hole == ""; {
				i := strings.Index(p.text[at:], word)
				if i < 0 {
					p = p.slice(at, len(p.text))
					break
				}
				if i > 0 {
					out = append(out, p.slice(at, at+i))
				}
				hole := p.slice(at+i, at+i+len(word))
				hole.text, hole.hole = "", word
				out = append(out, hole)
				at += i + len(word)
			}
			if p.hole != "" || p.text != "" {
				out = append(out, p)
			}
		}
		if len(out) > len(t) {
			c.args[k] = out
		}
	}
	c.lits = slices.Clone(c.lits)
	for k, p := range c.pos {
		if c.alt[k] == 0 && p < len(c.lits) {
			c.lits[p] = c.args[k].String()
		}
	}
}

// itemVariable is what a script has in place of a placeholder.
const itemVariable = "_item"

// open is the script with a variable in place of a placeholder.
func (c *chunk) open(word string) *chunk {
	if word == "" || !strings.Contains(c.text, word) {
		return c
	}
	out := &chunk{src: c.src}
	var b []byte
	for at := 0; ; {
		i := strings.Index(c.text[at:], word)
		if i < 0 {
			i = len(c.text) - at
		}
		for _, p := range c.pieces(at, at+i) {
			out.add(&b, p.text, p.at.start, p.at.end)
		}
		if at += i; at == len(c.text) {
			break
		}
		s := c.span(at, at+len(word))
		out.add(&b, "${"+itemVariable+"}", s.start, s.end)
		at += len(word)
	}
	out.text = string(b)
	return out
}
