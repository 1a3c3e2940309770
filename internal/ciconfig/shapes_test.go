package ciconfig

import (
	"fmt"
	"hash/fnv"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	"mvdan.cc/sh/v3/syntax"
)

// project is a CI file whose jobs are being written in another way.
type project struct {
	in    *Input
	root  *yaml.Node
	files int // scripts that have been added
}

// jobs calls a function for each job with a script of plain lines.
func (p *project) jobs(do func(job, script *yaml.Node)) {
	for i := 0; i+1 < len(p.root.Content); i += 2 {
		name, job := p.root.Content[i].Value, p.root.Content[i+1]
		if reserved[name] || strings.HasPrefix(name, ".") || job.Kind != yaml.MappingNode {
			continue
		}
		s := child(job, "script")
		if s == nil || s.Kind != yaml.SequenceNode || s.Tag == "!reference" || s.Anchor != "" || len(s.Content) == 0 {
			continue
		}
		if !slices.ContainsFunc(s.Content, func(n *yaml.Node) bool { return n.Kind != yaml.ScalarNode || n.Tag != "!!str" || n.Anchor != "" }) {
			do(job, s)
		}
	}
}

// scripts gives each script other lines, where these are shell text by themselves; none
// leave it as it is.
func scripts(with func(p *project, lines []string) []string) func(p *project) {
	return func(p *project) {
		p.jobs(func(_, script *yaml.Node) {
			var lines []string
			for _, n := range script.Content {
				line := strings.TrimRight(n.Value, "\n")
				if line == "" || strings.Contains(line, "<<") || strings.HasSuffix(line, `\`) || parseShell(syntax.NewParser(), line) == nil {
					return
				}
				lines = append(lines, line)
			}
			if got := with(p, lines); got != nil {
				script.Content, script.Style = nil, 0
				for _, l := range got {
					script.Content = append(script.Content, yamlText(l))
				}
			}
		})
	}
}

func yamlNode(kind yaml.Kind, tag string, content ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: kind, Tag: tag, Content: content}
}

func yamlText(s string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	if strings.Contains(s, "\n") {
		n.Style = yaml.LiteralStyle
	}
	return n
}

// set gives a mapping a value for a key, in the place of another.
func set(m *yaml.Node, key string, v *yaml.Node) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			m.Content[i+1] = v
			return
		}
	}
	m.Content = append(m.Content, yamlText(key), v)
}

// inScripts changes the lines of all scripts.
func (p *project) inScripts(old ...string) {
	p.jobs(func(_, script *yaml.Node) {
		for _, n := range script.Content {
			if !strings.Contains(n.Value, "'") {
				n.Value = strings.NewReplacer(old...).Replace(n.Value)
			}
		}
	})
}

func (p *project) global(name, value string) {
	if child(p.root, "variables") == nil {
		p.root.Content = append([]*yaml.Node{yamlText("variables"), yamlNode(yaml.MappingNode, "!!map")}, p.root.Content...)
	}
	set(child(p.root, "variables"), name, yamlText(value))
}

// moved gives each script to do, which returns what stands in its place and what is added
// to the file for it under a name.
func (p *project) moved(do func(name string, job, script *yaml.Node) (in, beside *yaml.Node)) {
	var more []*yaml.Node
	p.jobs(func(job, script *yaml.Node) {
		name := fmt.Sprintf(".moved-%d", len(more)/2)
		if in, beside := do(name, job, script); beside != nil {
			set(job, "script", in)
			more = append(more, yamlText(name), beside)
		}
	})
	p.root.Content = append(more, p.root.Content...)
}

// shapes are ways to write a pipeline that does the same.
var shapes = map[string]func(p *project){
	"block": scripts(func(_ *project, l []string) []string { return []string{strings.Join(l, "\n") + "\n"} }),
	"braces": scripts(func(_ *project, l []string) []string {
		return []string{"{\n" + strings.Join(l, "\n") + "\n}\n"}
	}),
	"subshell": scripts(func(_ *project, l []string) []string {
		return []string{"(\n" + strings.Join(l, "\n") + "\n)\n"}
	}),
	"function": scripts(func(_ *project, l []string) []string {
		return []string{"all() {\n" + strings.Join(l, "\n") + "\n}\n", "all"}
	}),
	"semicolons": scripts(func(_ *project, l []string) []string {
		if slices.ContainsFunc(l, func(s string) bool { return strings.ContainsAny(s, "#\n&") }) {
			return nil
		}
		return []string{strings.Join(l, "; ")}
	}),
	"quoted": scripts(func(_ *project, l []string) []string {
		all := strings.Join(l, "\n")
		if strings.Contains(all, "'") || strings.Contains(all, "export ") || strings.Contains(all, "$0") {
			return nil
		}
		return []string{"bash -ec '" + all + "'"}
	}),
	"here-document": scripts(func(_ *project, l []string) []string {
		return []string{"bash -e <<'EOF'\n" + strings.Join(l, "\n") + "\nEOF\n"}
	}),
	"file": scripts(func(p *project, l []string) []string {
		p.files++
		f := fmt.Sprintf("ci/moved-%d.sh", p.files)
		p.in.Files = append(p.in.Files, File{Path: f, Content: []byte("set -e\n" + strings.Join(l, "\n") + "\n")})
		return []string{"bash " + f}
	}),
	"loop": scripts(func(_ *project, l []string) []string {
		for i, s := range l {
			if w := strings.Fields(s); len(w) == 3 && w[0] == "docker" && (w[1] == "push" || w[1] == "pull") && !strings.ContainsAny(s, "'|&;`(\n<>#") {
				l[i] = "for image in " + w[2] + "; do docker " + w[1] + ` "$image"; done`
			}
		}
		return l
	}),
	"extends": func(p *project) {
		p.moved(func(name string, job, script *yaml.Node) (in, beside *yaml.Node) {
			if child(job, "extends") != nil || child(job, "<<") != nil {
				return nil, nil
			}
			set(job, "extends", yamlText(name))
			return &yaml.Node{Kind: yaml.SequenceNode, Tag: "!reference", Style: yaml.FlowStyle, Content: []*yaml.Node{yamlText(name), yamlText("script")}}, yamlNode(yaml.MappingNode, "!!map", yamlText("script"), script)
		})
	},
	"reference": func(p *project) {
		p.moved(func(name string, _, script *yaml.Node) (in, beside *yaml.Node) {
			ref := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!reference", Style: yaml.FlowStyle, Content: []*yaml.Node{yamlText(name), yamlText("script")}}
			return yamlNode(yaml.SequenceNode, "!!seq", ref), yamlNode(yaml.MappingNode, "!!map", yamlText("script"), script)
		})
	},
	"alias": func(p *project) {
		p.moved(func(name string, _, script *yaml.Node) (in, beside *yaml.Node) {
			script.Anchor = name[1:]
			return &yaml.Node{Kind: yaml.AliasNode, Value: name[1:], Alias: script}, script
		})
	},
	"include": func(p *project) {
		if child(p.root, "include") != nil || child(p.root, "spec") != nil {
			return
		}
		moved, err := yaml.Marshal(p.root)
		if err == nil {
			p.in.Files = append(p.in.Files, File{Path: "ci/moved.yml", Content: moved})
			p.root.Content = []*yaml.Node{yamlText("include"), yamlText("ci/moved.yml")}
		}
	},
	"base": func(p *project) {
		p.inScripts("${CI_REGISTRY_IMAGE}", "${MOVED_BASE}", "$CI_REGISTRY_IMAGE", "$MOVED_BASE")
		p.global("MOVED_BASE", "$CI_REGISTRY_IMAGE")
	},
	"commit": func(p *project) {
		p.inScripts("${CI_COMMIT_SHA}", "${MOVED_SHA}", "$CI_COMMIT_SHA", "$MOVED_SHA")
		p.global("MOVED_SHA", "$CI_COMMIT_SHA")
	},
}

// differing are the cases that come out in another way, by what is different.
var differing = map[string][]string{
	"inputs are put into CI files only":                               {"file/child-pipelines-of-a-matrix", "file/git-tag-by-input", "file/inputs-in-scripts", "file/inputs-truncated", "file/include-own-project"},
	"a script that others may take is not emptied":                    {"extends/r08-job-that-only-logs-in", "reference/r08-job-that-only-logs-in", "extends/moving-compared-with-the-last", "reference/moving-compared-with-the-last"},
	"quotes and functions are not emptied":                            {"quoted/moving-compared-with-the-last", "function/moving-compared-with-the-last"},
	"a line is told of once":                                          {"semicolons/written-out-with-a-name"},
	"what a loop pushes without a tag blocks":                         {"loop/push-without-tag"},
	"no sed is put before a command in a chain, or in quotes":         {"semicolons/manifest-applied", "quoted/manifest-applied", "here-document/manifest-applied", "file/manifest-applied", "quoted/r08-branch-written-out", "here-document/r08-branch-written-out", "file/r08-branch-written-out", "here-document/manifest-sed"},
	"a script that jobs merge is written twice, with one anchor":      {"alias/n02-nasty", "alias/yaml-merge-order"},
	"a job that has its script by an alias can be put in a container": {"alias/yaml-merge-container"},
}

// reshaped is a project in another shape. ok is false where that has no place in it.
func reshaped(in Input, shape func(p *project)) (out Input, ok bool) {
	out = in
	out.Files = slices.Clone(in.Files)
	i := slices.IndexFunc(out.Files, func(f File) bool { return f.Path == ".gitlab-ci.yml" })
	if i < 0 || in.Project.CIPath != "" {
		return out, false
	}
	docs, err := parseYAML(out.Files[i].Content)
	if err != nil || len(docs) != 1 {
		return out, false
	}
	root := docs[0]
	if root.Kind == yaml.DocumentNode {
		root = root.Content[0]
	}
	if v := child(root, "variables"); root.Kind != yaml.MappingNode || v != nil && v.Kind != yaml.MappingNode {
		return out, false
	}
	if shape != nil {
		shape(&project{in: &out, root: root})
	}
	content, err := yaml.Marshal(root)
	if err != nil {
		return out, false
	}
	_, err = parseYAML(content)
	out.Files[i].Content = content
	return out, err == nil
}

// does is what becomes of a project: whether it is rewritten, what it will push, and what it
// is warned of. That a whole job goes is not counted: where its script is one text, it stays.
func does(t *testing.T, in Input) (out []string) {
	t.Helper()
	res, err := Rewrite(in)
	if err != nil {
		t.Fatal(err)
	}
	invariants(t, in, res)
	if res.Blocked() {
		out = append(out, "blocked")
	}
	for _, p := range res.PushedTags {
		if !res.Blocked() {
			out = append(out, "pushes "+p)
		}
	}
	for _, f := range res.Findings {
		if f.Severity != Note && f.Code != "job-dropped" {
			out = append(out, fmt.Sprintf("%s %s", f.Severity, f.Code))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// TestShapes: how a script is written, and where, changes nothing of what becomes of its
// images. Each golden case is tried in some shapes, with CICONFIG_SHAPES=all in each.
func TestShapes(t *testing.T) {
	t.Parallel()
	names := sortedKeys(shapes)
	for name, in := range goldenInputs(t) {
		h := fnv.New32a()
		h.Write([]byte(name))
		first, n := int(h.Sum32()), 4
		if os.Getenv("CICONFIG_SHAPES") == "all" {
			n = len(names)
		}
		for k := range n {
			shape := names[(first+k)%len(names)]
			t.Run(name+"/"+shape, func(t *testing.T) {
				t.Parallel()
				for why, list := range differing {
					if slices.Contains(list, shape+"/"+name) {
						t.Skip(why)
					}
				}
				plain, ok := reshaped(in, nil)
				other, fine := reshaped(in, shapes[shape])
				if !ok || !fine {
					t.Skip("not one CI file that can be written in another way")
				}
				if d := cmp.Diff(does(t, other), does(t, plain)); d != "" {
					t.Errorf("got (-), want (+):\n%s", d)
				}
			})
		}
	}
}
