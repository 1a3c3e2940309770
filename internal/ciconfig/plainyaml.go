package ciconfig

import (
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Most of the time of a rewrite went into the YAML parser, which is made for everything
// that YAML can say. Nearly all files say little of it, so they are read here: block
// mappings and lists, literal and folded blocks, scalars plain or quoted, lists and
// mappings in brackets, anchors, aliases and !reference. At anything else, at each thing
// that is not plainly right, and at each error, the file is left to the parser. What is
// read here is what the parser reads, node for node with line and column, but for
// comments and the tags that it finds for plain scalars; FuzzPlainYAML compares the two.

// plainYAML reads files in lines. It is at s[i], in a line that begins at bol.
type plainYAML struct {
	s         string
	i         int
	bol, line int
	wide      bool // it has characters of several bytes
	col       int  // the column, from 0, of what stands at i, -1 at the end of a document
	depth     int
	anchors   map[string]*yaml.Node
	free      []yaml.Node
	content   []*yaml.Node // what the collections that are being read hold so far
	slow      bool         // something was met that is not read here
}

// readPlainYAML are the documents of a file. ok is false where the parser has to read it.
func readPlainYAML(data []byte) (docs []*yaml.Node, ok bool) {
	p := &plainYAML{s: string(data), line: 1}
	if !p.printable() {
		return nil, false
	}
	for p.next(); ; {
		if p.marker("---") {
			p.i += 3
			if !p.endLine() {
				return nil, false
			}
			p.next()
		}
		if p.col < 0 || len(docs) > 100 {
			return nil, false // no document, or nothing in it
		}
		root := p.block(-1)
		if p.slow || p.col >= 0 {
			return nil, false
		}
		docs = append(docs, root)
		if p.i == len(p.s) {
			return docs, true
		}
		if !p.marker("---") {
			return nil, false
		}
	}
}

// printable says whether the file has only characters that the parser takes and that
// break no line of their own.
func (p *plainYAML) printable() bool {
	for i := 0; i < len(p.s); i++ {
		switch c := p.s[i]; {
		case c >= ' ' && c < 0x7f, c == '\n', c == '\t':
		case c < 0x80:
			return false
		default:
			r, w := utf8.DecodeRuneInString(p.s[i:])
			if r < 0xa0 || r == utf8.RuneError || r == 0x2028 || r == 0x2029 || r >= 0xd800 && r < 0xe000 || r == 0xfeff || r > 0xfffd && r < 0x10000 {
				return false
			}
			p.wide = true
			i += w - 1
		}
	}
	return true
}

// fail leaves the file to the parser.
func (p *plainYAML) fail() *yaml.Node {
	p.slow, p.col = true, -1
	return nil
}

// at is the byte n behind the place, a line break at the end of the file.
func (p *plainYAML) at(n int) byte {
	if p.i+n < len(p.s) {
		return p.s[p.i+n]
	}
	return '\n'
}

// ends says whether a byte ends a word.
func ends(c byte) bool { return c == ' ' || c == '\n' }

// entry says whether a list's entry begins here.
func (p *plainYAML) entry() bool { return p.at(0) == '-' && ends(p.at(1)) }

// marker says whether a marker between documents stands here.
func (p *plainYAML) marker(m string) bool {
	return p.i == p.bol && strings.HasPrefix(p.s[p.i:], m) && ends(p.at(3))
}

// node is a new node that begins at a place in this line.
func (p *plainYAML) node(kind yaml.Kind, style yaml.Style, tag, value string, at int) *yaml.Node {
	if len(p.free) == 0 {
		p.free = make([]yaml.Node, min(32, 4+len(p.s)/128))
	}
	n := &p.free[0]
	p.free = p.free[1:]
	n.Kind, n.Style, n.Tag, n.Value, n.Line, n.Column = kind, style, tag, value, p.line, p.column(at)+1
	return n
}

// column is how many characters of the line stand before a place.
func (p *plainYAML) column(at int) int {
	if p.wide {
		return utf8.RuneCountInString(p.s[p.bol:at])
	}
	return at - p.bol
}

// newLine goes over a line break.
func (p *plainYAML) newLine() {
	if p.i < len(p.s) {
		p.i++
	}
	p.bol, p.line = p.i, p.line+1
}

func (p *plainYAML) spaces() {
	for p.at(0) == ' ' {
		p.i++
	}
}

// endLine goes to the next line. Nothing but a comment may stand before it.
func (p *plainYAML) endLine() bool {
	p.spaces()
	if p.at(0) == '#' && (p.i == p.bol || p.s[p.i-1] == ' ') {
		p.comment()
	}
	if p.at(0) != '\n' {
		p.fail()
		return false
	}
	p.newLine()
	return true
}

func (p *plainYAML) comment() {
	if n := strings.IndexByte(p.s[p.i:], '\n'); n >= 0 {
		p.i += n
	} else {
		p.i = len(p.s)
	}
}

// next goes from the beginning of a line to what comes first of all that is no comment.
func (p *plainYAML) next() {
	for p.i < len(p.s) {
		p.spaces()
		switch p.at(0) {
		case '\n':
			p.newLine()
		case '#':
			p.comment()
		case '\t':
			p.fail()
			return
		default:
			p.col = p.i - p.bol
			if p.col == 0 && (p.at(0) == '%' || p.marker("---") || p.marker("...")) {
				p.col = -1
			}
			return
		}
	}
	p.col = -1
}

// block reads the list or mapping that begins here.
func (p *plainYAML) block(indent int) *yaml.Node {
	if p.col <= indent || p.depth > maxDepth/2 {
		return p.fail()
	}
	return p.collection(p.col, p.node(0, 0, "", "", p.i))
}

// collection reads a list or mapping with its entries at a column into a node.
func (p *plainYAML) collection(col int, n *yaml.Node) *yaml.Node {
	p.depth++
	first := len(p.content)
	list := p.entry()
	for more := true; more; more = p.col == col && (!list || p.entry()) {
		if list {
			p.i++
			v := p.value(col, true)
			p.content = append(p.content, v)
		} else {
			key := p.key()
			if p.slow || !p.keyed() {
				return p.fail()
			}
			p.i++
			p.content = append(p.content, key)
			v := p.value(col, false)
			p.content = append(p.content, v)
		}
		if p.slow || p.col > col {
			return p.fail()
		}
	}
	n.Kind, n.Tag = yaml.MappingNode, "!!map"
	if list {
		n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
	}
	p.close(n, first)
	return n
}

// close gives a collection what was read for it.
func (p *plainYAML) close(n *yaml.Node, first int) {
	if len(p.content) > first {
		n.Content = append(make([]*yaml.Node, 0, len(p.content)-first), p.content[first:]...)
	}
	p.content = p.content[:first]
	p.depth--
}

// longestKey is shorter than what the parser takes for a key.
const longestKey = 500

// key reads the key of a mapping.
func (p *plainYAML) key() *yaml.Node {
	n := p.node(yaml.ScalarNode, 0, "", "", p.i)
	from := p.i
	p.scalar(n, false)
	if p.slow || p.i-from > longestKey {
		return p.fail()
	}
	p.spaces()
	return n
}

// scalar reads a scalar, plain or quoted, as far as it stands in this line.
func (p *plainYAML) scalar(n *yaml.Node, flow bool) {
	n.Kind = yaml.ScalarNode
	if c := p.at(0); c == '"' || c == '\'' {
		p.quoted(n)
		return
	}
	if n.Value = p.words(flow); n.Value == "<<" {
		n.Tag = "!!merge"
	}
}

// keyed says whether a colon stands here that makes what is before it a key.
func (p *plainYAML) keyed() bool { return p.at(0) == ':' && ends(p.at(1)) }

// value reads what stands behind the colon of a mapping, or behind the dash of a list,
// at an indentation, and goes on to what comes next.
func (p *plainYAML) value(indent int, list bool) *yaml.Node {
	n := p.node(0, 0, "", "", p.i)
	null := n.Column
	p.spaces()
	from := p.i
	n.Column = p.column(from) + 1 // with its anchor and tag
	given := p.properties(n)
	if p.slow {
		return nil
	}
	switch c := p.at(0); {
	case c == '\n' || c == '#':
		if !p.endLine() {
			return nil
		}
		p.next()
		below := p.col > indent || p.col == indent && !list && p.entry()
		switch {
		case p.depth > maxDepth/2, n.Style != 0, given && !below:
			return p.fail()
		case !below:
			n.Kind, n.Column = yaml.ScalarNode, null
			return n
		case !given:
			n.Line, n.Column = p.line, p.col+1
		}
		return p.collection(p.col, n)
	case n.Style != 0 && c != '[': // !reference is a list
		return p.fail()
	case list && !given && p.entry():
		return p.inLine(n, from)
	case c == '|' || c == '>':
		p.literal(n, indent)
		return n
	case c == '[' || c == '{':
		p.flow(n)
	case c == '*' && !given:
		p.alias(n)
	default:
		p.scalar(n, false)
		if list && !given && !p.slow {
			end := p.i
			if p.spaces(); p.keyed() {
				return p.inLine(n, from)
			}
			p.i = end
		}
		if !p.slow && n.Style == 0 && p.at(0) == '\n' {
			p.folded(n, indent)
		}
	}
	if p.slow || !p.endLine() {
		return nil
	}
	p.next()
	return n
}

// inLine reads a list or mapping that begins in a line of an entry.
func (p *plainYAML) inLine(n *yaml.Node, from int) *yaml.Node {
	if p.depth > maxDepth/2 {
		return p.fail()
	}
	p.i, n.Style, n.Tag, n.Value = from, 0, "", ""
	return p.collection(from-p.bol, n)
}

// properties reads an anchor or the tag !reference.
func (p *plainYAML) properties(n *yaml.Node) (given bool) {
	switch p.at(0) {
	case '&':
		p.i++
		n.Anchor = p.name()
		if !ends(p.at(0)) {
			p.fail()
		}
		if p.anchors == nil {
			p.anchors = map[string]*yaml.Node{}
		}
		p.anchors[n.Anchor] = n
	case '!':
		if !strings.HasPrefix(p.s[p.i:], "!reference ") {
			p.fail()
			return false
		}
		p.i += len("!reference")
		n.Style = yaml.TaggedStyle
	default:
		return false
	}
	p.spaces()
	return true
}

// name reads the name of an anchor.
func (p *plainYAML) name() string {
	from := p.i
	for c := p.at(0); c == '_' || c == '-' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'; c = p.at(0) {
		p.i++
	}
	if p.i == from {
		p.fail()
	}
	return p.s[from:p.i]
}

