package ciconfig

import (
	"bytes"
	"strings"

	"go.yaml.in/yaml/v3"
)

// nodeEnd is the byte after a node's last character. ok is false where the
// layout is not understood.
func (c *config) nodeEnd(d *document, n *yaml.Node) (end int, ok bool) {
	src := d.src
	start := src.offset(n.Line, n.Column)
	switch {
	case n.Kind == yaml.AliasNode:
		return start + 1 + len(n.Value), true
	case n.Kind == yaml.ScalarNode:
		ch := c.scalar(d, n)
		if ch == nil {
			return start, n.Value == ""
		}
		if len(ch.segs) == 0 {
			return emptyScalar(src, start), true
		}
		end = ch.segs[len(ch.segs)-1].end
		if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
			end++
		}
		return end, true
	}
	end = start
	for _, x := range n.Content {
		e, ok := c.nodeEnd(d, x)
		if !ok {
			return 0, false
		}
		end = max(end, e)
	}
	if n.Style&yaml.FlowStyle == 0 {
		return end, true
	}
	if len(n.Content) == 0 {
		for end < len(src.data) && src.data[end] != '[' && src.data[end] != '{' {
			end++
		}
		end++
	}
	for ; end < len(src.data); end++ {
		switch b := src.data[end]; {
		case b == ']' || b == '}':
			return end + 1, true
		case b == '#':
			_, next := src.line(end)
			end = next - 1
		case b != ',' && !blank(b) && lineBreak(src.data[end:]) == 0:
			return 0, false
		}
	}
	return 0, false
}

// emptyScalar is the end of an empty value, which is written as nothing or as a pair
// of quotes, behind a tag perhaps.
func emptyScalar(src *source, start int) int {
	d := &aligner{src: src, in: src.data, i: start}
	d.properties()
	for _, q := range []string{`""`, `''`} {
		if bytes.HasPrefix(src.data[d.i:], []byte(q)) {
			return d.i + len(q)
		}
	}
	return start
}

// keyed is a key of a block mapping with its lines.
type keyed struct {
	key, value *yaml.Node
	lines      span // whole lines, from the key's line to the end of the value
	indent     string
}

// keyLines finds the lines of a key that stands in a block mapping itself, not
// in what it merges, and only once.
func (c *config) keyLines(d *document, m *yaml.Node, key string) (k keyed, ok bool) {
	if m == nil || m.Kind != yaml.MappingNode || m.Style&yaml.FlowStyle != 0 {
		return k, false
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value != key {
			continue
		}
		for n := i + 2; n < len(m.Content); n += 2 {
			if m.Content[n].Value == key {
				return k, false
			}
		}
		k.key, k.value = m.Content[i], m.Content[i+1]
		at := d.src.offset(k.key.Line, k.key.Column)
		from, _ := d.src.line(at)
		end, fine := c.nodeEnd(d, k.value)
		if !fine {
			return k, false
		}
		if end > at && lineBreak(d.src.data[end-1:]) == 0 || end == at {
			_, end = d.src.line(end)
		}
		k.indent = string(d.src.data[from:at])
		if strings.TrimSpace(k.indent) != "" {
			return k, false
		}
		k.lines = span{d.src, from, end}
		return k, true
	}
	return k, false
}

// nothing is where a value can stand that a key has not, as it says null or an empty list;
// ok is false where it has one.
func (c *config) nothing(d *document, k keyed) (at span, ok bool) {
	v, end := k.value, 0
	switch {
	case v.Anchor != "" || v.Kind == yaml.AliasNode || v.Style&yaml.TaggedStyle != 0:
	case isNull(v) && v.Value == "":
		if end, ok = c.nodeEnd(d, k.key); !ok {
			return at, false
		}
		colon := strings.IndexByte(string(d.src.data[end:]), ':')
		return span{d.src, end + colon + 1, end + colon + 1}, colon >= 0
	case isNull(v), v.Kind == yaml.SequenceNode && v.Style&yaml.FlowStyle != 0 && len(v.Content) == 0:
		start := d.src.offset(v.Line, v.Column)
		end, ok = c.nodeEnd(d, v)
		for start > 0 && d.src.data[start-1] == ' ' {
			start--
		}
		return span{d.src, start, end}, ok && d.src.data[start-1] == ':'
	}
	return at, false
}

// has says whether a mapping itself, not what it merges, has the key.
func has(m *yaml.Node, key string) bool {
	if m == nil || m.Kind != yaml.MappingNode {
		return false
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return true
		}
	}
	return false
}
