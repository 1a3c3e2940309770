package ciconfig

import (
	"cmp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Plain scalars in brackets end at a comma or a bracket. [docker run $B:latest] cannot become
// [docker run $B:${CI_COMMIT_TAG:-latest}]: such a scalar gets single quotes.
// https://yaml.org/spec/1.2.2/#733-plain-style

// inQuotes adds the quotes of those in which changes put what would end them, and of those
// that would begin as something else.
func inQuotes(changes []change) []change {
	var scalars []*chunk
	for _, c := range changes {
		if strings.ContainsAny(c.with, "{}[],") && isYAML(c.path()) {
			if ch := c.src.inBrackets(c.start); ch != nil && !slices.Contains(scalars, ch) {
				scalars = append(scalars, ch)
			}
		}
	}
	for _, ch := range beheaded(changes) {
		if !slices.Contains(scalars, ch) {
			scalars = append(scalars, ch)
		}
	}
	for _, ch := range scalars {
		changes = inQuotesOf(changes, span{ch.src, ch.segs[0].start, ch.segs[len(ch.segs)-1].end})
	}
	return changes
}

// beheaded are the plain scalars that would not be text, or none of YAML's, without their
// beginning: of docker push $B:latest; [ -f x ] is left what looks like a list, and of one
// with ; true what is no command to GitLab.
func beheaded(changes []change) (out []*chunk) {
	cuts := map[*source]map[int]int{} // where each begins and ends
	for _, c := range changes {
		if c.with == "" && c.start < c.end && isYAML(c.path()) {
			if cuts[c.src] == nil {
				cuts[c.src] = map[int]int{}
			}
			cuts[c.src][c.start] = max(c.end, cuts[c.src][c.start])
		}
	}
	for s, ends := range cuts {
		for n, ch := range s.scalars {
			if n.Style&^yaml.TaggedStyle != 0 || ch == nil || len(ch.segs) == 0 {
				continue
			}
			at, end := ch.segs[0].start, ch.segs[len(ch.segs)-1].end
			for to, gone := ends[at]; gone; to, gone = ends[at] {
				for at = to; at < end && blank(s.data[at]); at++ {
				}
			}
			if at > ch.segs[0].start && at < end && !plainText(s.data[at:end]) {
				out = append(out, ch)
			}
		}
	}
	slices.SortFunc(out, func(a, b *chunk) int {
		return cmp.Or(strings.Compare(a.src.path, b.src.path), a.segs[0].start-b.segs[0].start)
	})
	return out
}

// plainText says whether bytes are text to YAML as they stand.
func plainText(b []byte) bool {
	var doc yaml.Node
	if yaml.Unmarshal(b, &doc) != nil || len(doc.Content) != 1 {
		return false
	}
	n := doc.Content[0]
	return n.Kind == yaml.ScalarNode && n.Style == 0 && n.Tag == "!!str" && slices.Equal(strings.Fields(n.Value), strings.Fields(string(b)))
}

// inQuotesOf puts a scalar into quotes, with those that it has doubled.
func inQuotesOf(changes []change, scalar span) []change {
	src := scalar.src
	out := []change{{span: span{src, scalar.start, scalar.start}, with: "'"}}
	replaced := func(i int) bool {
		return slices.ContainsFunc(changes, func(c change) bool { return c.src == src && c.start <= i && i < c.end })
	}
	for i := scalar.start; i < scalar.end; i++ {
		if src.data[i] == '\'' && !replaced(i) {
			out = append(out, change{span: span{src, i, i}, with: "'"})
		}
	}
	for _, c := range changes {
		if c.src == src && c.start >= scalar.start && c.end <= scalar.end {
			c.with = strings.ReplaceAll(c.with, "'", "''")
		}
		out = append(out, c)
	}
	return append(out, change{span: span{src, scalar.end, scalar.end}, with: "'"})
}

// inBrackets is the plain scalar of a list or mapping in brackets at a place.
func (s *source) inBrackets(offset int) *chunk {
	docs, _ := s.documents()
	for _, d := range docs {
		if ch := s.flowing(d, offset, false); ch != nil {
			return ch
		}
	}
	return nil
}

func (s *source) flowing(n *yaml.Node, offset int, flow bool) *chunk {
	if n.Kind == yaml.ScalarNode {
		if ch := s.scalars[n]; flow && n.Style&^yaml.TaggedStyle == 0 && ch != nil && len(ch.segs) > 0 && offset >= ch.segs[0].start && offset <= ch.segs[len(ch.segs)-1].end {
			return ch
		}
		return nil
	}
	for _, k := range n.Content {
		if ch := s.flowing(k, offset, flow || n.Style&yaml.FlowStyle != 0); ch != nil {
			return ch
		}
	}
	return nil
}