func (p *plainYAML) alias(n *yaml.Node) {
	p.i++
	n.Kind, n.Value = yaml.AliasNode, p.name()
	n.Alias = p.anchors[n.Value]
	if n.Alias == nil || strings.IndexByte(" \n,]}", p.at(0)) < 0 {
		p.fail()
	}
}

// words reads a plain scalar to the end of its line or to what ends it there, in flow
// a bracket or comma too.
func (p *plainYAML) words(flow bool) string {
	switch c := p.at(0); {
	case strings.IndexByte("\n\t?:,[]{}#&*!|>'\"%@`", c) >= 0, c == '-' && (ends(p.at(1)) || flow && strings.IndexByte("\t,[]{}?:", p.at(1)) >= 0):
		p.fail()
		return ""
	}
	from, to := p.i, p.i
	for ; p.i < len(p.s); p.i++ {
		switch c := p.s[p.i]; {
		case c == ' ':
			continue
		case c == '\n', c == '#' && p.s[p.i-1] == ' ', c == ':' && ends(p.at(1)), flow && (c == ',' || c == ']' || c == '}'):
			return p.s[from:to]
		case c == '\t', flow && (c == '[' || c == '{' || c == '?' || c == ':' && strings.IndexByte("\t,[]{}", p.at(1)) >= 0), c == ':' && p.at(1) == '\t':
			p.fail()
			return ""
		}
		to = p.i + 1
	}
	return p.s[from:to]
}

