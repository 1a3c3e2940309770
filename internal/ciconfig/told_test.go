package ciconfig

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// staying are cases in which the old registry rightly stays without a finding in its line.
var staying = map[string][]string{
	"a key of kustomize, by which the old name is found": {"argocd-kustomize-image", "kustomize-keeps-the-name", "kustomize-key-of-another", "kustomize-keys", "kustomize-star-moving"},
	"what sed looks for":                    {"manifest-sed", "sed-slashes"},
	"told where it is used":                 {"make-open-registry", "r06-base-in-parts", "r12-registry-of-a-chart", "n09-foreign-once", "old-host-default"},
	"for people":                            {"terraform-describes", "scripts-anywhere"},
	"a default that nobody takes in GitLab": {"bake-default-base"},
}

var ownVariable = regexp.MustCompile(`\$CI_REGISTRY_IMAGE\b|\$\{CI_REGISTRY_IMAGE\}`)

// writtenOut puts the old repository in the place of its variable.
func writtenOut(p *project) {
	var in func(n *yaml.Node)
	in = func(n *yaml.Node) {
		for i, x := range n.Content {
			if n.Kind != yaml.MappingNode || i%2 == 1 && !slices.Contains([]string{"rules", "include", "inputs"}, n.Content[i-1].Value) {
				in(x)
			}
		}
		if n.Kind == yaml.ScalarNode {
			n.Value = ownVariable.ReplaceAllLiteralString(n.Value, "registry.uninett.no/group/project")
		}
	}
	in(p.root)
}

// TestOldRegistryTold: where the old registry is written out and a rewrite leaves it, a finding
// tells its line.
func TestOldRegistryTold(t *testing.T) {
	t.Parallel()
	for name, plain := range goldenInputs(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for why, list := range staying {
				if slices.Contains(list, name) {
					t.Skip(why)
				}
			}
			in, ok := reshaped(plain, writtenOut)
			if !ok {
				t.Skip("not one CI file that can be written in another way")
			}
			res, err := Rewrite(in)
			if err != nil {
				t.Fatal(err)
			}
			if res.Blocked() {
				return
			}
			untold(t, in, res, true, func(f File, line string) bool {
				return !prose(f.Path) && strings.Contains(uncommented(line), "registry.uninett.no")
			})
		})
	}
}

// untold looks for lines that a rewrite has left in a form which would be wrong, and that no
// finding tells of; notes says whether one for information does.
func untold(t *testing.T, in Input, res *Result, notes bool, wrong func(f File, line string) bool) {
	t.Helper()
	told := map[string]bool{}
	for _, f := range res.Findings {
		if f.Severity == Note && !notes {
			continue
		}
		for i := range 1 + strings.Count(f.Text, "\n") {
			told[fmt.Sprintf("%s:%d", f.File, f.Line+i)] = true
		}
		for _, a := range f.Also {
			told[a] = true
		}
	}
	for _, f := range in.Files {
		after := f.Content
		for _, e := range res.Edits {
			if e.Path == f.Path {
				after = e.After
			}
		}
		before := strings.Split(string(f.Content), "\n")
		for line := range strings.SplitSeq(string(after), "\n") {
			if wrong(f, line) && !told[fmt.Sprintf("%s:%d", f.Path, slices.Index(before, line)+1)] {
				t.Errorf("%s: nothing tells of %q", f.Path, strings.TrimSpace(line))
			}
		}
	}
}
