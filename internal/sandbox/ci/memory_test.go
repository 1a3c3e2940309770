package ci

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/templates"
)

// memory is a server whose repositories have the same files at every ref that
// they know: "", the test commit, their releases and the branches main and old.
type memory map[string]map[string]string

const (
	testProject = "group/app"
	testSHA     = "1f2e3d4c5b6a79880716253443526170abcdef01"
)

func (m memory) files(project, ref string) (map[string]string, error) {
	files, ok := m[project]
	known := []string{"", "main", "old", testSHA}
	if !ok || !slices.Contains(append(known, templates.Releases()[project]...), ref) {
		return nil, fs.ErrNotExist
	}
	return files, nil
}

func (m memory) ReadFile(project, ref, path string) ([]byte, error) {
	files, err := m.files(project, ref)
	if err != nil {
		return nil, err
	}
	content, ok := files[path]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return []byte(content), nil
}

func (m memory) Paths(project, ref string) ([]string, error) {
	files, err := m.files(project, ref)
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(files)), nil
}

func (m memory) Releases(project string) ([]string, error) { return templates.Releases()[project], nil }

// world is a server with the platform's templates and one project.
func world(files map[string]string) memory {
	m := memory{testProject: files}
	maps.Copy(m, templates.Projects())
	return m
}

var (
	project = Project{ID: 7, Path: testProject, DefaultBranch: "main", WebURL: "https://gitlab.example.org/group/app"}
	push    = Trigger{Ref: "main", SHA: testSHA, Source: "push", PipelineID: 42, PipelineIID: 3,
		ProtectedRef: true, User: "kari", CommitMessage: "Change\n\nMore"}
)

func branch(name string) Trigger {
	t := push
	t.Ref, t.ProtectedRef = name, false
	return t
}

func tag(name string) Trigger {
	t := push
	t.Ref, t.Tag = name, true
	return t
}

func from(source string) Trigger {
	t := push
	t.Source = source
	return t
}

// compile compiles one file for a push to the default branch.
func compile(t *testing.T, text string) *Pipeline {
	t.Helper()
	return compileFor(t, push, text)
}

func compileFor(t *testing.T, trigger Trigger, text string) *Pipeline {
	t.Helper()
	p, err := Compile(project, trigger, Settings{}, world(map[string]string{".gitlab-ci.yml": text}), nil)
	if err != nil {
		t.Fatalf("Compile: %v", err)
	}
	return p
}

// messages are the faults of a configuration.
func messages(t *testing.T, files map[string]string) []string {
	t.Helper()
	_, err := Compile(project, push, Settings{}, world(files), nil)
	var invalid *ConfigError
	if err == nil {
		return nil
	}
	if !errors.As(err, &invalid) {
		t.Fatalf("Compile: %v, want a *ConfigError", err)
	}
	return invalid.Messages
}

func names(p *Pipeline) string {
	var out []string
	for _, j := range p.Jobs {
		out = append(out, j.Name)
	}
	return strings.Join(out, " | ")
}

func find(t *testing.T, p *Pipeline, name string) Job {
	t.Helper()
	for _, j := range p.Jobs {
		if j.Name == name {
			return j
		}
	}
	t.Fatalf("no job %q among %s", name, names(p))
	return Job{}
}

func lookup(vars []Variable, key string) string {
	for _, v := range vars {
		if v.Key == key {
			return v.Value
		}
	}
	return "(unset)"
}
