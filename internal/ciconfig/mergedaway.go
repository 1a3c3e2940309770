package ciconfig

import (
	"bytes"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// mergedAway are the places of values that nobody gets, in order: they stand in a mapping
// that is only there to be merged, and each mapping that merges it gives their key another
// value.
func (s *source) mergedAway() []span {
	out := []span{}
	if !isYAML(s.path) || !bytes.Contains(s.data, []byte("<<")) {
		return out
	}
	docs, _ := s.documents()
	merged, taken := map[*yaml.Node]bool{}, map[*yaml.Node]bool{}
	each := func(root *yaml.Node, f func(m *yaml.Node)) {
		seen := map[*yaml.Node]bool{}
		var walk func(n *yaml.Node)
		walk = func(n *yaml.Node) {
			if n = deref(n); n == nil || seen[n] {
				return
			}
			seen[n] = true
			if n.Kind == yaml.MappingNode {
				f(n)
			}
			for _, x := range n.Content {
				walk(x)
			}
		}
		walk(root)
	}
	for _, d := range docs {
		each(d, func(m *yaml.Node) {
			found := false
			for i := 0; i+1 < len(m.Content); i += 2 {
				for _, x := range items(m.Content[i+1]) {
					if merges(m.Content[i]) {
						merged[deref(x)], found = true, true
					}
				}
			}
			if found {
				for _, e := range entries(m, 0) {
					taken[e.value] = true
				}
			}
		})
	}
	for _, d := range docs {
		for _, e := range entries(d, 0) {
			if !strings.HasPrefix(e.key.Value, ".") {
				continue
			}
			each(e.value, func(m *yaml.Node) {
				for i := 1; i < len(m.Content) && merged[m]; i += 2 {
					if v := m.Content[i]; v.Kind == yaml.ScalarNode && !taken[v] {
						if ch := s.scalar(v); ch != nil {
							out = append(out, ch.span(0, len(ch.text)))
						}
					}
				}
			})
		}
	}
	slices.SortFunc(out, func(a, b span) int { return a.start - b.start })
	return out
}

// inOneOf says whether a place lies in one of some spans, which are in order.
func inOneOf(list []span, at int) bool {
	i, found := slices.BinarySearchFunc(list, at, func(s span, at int) int { return s.start - at })
	return found || i > 0 && at < list[i-1].end
}
