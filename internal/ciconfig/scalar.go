package ciconfig

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// scalar decodes a YAML scalar again, beside the parser, to learn where each
// byte of its value was written. The parser's value leads: where source and
// value cannot be laid side by side, the answer is nil.
func scalar(src *source, n *yaml.Node) *chunk {
	d := &aligner{src: src, in: src.data, i: src.offset(n.Line, n.Column), value: n.Value}
	d.out.src = src
	d.properties()
	ok := false
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		ok = d.accept('"') && d.double() && d.accept('"')
	case n.Style&yaml.SingleQuotedStyle != 0:
		ok = d.accept('\'') && d.single() && d.accept('\'')
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		ok = d.block()
	default:
		ok = d.plain()
	}
	if !ok || d.j != len(d.value) {
		return nil
	}
	d.out.text = d.value
	return &d.out
}

// aligner walks source bytes (i) and decoded bytes (j) together.
type aligner struct {
	src   *source
	in    []byte
	i     int
	value string
	j     int
	out   chunk
	buf   []byte
}

// put records that the next len(text) bytes of the value were written as the
// next width bytes of the source.
func (d *aligner) put(text string, width int) bool {
	if !strings.HasPrefix(d.value[d.j:], text) {
		return false
	}
	d.out.add(&d.buf, text, d.i, d.i+width)
	d.i += width
	d.j += len(text)
	return true
}

