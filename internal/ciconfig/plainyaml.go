package ciconfig

import (
	"errors"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// plainYAML reads UTF-8 with YAML as people mostly write it, into the nodes that the library
// makes of it but for the comments, in a quarter of the time. It is false for all that it is
// not sure of: tabs, directives, keys with a question mark, quotes over several lines and the like,
// and whatever is wrong. Then the library reads the file, and says what is wrong.
func plainYAML(data []byte) (docs []*yaml.Node, ok bool) {
	if !plainBytes(data) {
		return nil, false
	}
	defer func() {
		if e := recover(); e == notPlain {
			docs, ok = nil, false
		} else if e != nil {
			panic(e)
		}
	}()
	p := &plainReader{s: string(data), line: 1}
	p.next()
	for p.i < len(p.s) {
		if p.marker {
			p.i += len("---")
			p.endOfLine()
		}
		if p.column() < 0 || len(docs) > 1000 {
			return nil, false // an empty document
		}
		if docs = append(docs, p.block(-1, properties{}, 0)); p.column() >= 0 {
			return nil, false
		}
	}
	return docs, true
}

// plainBytes says whether a file has no character that YAML forbids, takes for a byte order
// mark or breaks lines at, other than line feeds.
func plainBytes(data []byte) bool {
	for i, c := range data {
		switch {
		case c >= 0x20 && c < 0x7f, c == '\n', c == '\t':
		case c < 0x80, c == 0xc2 && data[i+1] < 0xa0:
			return false
		case c == 0xe2 && data[i+1] == 0x80 && (data[i+2] == 0xa8 || data[i+2] == 0xa9):
			return false
		case c == 0xef && (data[i+1] == 0xbb && data[i+2] == 0xbf || data[i+1] == 0xbf && data[i+2] >= 0xbe):
			return false
		}
	}
	return true
}

// plainReader is a place in a text. Between the nodes of a block it stands at the first
// character of a line that is not blank.
type plainReader struct {
	s       string
	i       int
	line    int  // from 1
	start   int  // of the line
	marker  bool // it stands at ---
	anchors map[string]*yaml.Node
	room    []yaml.Node // for the next nodes
}

// properties are an anchor and a tag, and where they begin.
type properties struct {
	anchor, tag  string
	line, column int
}

// notPlain is what fail panics with.
var notPlain = errors.New("not sure what this is")

// fail gives up.
func (p *plainReader) fail() { panic(notPlain) }

// column is that of the next node of a block, -1 where the document is at its end.
func (p *plainReader) column() int {
	if p.marker || p.i >= len(p.s) {
		return -1
	}
	return p.i - p.start
}

// at is the next character, a line feed at the end.
func (p *plainReader) at(i int) byte {
	if i < len(p.s) {
		return p.s[i]
	}
	return '\n'
}

func blankByte(c byte) bool { return c == ' ' || c == '\n' }

// next goes to the first line from here on, of which nothing was read yet, that is neither
// blank nor a comment.
func (p *plainReader) next() {
	p.marker = false
	for p.i < len(p.s) {
		p.start = p.i
		p.spaces()
		switch c := p.at(p.i); {
		case c == '#':
			p.skipLine()
		case c == '\n':
			p.i++
			p.line++
		case c == '\t', p.column() == 0 && (c == '%' || strings.HasPrefix(p.s[p.i:], "...")):
			p.fail()
		default:
			p.marker = p.column() == 0 && strings.HasPrefix(p.s[p.i:], "---") && blankByte(p.at(p.i+3))
			return
		}
	}
	p.i, p.start = len(p.s), len(p.s)
}

func (p *plainReader) spaces() {
	for p.i < len(p.s) && p.s[p.i] == ' ' {
		p.i++
	}
}

func (p *plainReader) skipLine() {
	n := strings.IndexByte(p.s[p.i:], '\n')
	if n < 0 {
		p.i = len(p.s)
		return
	}
	p.i += n + 1
	p.line++
}

// endOfLine goes behind a line of which nothing but a comment may be left, to the next one.
func (p *plainReader) endOfLine() {
	if !p.lineEnds() {
		p.fail()
	}
	p.skipLine()
	p.next()
}

// lineEnds goes to the end of the line or its comment, if there is nothing else.
func (p *plainReader) lineEnds() bool {
	p.spaces()
	c := p.at(p.i)
	return c == '\n' || c == '#' && blankByte(p.s[p.i-1])
}

// node is a new node that begins here, or with its properties.
func (p *plainReader) node(kind yaml.Kind, props properties) *yaml.Node {
	if len(p.room) == 0 {
		p.room = make([]yaml.Node, 32)
	}
	n := &p.room[0]
	p.room = p.room[1:]
	n.Kind, n.Line, n.Column = kind, p.line, utf8.RuneCountInString(p.s[p.start:p.i])+1
	if props.line > 0 {
		n.Line, n.Column = props.line, props.column
	}
	switch kind {
	case yaml.MappingNode:
		n.Tag = "!!map"
	case yaml.SequenceNode:
		n.Tag = "!!seq"
	}
	if props.tag != "" {
		n.Tag, n.Style = props.tag, yaml.TaggedStyle
	}
	if props.anchor != "" {
		n.Anchor = props.anchor
		if p.anchors == nil {
			p.anchors = map[string]*yaml.Node{}
		}
		p.anchors[n.Anchor] = n
	}
	return n
}

// valued gives a scalar its value.
func valued(n *yaml.Node, value string, style yaml.Style) *yaml.Node {
	n.Value = value
	switch {
	case n.Tag != "":
	case style != 0:
		n.Tag = "!!str"
	case value == "<<":
		n.Tag = "!!merge"
	case value != "" && strings.IndexByte("+-.0123456789yYnNtTfFoO~", value[0]) < 0:
		n.Tag = "!!str" // no number, truth value or null begins so
	default:
		n.Tag = n.ShortTag()
	}
	n.Style |= style
	return n
}

// block reads a node that begins here, inside of one of that indentation.
func (p *plainReader) block(indent int, props properties, depth int) *yaml.Node {
	if depth > maxDepth {
		p.fail()
	}
	c := p.at(p.i)
	if c == '-' && blankByte(p.at(p.i+1)) {
		return p.sequence(p.column(), props, depth)
	}
	if key, end := p.key(); end > 0 {
		if props.line == p.line {
			p.fail() // they are those of the key
		}
		return p.mapping(key, end, props, depth)
	}
	if indent < 0 {
		p.fail() // a document of one scalar
	}
	return p.inLine(indent, props)
}

// mapping reads a mapping whose first key was found here.
func (p *plainReader) mapping(key *yaml.Node, end int, props properties, depth int) *yaml.Node {
	column := p.column()
	m := p.node(yaml.MappingNode, props)
	for {
		p.i = end
		m.Content = append(m.Content, key, p.value(column, true, depth+1))
		if p.column() < column {
			return m
		}
		if key, end = p.key(); end == 0 || p.column() > column {
			p.fail()
		}
	}
}

// sequence reads a list whose first dash is here.
func (p *plainReader) sequence(column int, props properties, depth int) *yaml.Node {
	l := p.node(yaml.SequenceNode, props)
	for {
		p.i++
		l.Content = append(l.Content, p.value(column, false, depth+1))
		switch {
		case p.column() < column:
			return l
		case p.column() > column:
			p.fail()
		case p.at(p.i) != '-' || !blankByte(p.at(p.i+1)):
			return l // it may be the next key of the mapping that has this list
		}
	}
}

// key finds a key in this line, and the place behind its colon, 0 where there is none.
func (p *plainReader) key() (*yaml.Node, int) {
	from, end := p.i, 0
	var value string
	var style yaml.Style
	switch c := p.at(p.i); {
	case c == '"' || c == '\'':
		value, style, end = p.quoted()
		if end == 0 {
			return nil, 0
		}
	case plainStart(c, p.at(p.i+1)):
		end = p.plainEnd(false)
		value = strings.TrimRight(p.s[from:end], " ")
	default:
		return nil, 0
	}
	for p.at(end) == ' ' {
		end++
	}
	if p.at(end) != ':' || end >= len(p.s) || !blankByte(p.at(end+1)) || end-from > 500 {
		return nil, 0
	}
	return valued(p.node(yaml.ScalarNode, properties{}), value, style), end + 1
}

// value reads what stands behind a colon or a dash in a block of that indentation.
func (p *plainReader) value(indent int, ofKey bool, depth int) *yaml.Node {
	empty := properties{line: p.line, column: utf8.RuneCountInString(p.s[p.start:p.i]) + 1}
	p.spaces()
	props := p.properties()
	if !p.lineEnds() {
		if ofKey || props.line > 0 {
			return p.inLine(indent, props)
		}
		return p.block(indent, props, depth)
	}
	p.skipLine()
	p.next()
	if c := p.column(); c > indent || ofKey && c == indent && p.at(p.i) == '-' && blankByte(p.at(p.i+1)) {
		return p.block(indent, props, depth)
	}
	if props.line > 0 {
		p.fail()
	}
	return valued(p.node(yaml.ScalarNode, empty), "", 0)
}

// properties reads an anchor and a tag, which have to be followed by something.
func (p *plainReader) properties() (out properties) {
	for c := p.at(p.i); c == '&' || c == '!'; c = p.at(p.i) {
		if out.line == 0 {
			out.line, out.column = p.line, utf8.RuneCountInString(p.s[p.start:p.i])+1
		}
		end := p.i + 1
		for end < len(p.s) && (wordByte(p.s[end]) || p.s[end] == '-') {
			end++
		}
		word := p.s[p.i:end]
		if len(word) < 2 || !blankByte(p.at(end)) || c == '&' && out.anchor != "" || c == '!' && out.tag != "" {
			p.fail()
		}
		if c == '&' {
			out.anchor = word[1:]
		} else {
			out.tag = word
		}
		p.i = end
		p.spaces()
	}
	return out
}

// inLine reads a value that is no block of its own, to the end of its last line.
func (p *plainReader) inLine(indent int, props properties) (n *yaml.Node) {
	switch c := p.at(p.i); {
	case c == '|' || c == '>':
		return p.text(indent, props)
	case plainStart(c, p.at(p.i+1)):
		n = p.node(yaml.ScalarNode, props)
		return valued(n, p.plain(indent), 0)
	default:
		n = p.flow(props, 0)
	}
	p.endOfLine()
	return n
}

// plainStart says whether a plain scalar may begin with a character.
func plainStart(c, next byte) bool {
	if c == '-' {
		return !blankByte(next) && next != '\t'
	}
	return strings.IndexByte("\n \t?:,[]{}#&*!|>'\"%@`", c) < 0
}

// plainEnd is where a plain scalar of this line ends: at a colon or a comment, in brackets
// also at those. Blanks before that are not part of it.
func (p *plainReader) plainEnd(flow bool) int {
	for i := p.i; ; i++ {
		switch c := p.at(i); {
		case c == '\n', c == '#' && i > p.i && p.s[i-1] == ' ':
			return i
		case c == '\t':
			p.fail()
		case c == ':' && (i+1 >= len(p.s) || blankByte(p.at(i+1))):
			return i
		case flow && strings.IndexByte(",[]{}?", c) >= 0:
			return i
		}
	}
}

// plain reads a plain scalar of a block with all its lines, and goes to the next line.
func (p *plainReader) plain(indent int) string {
	var b strings.Builder // unless it is one line
	for {
		end := p.plainEnd(false)
		if p.at(end) == ':' && end < len(p.s) {
			p.fail()
		}
		text := strings.TrimRight(p.s[p.i:end], " ")
		comment := p.at(end) == '#' // ends it, whatever comes
		p.i = end
		p.skipLine()
		p.start = p.i
		line := p.line
		if comment {
			p.next()
			return b.String() + text
		}
		for p.i < len(p.s) { // blank lines
			p.start = p.i
			p.spaces()
			if p.at(p.i) != '\n' || p.i >= len(p.s) {
				break
			}
			p.i++
			p.line++
		}
		if p.i >= len(p.s) || p.i-p.start <= indent || p.s[p.i] == '#' {
			p.i = p.start
			p.next()
			if b.Len() == 0 {
				return text
			}
			return b.String() + text
		}
		if p.s[p.i] == '\t' {
			p.fail()
		}
		b.WriteString(text)
		if p.line == line {
			b.WriteByte(' ')
		}
		for range p.line - line {
			b.WriteByte('\n')
		}
	}
}

// quoted is the quoted scalar that begins here, and the place behind it: 0 where it has
// escapes that are not looked at, or does not end in its line.
func (p *plainReader) quoted() (string, yaml.Style, int) {
	quote := p.s[p.i]
	if quote == '\'' {
		for i := p.i + 1; i < len(p.s) && p.s[i] != '\n'; i++ {
			if p.s[i] != quote {
				continue
			}
			if p.at(i+1) != quote {
				return strings.ReplaceAll(p.s[p.i+1:i], "''", "'"), yaml.SingleQuotedStyle, i + 1
			}
			i++
		}
		return "", 0, 0
	}
	var b []byte
	last := p.i + 1
	for i := last; i < len(p.s) && p.s[i] != '\n'; i++ {
		switch p.s[i] {
		case quote:
			if b == nil {
				return p.s[last:i], yaml.DoubleQuotedStyle, i + 1
			}
			return string(append(b, p.s[last:i]...)), yaml.DoubleQuotedStyle, i + 1
		case '\\':
			plain := escapes[p.at(i+1)]
			if len(plain) != 1 || plain == "/" {
				return "", 0, 0
			}
			b = append(append(b, p.s[last:i]...), plain...)
			last = i + 2
			i++
		}
	}
	return "", 0, 0
}

// flow reads a node inside of a line: a scalar in quotes, an alias, or a list or mapping in
// brackets with whatever stands in them.
func (p *plainReader) flow(props properties, depth int) *yaml.Node {
	if depth > maxDepth {
		p.fail()
	}
	switch c := p.at(p.i); {
	case c == '"' || c == '\'':
		if value, style, end := p.quoted(); end > 0 {
			n := valued(p.node(yaml.ScalarNode, props), value, style)
			p.i = end
			return n
		}
	case c == '*':
		end := p.i + 1
		for end < len(p.s) && (wordByte(p.s[end]) || p.s[end] == '-') {
			end++
		}
		name := p.s[p.i+1 : end]
		if p.anchors[name] == nil || props.line > 0 || !blankByte(p.at(end)) && (depth == 0 || strings.IndexByte(",]}", p.at(end)) < 0) {
			break
		}
		n := p.node(yaml.AliasNode, properties{})
		n.Value, n.Alias = name, p.anchors[name]
		p.i = end
		return n
	case c == '[':
		n := p.node(yaml.SequenceNode, props)
		n.Style |= yaml.FlowStyle
		p.list(']', func() {
			n.Content = append(n.Content, p.flow(p.properties(), depth+1))
		})
		return n
	case c == '{':
		n := p.node(yaml.MappingNode, props)
		n.Style |= yaml.FlowStyle
		p.list('}', func() {
			key := p.flow(properties{}, depth+1)
			p.spaces()
			if key.Kind != yaml.ScalarNode || p.at(p.i) != ':' || !blankByte(p.at(p.i+1)) {
				p.fail()
			}
			p.i++
			p.blanks()
			n.Content = append(n.Content, key, p.flow(p.properties(), depth+1))
		})
		return n
	case depth > 0 && plainStart(c, p.at(p.i+1)) && (c != '-' || wordByte(p.at(p.i+1))):
		end := p.plainEnd(true)
		n := p.node(yaml.ScalarNode, props)
		valued(n, strings.TrimRight(p.s[p.i:end], " "), 0)
		p.i = end
		return n
	}
	p.fail()
	return &yaml.Node{}
}

// list reads what stands in brackets, parted by commas.
func (p *plainReader) list(end byte, each func()) {
	p.i++
	for p.blanks(); p.at(p.i) != end; p.blanks() {
		each()
		p.blanks()
		if c := p.at(p.i); c == ',' {
			p.i++
		} else if c != end {
			p.fail()
		}
	}
	p.i++
}

// blanks goes over blanks, line breaks and comments between brackets.
func (p *plainReader) blanks() {
	for p.lineEnds() {
		p.skipLine()
		p.start = p.i
		if p.i >= len(p.s) || strings.IndexByte("-.%", p.s[p.i]) >= 0 {
			p.fail() // the brackets do not end, or the document does
		}
	}
}

// text reads a literal or folded scalar.
// https://yaml.org/spec/1.2.2/#81-block-scalar-styles
func (p *plainReader) text(indent int, props properties) *yaml.Node {
	n := p.node(yaml.ScalarNode, props)
	style := yaml.LiteralStyle
	if p.s[p.i] == '>' {
		style = yaml.FoldedStyle
	}
	p.i++
	chomp, want := byte(0), 0
	for range 2 {
		switch c := p.at(p.i); {
		case chomp == 0 && (c == '+' || c == '-'):
			chomp = c
			p.i++
		case want == 0 && c >= '1' && c <= '9':
			want = max(indent, 0) + int(c-'0')
			p.i++
		}
	}
	if !p.lineEnds() {
		p.fail()
	}
	p.skipLine()
	var b strings.Builder
	broken, blank := false, false // the last line was, and began with a blank
	breaks := p.breaks(&want, indent)
	for p.i < len(p.s) && p.i-p.start == want {
		white := p.s[p.i] == ' ' || p.s[p.i] == '\t'
		if broken && (style == yaml.LiteralStyle || blank || white) {
			b.WriteByte('\n')
		} else if broken && breaks == 0 {
			b.WriteByte(' ')
		}
		for range breaks {
			b.WriteByte('\n')
		}
		blank = white
		from := p.i
		p.skipLine()
		line := p.s[from:p.i]
		line, broken = strings.CutSuffix(line, "\n")
		b.WriteString(line)
		breaks = p.breaks(&want, indent)
	}
	if chomp != '-' && broken {
		b.WriteByte('\n')
	}
	if chomp == '+' {
		for range breaks {
			b.WriteByte('\n')
		}
	}
	p.i = p.start
	p.next()
	return valued(n, b.String(), style)
}

// breaks goes over empty lines of a text, and finds its indentation where that is not known.
func (p *plainReader) breaks(want *int, indent int) (n int) {
	deepest := 0
	for {
		p.start = p.i
		for p.i < len(p.s) && p.s[p.i] == ' ' && (*want == 0 || p.i-p.start < *want) {
			p.i++
		}
		column := p.i - p.start
		deepest = max(deepest, column)
		if (*want == 0 || column < *want) && p.i < len(p.s) && p.s[p.i] == '\t' {
			p.fail()
		}
		if p.i >= len(p.s) || p.s[p.i] != '\n' {
			break
		}
		p.i++
		p.line++
		n++
	}
	if *want == 0 {
		*want = max(deepest, indent+1, 1)
	}
	return n
}