// folded reads the further lines of a plain scalar.
func (p *plainYAML) folded(n *yaml.Node, indent int) {
	var b strings.Builder
	for {
		was, breaks := *p, 0
		for p.newLine(); ; p.newLine() {
			p.spaces()
			if p.at(0) != '\n' || p.i == len(p.s) {
				break
			}
			breaks++
		}
		if p.at(0) == '\t' {
			p.fail()
			return
		}
		if p.i == len(p.s) || p.i-p.bol <= indent || p.at(0) == '#' {
			*p = was
			break
		}
		if b.Len() == 0 {
			b.WriteString(n.Value)
		}
		if breaks == 0 {
			b.WriteByte(' ')
		}
		for range breaks {
			b.WriteByte('\n')
		}
		b.WriteString(p.further())
		if p.slow {
			return
		}
	}
	if b.Len() > 0 {
		n.Value, n.Tag = b.String(), ""
	}
}

// further is one more line of a plain scalar, which may begin with anything.
func (p *plainYAML) further() string {
	from := p.i
	p.comment()
	line := strings.TrimRight(p.s[from:p.i], " ")
	if strings.Contains(line, ": ") || strings.HasSuffix(line, ":") || strings.Contains(line, " #") || strings.Contains(line, "\t") {
		p.fail()
	}
	return line
}

