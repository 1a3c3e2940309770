package ciconfig

import (
	"strings"

	"go.yaml.in/yaml/v3"
	"mvdan.cc/sh/v3/syntax"
)

// What was parsed of a file is kept with it. All passes that see the same bytes
// see the same trees, so nobody may change them.

// documents are the YAML documents of a file.
func (s *source) documents() ([]*yaml.Node, error) {
	if !s.parsed {
		s.parsed = true
		s.docs, s.invalid = parseYAML(s.data)
	}
	return s.docs, s.invalid
}

// scalar is a decoded scalar of the file, nil where source and value cannot be
// laid side by side.
func (s *source) scalar(n *yaml.Node) *chunk {
	ch, ok := s.scalars[n]
	if !ok {
		if s.scalars == nil {
			s.scalars = map[*yaml.Node]*chunk{}
		}
		ch = scalar(s, n)
		s.scalars[n] = ch
	}
	return ch
}

// encoded is text as it has to be written at a place, which may lie in a quoted
// scalar.
func (s *source) encoded(offset int, text string) string {
	for n, ch := range s.scalars {
		if ch == nil || len(ch.segs) == 0 || offset < ch.segs[0].start || offset >= ch.segs[len(ch.segs)-1].end {
			continue
		}
		switch {
		case n.Style&yaml.DoubleQuotedStyle != 0:
			return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text)
		case n.Style&yaml.SingleQuotedStyle != 0:
			return strings.ReplaceAll(text, "'", "''")
		}
	}
	return text
}

// makesKey says whether a colon before a place of a YAML file would make a key of a plain
// scalar: at its end, or before a space in it.
// https://yaml.org/spec/1.2.2/#733-plain-style
func (s *source) makesKey(offset int) bool {
	spaced := offset == len(s.data) || strings.IndexByte(" \t\r\n", s.data[offset]) >= 0
	if !spaced && strings.IndexByte(",]}", s.data[offset]) < 0 {
		return false
	}
	for n, ch := range s.scalars {
		if n.Style&^yaml.TaggedStyle != 0 || ch == nil || len(ch.segs) == 0 {
			continue
		}
		if start, end := ch.segs[0].start, ch.segs[len(ch.segs)-1].end; start < offset && (offset == end || spaced && offset < end) {
			return true
		}
	}
	return false
}

// whole is the file as one chunk.
func (s *source) whole() *chunk {
	if s.all == nil {
		s.all = whole(s, 0, len(s.data))
	}
	return s.all
}

// shell is the text as a script: bash first, then plain POSIX. It is nil where
// no parser understands it.
func (c *chunk) shell() *syntax.File {
	if !c.parsed {
		c.parsed = true
		if strings.IndexByte(c.text, 0) < 0 { // a shell leaves that byte out, and joins what it parts
			c.script = c.src.script(c.text)
		}
	}
	return c.script
}

// script parses a script once for each text, of which a file may have several, and the
// file before a change had most.
func (s *source) script(text string) *syntax.File {
	f, ok := s.scripts[text]
	if ok {
		return f
	}
	if s.was != nil {
		f, ok = s.was.before.scripts[text]
	}
	if !ok {
		if s.bash == nil {
			s.bash = syntax.NewParser(syntax.Variant(syntax.LangBash))
		}
		if f = parseShell(s.bash, text); f == nil {
			s.bash = nil
			f = parseShell(syntax.NewParser(syntax.Variant(syntax.LangPOSIX)), text)
		}
	}
	if s.scripts == nil {
		s.scripts = map[string]*syntax.File{}
	}
	s.scripts[text] = f
	return f
}

func parseShell(p *syntax.Parser, text string) (f *syntax.File) {
	defer func() { // the parser is not ours
		if recover() != nil {
			f = nil
		}
	}()
	f, err := p.Parse(strings.NewReader(masked(text)), "")
	if err != nil {
		return nil
	}
	return f
}
