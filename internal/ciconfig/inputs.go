package ciconfig

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// GitLab puts inputs into a file before it looks at anything else in it, so
// $[[ inputs.name ]] may stand anywhere, with spaces and functions inside.
// https://docs.gitlab.com/ci/inputs/
var interpolation = regexp.MustCompile(`\$\[\[\s*inputs\.([A-Za-z0-9_.-]+)[^\]]*\]\]`)

// listed are the lists that an input puts in the place of a node, one of each include.
func (d *document) listed(n *yaml.Node) []line {
	if d == nil || n.Kind != yaml.ScalarNode || !strings.HasPrefix(n.Value, "$[[") {
		return nil
	}
	m := interpolation.FindStringSubmatch(n.Value)
	if m == nil || m[0] != strings.TrimSpace(n.Value) {
		return nil
	}
	return d.lists[m[1]]
}

// masked is shell text with an expansion of the same length in the place of
// each interpolation, which a shell parser would read as arithmetic.
func masked(s string) string {
	if !strings.Contains(s, "$[[") {
		return s
	}
	return interpolation.ReplaceAllStringFunc(s, func(m string) string {
		return "${" + strings.Repeat("i", len(m)-3) + "}"
	})
}

// interpolated are the values of the bytes from i to j, inputs put in.
func (sh *shell) interpolated(ch *chunk, i, j int, split bool) []text {
	if !strings.Contains(ch.text[i:j], "$[[") {
		return ch.value(i, j)
	}
	d := sh.env.cfg.byPath[ch.src.path]
	out := []text{{}}
	last := i
	for _, m := range interpolation.FindAllStringSubmatchIndex(ch.text[i:j], -1) {
		out = product(out, []text{ch.pieces(last, i+m[0])})
		last = i + m[1]
		name, at := ch.text[i+m[2]:i+m[3]], ch.span(i+m[0], last)
		var vals []text
		if d != nil {
			vals = sh.env.whole(sh.env.inputs(d, name), at)
		}
		out = product(out, expanded(vals, "inputs."+name, at, split))
	}
	return product(out, []text{ch.pieces(last, j)})
}

// takesInput says whether an include names a file of the repository that has
// the input: then the value is followed to where the file uses it.
func (c *config) takesInput(inc *yaml.Node, name string) bool {
	files := items(child(inc, "local"))
	if c.own(value(child(inc, "project")), value(child(inc, "ref"))) {
		files = items(child(inc, "file"))
	}
	if file := c.ownComponent(value(child(inc, "component"))); file != "" {
		files = []*yaml.Node{{Value: file}}
	}
	return slices.ContainsFunc(files, func(f *yaml.Node) bool {
		d := c.byPath[path.Clean(strings.TrimPrefix(c.expand(value(deref(f))), "/"))]
		return d != nil && d.spec != nil && has(child(d.spec, "inputs"), name)
	})
}
