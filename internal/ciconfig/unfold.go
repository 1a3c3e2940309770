package ciconfig

import (
	"bytes"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A job that is written in one line, in braces, has no lines into which a script fits. One
// that has to start a container is written in lines before:
//
//	test: {image: $CI_REGISTRY_IMAGE:$CI_COMMIT_SHA, script: [make test]}
//	->  test:
//	      image: $CI_REGISTRY_IMAGE:$CI_COMMIT_SHA
//	      script: [make test]

// unfold writes the jobs in lines that run in an own image.
func (r *run) unfold() []change {
	var out []change
	r.each(func() {
		for _, s := range r.sites() {
			own := s.job.own
			out = append(out, own.unfolded(r.cfg)...)
			if own.node == nil || own.node.Kind != yaml.MappingNode {
				continue
			}
			for i := 0; i+1 < len(own.node.Content); i += 2 { // and what it merges, which loses the image
				if own.node.Content[i].Value == "<<" {
					for _, n := range items(deref(own.node.Content[i+1])) {
						out = append(out, (&tree{node: deref(n), doc: own.doc}).unfolded(r.cfg)...)
					}
				}
			}
		}
	})
	return distinct(out)
}

// unfolded are the changes that write a mapping in braces, and in one line, in lines; none
// where it is not understood.
func (t *tree) unfolded(c *config) []change {
	m, d := t.node, t.doc
	if m == nil || m.Kind != yaml.MappingNode || m.Style&yaml.FlowStyle == 0 || !d.src.editable || len(m.Content) == 0 {
		return nil
	}
	src := d.src
	end, ok := c.nodeEnd(d, m)
	first := src.offset(m.Content[0].Line, m.Content[0].Column)
	open := bytes.LastIndexByte(src.data[:first], '{')
	if !ok || open < 0 || strings.TrimSpace(string(src.data[open+1:first])) != "" {
		return nil
	}
	from, to := src.line(open)
	if end > to || end < first {
		return nil // more than a line
	}
	before := strings.TrimRight(string(src.data[from:open]), " ")
	if strings.ContainsAny(before, "{[\t") || strings.TrimSpace(uncommented(string(src.data[end:to]))) != "" || !strings.Contains(before, ":") {
		return nil // a part of something else in brackets
	}
	line := src.eol() + before[:len(before)-len(strings.TrimLeft(before, " "))] + "  "
	var out []change
	at := from + len(before) // how far it is written
	for i := 0; i+1 < len(m.Content); i += 2 {
		k, v := m.Content[i], m.Content[i+1]
		key := src.offset(k.Line, k.Column)
		keyEnd, known := c.nodeEnd(d, k)
		valueEnd, fine := c.nodeEnd(d, v)
		if !known || !fine || key < at || keyEnd < key || valueEnd > end || strings.Trim(string(src.data[at:key]), " ,{") != "" {
			return nil
		}
		if v.Kind == yaml.ScalarNode && v.Style == 0 && strings.HasSuffix(v.Value, ":") {
			return nil // it would be a key in a line of its own
		}
		out = append(out, change{span: span{src, at, key}, with: line})
		colon := keyEnd + bytes.IndexByte(src.data[keyEnd:end], ':')
		if colon < keyEnd || strings.TrimSpace(string(src.data[keyEnd:colon])) != "" {
			return nil
		}
		at = max(colon+1, valueEnd)
		if colon+1 < at && src.data[colon+1] != ' ' {
			out = append(out, change{span: span{src, colon + 1, colon + 1}, with: " "})
		}
	}
	if strings.Trim(string(src.data[at:end]), " ,}") != "" {
		return nil
	}
	return append(out, change{span: span{src, at, end}})
}
