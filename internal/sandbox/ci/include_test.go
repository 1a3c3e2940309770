package ci

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestInclude(t *testing.T) {
	t.Parallel()
	m := world(map[string]string{
		".gitlab-ci.yml": `
include:
  - /ci/one.yml
  - local: ci/more/*.yml
  - project: other/templates
    ref: main
    file: [/a.yml, b.yml]
  - project: $CI_PROJECT_ROOT_NAMESPACE/shared
    file: s.yml
  - local: never.yml
    rules: [{if: $CI_COMMIT_TAG}]
  - local: ci/one.yml
    rules: [{exists: [ci/one.yml]}]
one: {variables: {FROM: root}}
`,
		"ci/one.yml":      "one: {script: one, variables: {FROM: one, KEPT: one}}",
		"ci/more/x.yml":   "x: {script: x}",
		"ci/more/y.yml":   "y: {script: y}",
		"ci/more/z.txt":   "not: yaml",
		"ci/more/d/e.yml": "e: {script: e}",
	})
	m["other/templates"] = map[string]string{
		"a.yml":   "include: /sub.yml\na: {script: a}",
		"b.yml":   "b: {script: b}",
		"sub.yml": "sub: {script: of other/templates}",
	}
	m["group/shared"] = map[string]string{"s.yml": "s: {script: s}"}
	p, err := Compile(project, push, Settings{}, m, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := names(p), "one | x | y | sub | a | b | s"; got != want {
		t.Errorf("jobs %s, want %s", got, want)
	}
	one := find(t, p, "one")
	if lookup(one.Variables, "FROM") != "root" || lookup(one.Variables, "KEPT") != "one" || one.Script[0] != "one" {
		t.Errorf("one %+v", one)
	}
	if got := find(t, p, "sub").Script[0]; got != "of other/templates" {
		t.Errorf("a local include of another project came from %q", got)
	}
	want := []string{"ci/one.yml", "ci/more/x.yml", "ci/more/y.yml", "a.yml", "sub.yml", "b.yml", "s.yml", "ci/one.yml"}
	if d := cmp.Diff(want, p.Includes); d != "" {
		t.Error(d)
	}
}

func TestConfigPath(t *testing.T) {
	t.Parallel()
	m := world(map[string]string{"ci/main.yml": "job: {script: own}"})
	m["other/ci"] = map[string]string{"app.yml": "include: /part.yml", "part.yml": "job: {script: elsewhere}"}
	for path, want := range map[string]string{"ci/main.yml": "own", "app.yml@other/ci": "elsewhere", "app.yml@other/ci:main": "elsewhere"} {
		p := project
		p.ConfigPath = path
		got, err := Compile(p, push, Settings{}, m, nil)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if s := find(t, got, "job").Script[0]; s != want {
			t.Errorf("%s: %q, want %q", path, s, want)
		}
	}
	if _, err := Compile(project, push, Settings{}, m, nil); !errors.Is(err, ErrNoConfig) {
		t.Errorf("without a file: %v", err)
	}
	got, err := Compile(project, push, Settings{}, m, []byte("given: {script: x}"))
	if err != nil || names(got) != "given" {
		t.Errorf("given content: %v, %v", got, err)
	}
}

const inputsSpec = `
spec:
  inputs:
    name: {}
    count: {type: number, default: 2}
    flag: {type: boolean, default: false}
    list: {type: array, default: [a, b]}
    level: {options: [low, high], default: low}
    code: {regex: '^\d+$', default: "1"}
    port:
      rules:
        - if: $[[ inputs.level ]] == "high"
          default: "443"
        - default: "80"
---
"$[[ inputs.name ]]-job":
  parallel: $[[ inputs.count ]]
  interruptible: $[[ inputs.flag ]]
  tags: $[[ inputs.list ]]
  script:
    - echo "$[[ inputs.name | truncate(1,3) ]] $[[ inputs.level ]] $[[inputs.port]]"
    - echo $[[ inputs.name | expand_vars ]]
`

func TestInputs(t *testing.T) {
	t.Parallel()
	m := world(map[string]string{
		"t.yml":          inputsSpec,
		".gitlab-ci.yml": "include:\n  - local: t.yml\n    inputs: {name: $CI_PROJECT_NAME, level: high, list: [c]}\n",
	})
	p, err := Compile(project, push, Settings{}, m, nil)
	if err != nil {
		t.Fatal(err)
	}
	j := find(t, p, "$CI_PROJECT_NAME-job 1/2")
	if d := cmp.Diff([]string{`echo "CI_ high 443"`, "echo app"}, j.Script); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"c"}, j.Tags); d != "" {
		t.Error(d)
	}
	tests := []struct{ inputs, want string }{
		{"{}", "`t.yml`: `name` input: required value has not been provided"},
		{"{name: 1}", "`t.yml`: `name` input: provided value is not a string"},
		{"{name: x, count: many}", "`t.yml`: `count` input: provided value is not a number"},
		{"{name: x, list: y}", "`t.yml`: `list` input: provided value is not an array"},
		{"{name: x, nope: y, nor: z}", "`t.yml`: unknown input arguments: nope, nor"},
		{"{name: x, level: mid}", "`t.yml`: `level` input: `mid` cannot be used because it is not in the list of allowed options"},
		{"{name: x, code: y}", "`t.yml`: `code` input: provided value does not match required RegEx pattern"},
	}
	for _, tt := range tests {
		got := messages(t, map[string]string{"t.yml": inputsSpec, ".gitlab-ci.yml": "include: [{local: t.yml, inputs: " + tt.inputs + "}]"})
		if d := cmp.Diff([]string{tt.want}, got); d != "" {
			t.Errorf("%s: %s", tt.inputs, d)
		}
	}
}