// literal reads a literal or folded block.
func (p *plainYAML) literal(n *yaml.Node, indent int) {
	n.Kind, n.Tag, n.Style = yaml.ScalarNode, "!!str", yaml.LiteralStyle
	if p.at(0) == '>' {
		n.Style = yaml.FoldedStyle
	}
	p.i++
	chomp := p.at(0)
	if chomp == '-' || chomp == '+' {
		p.i++
	}
	p.spaces()
	if p.at(0) != '\n' {
		p.fail()
		return
	}
	p.newLine()
	var b strings.Builder
	col, broken, breaks := 0, false, 0 // the indentation; a line break that is not written yet, and empty lines behind it
	widest, blankBefore := 0, false
	for p.i < len(p.s) {
		from := p.i
		for p.at(0) == ' ' && (col == 0 || p.i-from < col) {
			p.i++
		}
		width := p.i - from
		if p.at(0) == '\t' && (col == 0 || width < col) {
			p.fail()
			return
		}
		if p.at(0) == '\n' {
			if widest = max(widest, width); p.i == len(p.s) {
				break
			}
			p.newLine()
			breaks++
			continue
		}
		if col == 0 {
			if col = width; col <= indent || col < widest {
				p.fail() // nothing in it, or an empty line that is wider
				return
			}
			b.Grow(min(len(p.s)-p.i, 256))
		}
		if width < col {
			p.i = from
			break
		}
		blanks := blank(p.at(0))
		if n.Style == yaml.FoldedStyle && !blankBefore && !blanks && broken {
			if breaks == 0 {
				b.WriteByte(' ')
			}
		} else if broken {
			b.WriteByte('\n')
		}
		for range breaks {
			b.WriteByte('\n')
		}
		breaks, blankBefore = 0, blanks
		start := p.i
		p.comment()
		b.WriteString(p.s[start:p.i])
		if broken = p.i < len(p.s); broken {
			p.newLine()
		}
	}
	if col == 0 {
		p.fail()
		return
	}
	if chomp != '-' && broken {
		b.WriteByte('\n')
	}
	for range breaks {
		if chomp == '+' {
			b.WriteByte('\n')
		}
	}
	n.Value = b.String()
	p.next()
}

