package ciconfig

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// restyle writes a node of a CI file in another way that means the same.
type restyle func(n *yaml.Node)

// onScalars is a restyle of scalars.
func onScalars(do restyle) restyle {
	return func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode && n.Tag != "!!null" && n.Tag != "!!bool" && n.Tag != "!!int" && !strings.HasPrefix(n.Value, " ") {
			do(n)
		}
	}
}

var bareVariable = regexp.MustCompile(`(^|[^$\\])\$([A-Za-z_][A-Za-z0-9_]*)`)

var styles = map[string]restyle{
	"double": onScalars(func(n *yaml.Node) { n.Style = yaml.DoubleQuotedStyle }),
	"single": onScalars(func(n *yaml.Node) {
		if !strings.Contains(n.Value, "\n") {
			n.Style = yaml.SingleQuotedStyle
		}
	}),
	"literal": onScalars(func(n *yaml.Node) { n.Style = yaml.LiteralStyle }),
	"folded":  onScalars(func(n *yaml.Node) { n.Style = yaml.FoldedStyle }),
	"tagged": onScalars(func(n *yaml.Node) {
		n.Tag = "!!str"
		n.Style |= yaml.TaggedStyle
	}),
	"flow": func(n *yaml.Node) {
		if n.Kind == yaml.SequenceNode && !slices.ContainsFunc(n.Content, func(x *yaml.Node) bool {
			return x.Kind != yaml.ScalarNode || x.HeadComment+x.LineComment+x.FootComment != ""
		}) {
			n.Style |= yaml.FlowStyle
		}
	},
	"braces": onScalars(func(n *yaml.Node) { n.Value = bareVariable.ReplaceAllString(n.Value, "$1$${$2}") }),
	"crlf":   func(*yaml.Node) {}, // see below
}

// rewritten is the meaning of a project's CI files after the rewrite.
func rewritten(t *testing.T, in Input) (map[string][]any, []string) {
	t.Helper()
	res, err := Rewrite(in)
	if err != nil {
		t.Fatal(err)
	}
	invariants(t, in, res)
	out := map[string][]any{}
	for _, f := range in.Files {
		b := f.Content
		for _, e := range res.Edits {
			if e.Path == f.Path {
				b = e.After
			}
		}
		if !isYAML(f.Path) {
			out[f.Path] = []any{string(b)}
			continue
		}
		docs, err := parseYAML(b)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range docs {
			out[f.Path] = append(out[f.Path], meaning(n, 0))
		}
	}
	var codes []string
	for _, f := range res.Findings {
		codes = append(codes, fmt.Sprintf("%s %s %s", f.Severity, f.Code, bareVariable.ReplaceAllString(f.Detail, "$1$${$2}")))
	}
	slices.Sort(codes)
	return out, slices.Compact(codes)
}

// meaning is a node without its style.
func meaning(n *yaml.Node, depth int) any {
	switch n = deref(n); {
	case depth > 20:
		return "deep"
	case n.Kind == yaml.MappingNode:
		out := map[string]any{}
		for _, e := range entries(n, 0) {
			out[e.key.Value] = meaning(e.value, depth+1)
		}
		return out
	case n.Kind == yaml.SequenceNode:
		var out []any
		for _, x := range n.Content {
			out = append(out, meaning(x, depth+1))
		}
		return out
	}
	return unwrapped.ReplaceAllString(bareVariable.ReplaceAllString(strings.TrimRight(n.Value, "\n"), "$1$${$2}"), " ")
}

// unwrapped is where a long command goes on in the next line.
var unwrapped = regexp.MustCompile(` \\\n *`)

// inCI does something with every value of a CI file.
func inCI(n *yaml.Node, do restyle) {
	for i, c := range n.Content {
		if n.Tag == "!reference" || n.Kind == yaml.MappingNode && (i%2 == 0 || n.Content[i-1].Value == "if") {
			continue // names, and expressions of a language of their own
		}
		inCI(c, do)
	}
	do(n)
}

// TestStyles: how a scalar is written changes nothing of what the rewrite does. Each
// golden case is written in other styles of YAML; the result has to mean the same,
// and the findings have to be the same, though at other places.
func TestStyles(t *testing.T) {
	t.Parallel()
	for golden, in := range goldenInputs(t) {
		for name, style := range styles {
			t.Run(golden+"/"+name, func(t *testing.T) {
				t.Parallel()
				plain, ok := styled(in, func(*yaml.Node) {})
				other, fine := styled(in, style)
				for i, f := range other.Files {
					if name == "crlf" && isYAML(f.Path) {
						other.Files[i].Content = bytes.ReplaceAll(f.Content, []byte("\n"), []byte("\r\n"))
					}
				}
				if !ok || !fine {
					t.Skip("the writer of YAML does not keep what this case is about")
				}
				want, wantCodes := rewritten(t, plain)
				got, codes := rewritten(t, other)
				if name == "flow" && keepsEntries(wantCodes, codes) {
					return
				}
				if d := cmp.Diff(got, want); d != "" {
					t.Errorf("got (-), want (+):\n%s", d)
				}
				if d := cmp.Diff(codes, wantCodes); d != "" {
					t.Errorf("findings: got (-), want (+):\n%s", d)
				}
			})
		}
	}
}

// keepsEntries says whether a list in brackets keeps what is dropped of one in lines:
// then a tag of the build takes the place of the moving one, and the pull of a cache
// stays. Findings of one line are told once.
func keepsEntries(lines, brackets []string) bool {
	return !slices.Equal(lines, brackets) && slices.ContainsFunc(lines, func(s string) bool {
		return strings.Contains(s, "tag-dropped") || strings.Contains(s, "cache-dropped") || strings.Contains(s, "text-left")
	})
}

// styled is the project with its CI files in another style. ok is false where the
// files do not mean the same any more.
func styled(in Input, style restyle) (out Input, ok bool) {
	out = in
	out.Files = slices.Clone(in.Files)
	for i, f := range in.Files {
		if !isYAML(f.Path) {
			continue
		}
		docs, err := parseYAML(f.Content)
		if err != nil || len(docs) == 0 {
			return out, false
		}
		var b strings.Builder
		var before []any
		for k, n := range docs {
			before = append(before, meaning(n, 0))
			inCI(n, style)
			text, err := yaml.Marshal(n)
			if err != nil {
				return out, false
			}
			if k > 0 {
				b.WriteString("---\n")
			}
			b.Write(text)
		}
		again, err := parseYAML([]byte(b.String()))
		if err != nil || len(again) != len(docs) {
			return out, false
		}
		for k, n := range again {
			if !cmp.Equal(meaning(n, 0), before[k]) {
				return out, false
			}
		}
		out.Files[i].Content = []byte(b.String())
	}
	return out, true
}