func (d *aligner) accept(c byte) bool {
	if d.i < len(d.in) && d.in[d.i] == c {
		d.i++
		return true
	}
	return false
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

// properties skips an anchor, a tag and the white space before the value.
func (d *aligner) properties() {
	for d.i < len(d.in) {
		switch c := d.in[d.i]; {
		case c == '&' || c == '!':
			for d.i < len(d.in) && !blank(d.in[d.i]) && lineBreak(d.in[d.i:]) == 0 {
				d.i++
			}
		case blank(c):
			d.i++
		case lineBreak(d.in[d.i:]) > 0:
			d.i += lineBreak(d.in[d.i:])
		case c == '#':
			for d.i < len(d.in) && lineBreak(d.in[d.i:]) == 0 {
				d.i++
			}
		default:
			return
		}
	}
}

// fold takes white space with line breaks: one break is a space in the value,
// more are one line break less.
func (d *aligner) fold() bool {
	start, breaks := d.i, 0
	i := d.i
	for i < len(d.in) {
		if blank(d.in[i]) {
			i++
		} else if w := lineBreak(d.in[i:]); w > 0 {
			breaks++
			i += w
		} else {
			break
		}
	}
	if breaks == 0 {
		return d.put(string(d.in[start:i]), i-start)
	}
	if breaks == 1 {
		return d.put(" ", i-start)
	}
	return d.put(strings.Repeat("\n", breaks-1), i-start)
}

func (d *aligner) plain() bool {
	for d.j < len(d.value) {
		if d.i >= len(d.in) {
			return false
		}
		if blank(d.in[d.i]) || lineBreak(d.in[d.i:]) > 0 {
			if !d.fold() {
				return false
			}
			continue
		}
		if !d.char() {
			return false
		}
	}
	return true
}

// char takes characters that stand for themselves: one at least, and all letters
// and other bytes behind it that mean nothing to YAML in any style.
func (d *aligner) char() bool {
	_, w := utf8.DecodeRune(d.in[d.i:])
	for d.i+w < len(d.in) && w < len(d.value)-d.j && plainByte[d.in[d.i+w]] {
		w++
	}
	w = max(min(w, len(d.value)-d.j), 1)
	return d.put(string(d.in[d.i:d.i+w]), w)
}

// plainByte are printable ASCII characters but quotes and the backslash.
var plainByte = func() (is [256]bool) {
	for c := byte('!'); c <= '~'; c++ {
		is[c] = c != '\'' && c != '"' && c != '\\'
	}
	return is
}()

func (d *aligner) single() bool {
	for d.i < len(d.in) {
		switch c := d.in[d.i]; {
		case c == '\'' && d.i+1 < len(d.in) && d.in[d.i+1] == '\'':
			if !d.put("'", 2) {
				return false
			}
		case c == '\'':
			return true
		case blank(c) || lineBreak(d.in[d.i:]) > 0:
			if !d.fold() {
				return false
			}
		default:
			if !d.char() {
				return false
			}
		}
	}
	return false
}

func (d *aligner) double() bool {
	for d.i < len(d.in) {
		switch c := d.in[d.i]; {
		case c == '"':
			return true
		case c == '\\':
			if !d.escape() {
				return false
			}
		case blank(c) || lineBreak(d.in[d.i:]) > 0:
			if !d.fold() {
				return false
			}
		default:
			if !d.char() {
				return false
			}
		}
	}
	return false
}

var escapes = map[byte]string{
	'0': "\x00", 'a': "\a", 'b': "\b", 't': "\t", '\t': "\t", 'n': "\n", 'v': "\v", 'f': "\f", 'r': "\r",
	'e': "\x1b", ' ': " ", '"': `"`, '/': "/", '\\': `\`, 'N': "\u0085", '_': "\u00a0", 'L': "\u2028", 'P': "\u2029",
}

func (d *aligner) escape() bool {
	if d.i+1 >= len(d.in) {
		return false
	}
	c := d.in[d.i+1]
	if w := lineBreak(d.in[d.i+1:]); w > 0 { // an escaped line break joins the lines
		d.i += 1 + w
		for d.i < len(d.in) && blank(d.in[d.i]) {
			d.i++
		}
		return true
	}
	if t, ok := escapes[c]; ok {
		return d.put(t, 2)
	}
	if n := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]; n > 0 && d.i+2+n <= len(d.in) {
		code, err := strconv.ParseUint(string(d.in[d.i+2:d.i+2+n]), 16, 32)
		return err == nil && d.put(string(rune(code)), 2+n)
	}
	return false
}

// block takes a literal or folded block scalar, the header first.
func (d *aligner) block() bool {
	if !d.accept('|') && !d.accept('>') {
		return false
	}
	d.rest()
	indent := -1
	for d.j < len(d.value) && d.i < len(d.in) {
		// the line break, then empty lines, then the next content
		start := d.i
		breaks := 0
		for d.i < len(d.in) {
			w := lineBreak(d.in[d.i:])
			if w == 0 {
				break
			}
			breaks++
			d.i += w
			k := d.i
			for k < len(d.in) && d.in[k] == ' ' && (indent < 0 || k-d.i < indent) {
				k++
			}
			if k >= len(d.in) || lineBreak(d.in[k:]) > 0 {
				d.i = k // an empty line
				continue
			}
			if indent < 0 {
				lead := len(d.value[d.j:]) - len(strings.TrimLeft(strings.TrimLeft(d.value[d.j:], "\n"), " "))
				lead -= len(d.value[d.j:]) - len(strings.TrimLeft(d.value[d.j:], "\n"))
				if indent = k - d.i - lead; indent < 0 {
					return false
				}
			}
			break
		}
		if breaks == 0 {
			return false
		}
		d.breaks(start, breaks)
		if d.j >= len(d.value) {
			return true
		}
		d.i = min(d.i+max(indent, 0), len(d.in))
		content := d.i
		d.rest()
		line := string(d.in[content:d.i])
		end := d.i
		d.i = content
		if !d.put(line, end-content) {
			return false
		}
	}
	return d.j == len(d.value)
}

// breaks lays line breaks of the value, or the one space of a fold, beside the
// source bytes from start to i.
func (d *aligner) breaks(start, most int) {
	at := d.i
	n := 0
	for d.j+n < len(d.value) && n < most && d.value[d.j+n] == '\n' {
		n++
	}
	if n == 0 && d.j > 0 && d.j < len(d.value) && d.value[d.j] == ' ' {
		n = 1
	}
	if n > 0 {
		text := d.value[d.j : d.j+n]
		d.out.add(&d.buf, text, start, at)
		d.j += n
	}
}

// rest goes to the end of the line.
func (d *aligner) rest() {
	for d.i < len(d.in) && lineBreak(d.in[d.i:]) == 0 {
		d.i++
	}
}