// quoted reads a scalar in quotes, which ends in its line.
func (p *plainYAML) quoted(n *yaml.Node) {
	q := p.at(0)
	n.Style, n.Tag = yaml.DoubleQuotedStyle, "!!str"
	if q == '\'' {
		n.Style = yaml.SingleQuotedStyle
	}
	p.i++
	var b strings.Builder
	from := p.i
	for ; p.i < len(p.s); p.i++ {
		switch c := p.s[p.i]; {
		case c == '\n' || c == '\t':
			p.fail()
			return
		case c == q && q == '\'' && p.at(1) == '\'':
			b.WriteString(p.s[from : p.i+1])
			p.i++
			from = p.i + 1
		case c == q:
			n.Value = p.s[from:p.i]
			if b.Len() > 0 {
				n.Value = b.String() + n.Value
			}
			p.i++
			return
		case c == '\\' && q == '"':
			with := strings.IndexByte(`"\ntre`, p.at(1))
			if with < 0 {
				p.fail()
				return
			}
			b.WriteString(p.s[from:p.i])
			b.WriteByte("\"\\\n\t\r\x1b"[with])
			p.i++
			from = p.i + 1
		}
	}
	p.fail()
}

// flow reads a list or mapping in brackets.
func (p *plainYAML) flow(n *yaml.Node) {
	if p.depth++; p.depth > maxDepth/2 {
		p.fail()
		return
	}
	first, mapping := len(p.content), p.at(0) == '{'
	tagged := n.Style
	n.Kind, n.Tag, n.Style = yaml.SequenceNode, "!!seq", yaml.FlowStyle|tagged
	closing := byte(']')
	if mapping {
		n.Kind, n.Tag, closing = yaml.MappingNode, "!!map", '}'
	}
	if tagged != 0 {
		n.Tag = "!reference"
	}
	p.i++
	for p.space(); p.at(0) != closing; p.space() {
		if mapping {
			key := p.flowKey()
			if p.slow {
				return
			}
			p.content = append(p.content, key)
			p.space()
		}
		item := p.flowItem()
		p.content = append(p.content, item)
		if p.space(); p.slow || p.at(0) != ',' && p.at(0) != closing {
			p.fail()
			return
		}
		if p.at(0) == ',' {
			p.i++
		}
	}
	if p.slow {
		return
	}
	p.i++
	p.close(n, first)
}

// space goes over white space between brackets.
func (p *plainYAML) space() {
	for p.i < len(p.s) {
		switch p.s[p.i] {
		case ' ':
			p.i++
		case '\n':
			p.newLine()
			if c := p.at(0); c == '-' || c == '.' || c == '%' {
				p.fail() // perhaps the end of the document
			}
		case '#', '\t':
			p.fail()
			return
		default:
			return
		}
	}
	p.fail()
}

// flowKey reads a key between brackets, and its colon.
func (p *plainYAML) flowKey() *yaml.Node {
	from := p.i
	n := p.node(yaml.ScalarNode, 0, "", "", from)
	if p.scalar(n, true); p.slow || p.i-from > longestKey || !p.keyed() {
		return p.fail()
	}
	p.i++
	return n
}

// flowItem reads one value between brackets.
func (p *plainYAML) flowItem() *yaml.Node {
	n := p.node(yaml.ScalarNode, 0, "", "", p.i)
	switch p.at(0) {
	case '*':
		p.alias(n)
	case '!', '[', '{':
		if p.properties(n); !p.slow && (n.Style == 0 || p.at(0) == '[') {
			p.flow(n)
			return n
		}
		p.fail()
	default:
		p.scalar(n, true)
	}
	return n
}
