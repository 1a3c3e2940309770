package ci

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestYAML holds what Ruby's reader makes of YAML.
func TestYAML(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, key, want string }{
		{"octal", "v: {X: 010}", "X", "8"},
		{"grouped", "v: {X: 1_000}", "X", "1000"},
		{"sexagesimal", "v: {X: 22:22}", "X", "1342"},
		{"port pair", "v: {X: '8080:80'}", "X", "8080:80"},
		{"float", "v: {X: 1.10}", "X", "1.1"},
		{"version", "v: {X: 1.10.0}", "X", "1.10.0"},
		{"yes", "v: {X: yes}", "X", "true"},
		{"quoted yes", "v: {X: 'yes'}", "X", "yes"},
		{"tagged", "v: {X: !!str 010}", "X", "010"},
		{"big", "v: {X: 123456789012345678901234567890}", "X", "123456789012345678901234567890"},
		{"hexadecimal", "v: {X: 0xff}", "X", "255"},
		{"exponent without point", "v: {X: 1e3}", "X", "1e3"},
		{"later key wins", "v:\n  X: one\n  X: two", "X", "two"},
		{"merge key above", "b: &b {X: base}\nv:\n  <<: *b\n  X: own", "X", "own"},
		{"merge key below overrides", "b: &b {X: base}\nv:\n  X: own\n  <<: *b", "X", "base"},
		{"first of a merged list wins", "a: &a {X: a}\nb: &b {X: b}\nv:\n  <<: [*a, *b]", "X", "a"},
	}
	for _, tt := range tests {
		c := &compiler{}
		v, err := c.load([]byte(tt.text))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if got := text(v.(*hash).get("v").(*hash).get(tt.key)); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestExtends(t *testing.T) {
	t.Parallel()
	p := compile(t, `
.base:
  image: base
  tags: [a, b]
  variables: {ONE: base, TWO: base}
  script: [base]
.more:
  variables: {TWO: more}
  after_script: [more]
.chain: {extends: .base, variables: {THREE: chain}}
job:
  extends: [.chain, .more]
  tags: [c]
  variables: {FOUR: own}
`)
	j := find(t, p, "job")
	want := []Variable{{Key: "ONE", Value: "base"}, {Key: "TWO", Value: "more"}, {Key: "THREE", Value: "chain"}, {Key: "FOUR", Value: "own"}}
	if d := cmp.Diff(want, j.Variables); d != "" {
		t.Error("variables", d)
	}
	if d := cmp.Diff([]string{"c"}, j.Tags); d != "" {
		t.Error("lists are replaced", d)
	}
	if j.Image.Name != "base" || j.Script[0] != "base" || j.AfterScript[0] != "more" {
		t.Errorf("job %+v", j)
	}
}

func TestReference(t *testing.T) {
	t.Parallel()
	p := compile(t, `
.setup:
  script: [setup, !reference [.deep, script]]
  variables: {URL: example.org}
.deep: {script: [deep]}
.rules: {rules: [{if: $CI_COMMIT_BRANCH, when: always}]}
job:
  variables: {ADDRESS: !reference [.setup, variables, URL]}
  rules: [!reference [.rules, rules]]
  script:
    - !reference [.setup, script]
    - own
`)
	j := find(t, p, "job")
	if d := cmp.Diff([]string{"setup", "deep", "own"}, j.Script); d != "" {
		t.Error(d)
	}
	if got := lookup(j.Variables, "ADDRESS"); got != "example.org" || j.When != "always" {
		t.Errorf("ADDRESS = %q, when %s", got, j.When)
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	p := compile(t, `
image: top
before_script: [top]
default:
  services: [{name: db:1, alias: db, entrypoint: [x], command: [y, z]}]
  retry: {max: 2, when: runner_system_failure}
  tags: [docker]
  artifacts: {paths: [out/], reports: {dotenv: build.env}, when: always}
variables: {A: a, B: b, C: {value: c, description: d, options: [c, d]}, R: {value: $A, expand: false}}
plain: {script: x, cache: [{key: k, paths: [p1]}, {paths: [p2]}]}
own: {script: [[x, [y]], z], image: {name: own, entrypoint: [""]}, before_script: [], services: [], retry: 1}
none: {script: x, inherit: {default: false, variables: false}}
some: {script: x, inherit: {default: [image], variables: [B]}}
`)
	plain := find(t, p, "plain")
	want := Job{
		Name: "plain", Group: "plain", Stage: "test", When: "on_success",
		Image:        &Image{Name: "top"},
		Services:     []Image{{Name: "db:1", Alias: "db", Entrypoint: []string{"x"}, Command: []string{"y", "z"}}},
		Variables:    []Variable{{Key: "A", Value: "a"}, {Key: "B", Value: "b"}, {Key: "C", Value: "c"}, {Key: "R", Value: "$A", Raw: true}},
		BeforeScript: []string{"top"}, Script: []string{"x"},
		Artifacts: []string{"out/"}, Dotenv: []string{"build.env"}, ArtifactsWhen: "always",
		Cache: []string{"p1", "p2"}, Tags: []string{"docker"}, Retry: 2,
	}
	if d := cmp.Diff(want, plain); d != "" {
		t.Error(d)
	}
	own := find(t, p, "own")
	if d := cmp.Diff([]string{"x", "y", "z"}, own.Script); d != "" {
		t.Error(d)
	}
	if own.Image.Name != "own" || len(own.BeforeScript) != 0 || len(own.Services) != 0 || own.Retry != 1 {
		t.Errorf("own %+v", own)
	}
	none := find(t, p, "none")
	if none.Image != nil || none.BeforeScript != nil || len(none.Tags) > 0 || len(none.Variables) != 0 {
		t.Errorf("none %+v", none)
	}
	some := find(t, p, "some")
	if some.Image == nil || some.BeforeScript != nil || lookup(some.Variables, "B") != "b" || len(some.Variables) != 1 {
		t.Errorf("some %+v", some)
	}
}

func TestMergedYAML(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		".gitlab-ci.yml": "include: /ci/a.yml\nstages: [build]\njob:\n  extends: .hidden\n  script: [!reference [.hidden, before_script], \"x\\ny\"]\n",
		"ci/a.yml":       ".hidden:\n  stage: build\n  before_script: [a]\n  variables: {V: 'yes'}\n",
	}
	p, err := Compile(project, push, Settings{}, world(files), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := `---
.hidden:
  stage: build
  before_script:
    - a
  variables:
    V: "yes"
stages:
  - .pre
  - build
  - .post
job:
  stage: build
  before_script:
    - a
  variables:
    V: "yes"
  extends: .hidden
  script:
    - - a
    - |-
      x
      y
`
	if d := cmp.Diff(want, p.MergedYAML); d != "" {
		t.Error(d)
	}
	again, err := Compile(project, push, Settings{}, world(files), []byte(p.MergedYAML))
	if err != nil {
		t.Fatal("the merged text does not compile:", err)
	}
	if d := cmp.Diff(p.Jobs, again.Jobs); d != "" {
		t.Error("the merged text compiles to something else", d)
	}
}