// released is a component project with a file for each tag.
type released struct {
	memory
	tags []string
}

func (r released) Releases(string) ([]string, error) { return r.tags, nil }

func (r released) ReadFile(p, ref, path string) ([]byte, error) {
	if p == "tools/component" && path == "templates/part/template.yml" {
		return fmt.Appendf(nil, "job: {script: at %s}", ref), nil
	}
	return r.memory.ReadFile(p, ref, path)
}

func TestComponent(t *testing.T) {
	t.Parallel()
	files := released{world(nil), []string{"1.9.0", "2.0.0", "2.10.1", "2.9.3", "v3.0.0", "nightly"}}
	for version, want := range map[string]string{
		"2": "2.10.1", "2.9": "2.9.3", "1": "1.9.0", "~latest": "v3.0.0", "main": "main", "2.0.0": "2.0.0", "7": "7",
	} {
		config := "include:\n  - component: $CI_SERVER_FQDN/tools/component/part@" + version
		p, err := Compile(project, push, Settings{}, files, []byte(config))
		if err != nil {
			t.Errorf("@%s: %v", version, err)
			continue
		}
		if got := find(t, p, "job").Script[0]; got != "at "+want {
			t.Errorf("@%s is %s, want %s", version, got, want)
		}
	}
}

func TestIncludeErrors(t *testing.T) {
	t.Parallel()
	tests := []struct{ config, want string }{
		{"include: x.yml", "Local file `x.yml` does not exist!"},
		{"include: blank.yml", "Local file `blank.yml` is empty!"},
		{"include: x.txt", "Included file `x.txt` does not have YAML extension!"},
		{"include: {project: no/where, file: x.yml}", "Project `no/where` not found or access denied! Make sure any includes in the pipeline configuration are correctly defined."},
		{"include: {project: asm/gitlab-ci-helpers, ref: v9, file: gitlab-ci-helpers.yml}", "Project `asm/gitlab-ci-helpers` reference `v9` does not exist!"},
		{"include: {project: asm/gitlab-ci-helpers, file: x.yml}", "Project `asm/gitlab-ci-helpers` file `x.yml` does not exist!"},
		{"include: {project: asm/gitlab-ci-helpers}", "include config must specify the file where to fetch the config from"},
		{"include: {template: Jobs/SAST.gitlab-ci.yml}", "Included file `Jobs/SAST.gitlab-ci.yml` is empty or does not exist!"},
		{"include: {template: SAST.yml}", "Template file `SAST.yml` is not a valid location!"},
		{"include: https://example.org/x.yml", "Remote file `https://example.org/x.yml` could not be fetched because of a socket error!"},
		{"include: {component: $CI_SERVER_FQDN/platon/ci-components/docker/nope@2}", "Component 'gitlab.example.org/platon/ci-components/docker/nope@2' - The partial semantic version reference is not supported for non-catalog resources. Use a tag, branch, or commit SHA instead."},
		{"include: {component: $CI_SERVER_FQDN/platon/none/docker@main}", "Component 'gitlab.example.org/platon/none/docker@main' - content not found"},
		{"include: {component: elsewhere.org/platon/ci-components/docker/docker@2}", "Component 'elsewhere.org/platon/ci-components/docker/docker@2' - the component path is not supported"},
		{"include: {local: a.yml, remote: 'https://b/c.yml'}", "Each include must use only one of: `local`, `project`, `remote`, `template`, `component`, `artifact`"},
		{"include: {file: a.yml}", "`{\"file\":\"a.yml\"}` does not have a valid subkey for include. Valid subkeys are: `local`, `project`, `remote`, `template`, `component`, `artifact`"},
		{"include: {local: a.yml, when: x}", "include config contains unknown keys: when"},
		{"include: broken.yml", "`broken.yml`: (<unknown>): line 1: did not find expected ',' or '}'"},
		{"include: list.yml", "`list.yml`: Invalid configuration format"},
		{"include: self.yml", "Maximum of 150 nested includes are allowed!"},
	}
	base := map[string]string{"blank.yml": " \n", "broken.yml": "a: {b", "list.yml": "[a]", "self.yml": "include: self.yml"}
	for _, tt := range tests {
		files := maps.Clone(base)
		files[".gitlab-ci.yml"] = tt.config + "\njob: {script: x}\n"
		if got := strings.Join(messages(t, files), "; "); got != tt.want {
			t.Errorf("%s\n got %s\nwant %s", tt.config, got, tt.want)
		}
	}
}
