package ci

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRules(t *testing.T) {
	t.Parallel()
	const config = `
never: {script: x, rules: [{if: $CI_COMMIT_BRANCH, when: never}, {when: always}]}
branch: {script: x, rules: [{if: $CI_COMMIT_BRANCH}]}
tagged: {script: x, rules: [{if: $CI_COMMIT_TAG}]}
manual: {script: x, rules: [{if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH, when: manual}]}
lenient: {script: x, rules: [{when: manual, allow_failure: true}]}
held: {script: x, when: manual, rules: [{if: $CI_PIPELINE_SOURCE}]}
present: {script: x, rules: [{exists: ["**/*.yml"]}]}
absent: {script: x, rules: [{exists: [Gemfile]}]}
changed: {script: x, rules: [{changes: [src/**/*]}]}
set: {script: x, variables: {V: job}, rules: [{if: $CI_COMMIT_TAG, variables: {V: tag}}, {variables: {V: other}}]}
nested: {script: x, rules: [[{if: $CI_COMMIT_TAG, when: never}, [{when: on_failure}]]]}
merge: {script: x, rules: [{if: $CI_MERGE_REQUEST_IID}]}
`
	mr := from("merge_request_event")
	mr.MergeRequest = &MergeRequest{IID: 5}
	changed := push
	changed.Changed = []string{"README.md"}
	tests := []struct {
		name    string
		trigger Trigger
		want    string
	}{
		{"default branch", push, "branch | manual | lenient | held | present | changed | set | nested"},
		{"other branch", branch("x"), "branch | lenient | held | present | changed | set | nested"},
		{"tag", tag("v1"), "never | tagged | lenient | held | present | changed | set"},
		{"merge request", mr, "never | lenient | held | present | changed | set | nested | merge"},
		{"known changes", changed, "branch | manual | lenient | held | present | set | nested"},
	}
	for _, tt := range tests {
		if got := names(compileFor(t, tt.trigger, config)); got != tt.want {
			t.Errorf("%s\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
	p := compile(t, config)
	for name, want := range map[string]struct {
		when    string
		lenient bool
	}{
		"branch": {"on_success", false}, "manual": {"manual", false}, "lenient": {"manual", true},
		"held": {"manual", true}, "nested": {"on_failure", false},
	} {
		if j := find(t, p, name); j.When != want.when || j.AllowFailure != want.lenient {
			t.Errorf("%s: when %s, allow_failure %v", name, j.When, j.AllowFailure)
		}
	}
	if got := lookup(find(t, p, "set").Variables, "V"); got != "other" {
		t.Errorf("rules:variables: V = %s", got)
	}
	for i, name := range []string{"never", "nested"} {
		want := "jobs:" + name + " may allow multiple pipelines to run for a single action due to `rules:when` clause"
		if len(p.Warnings) != 2 || !strings.HasPrefix(p.Warnings[i], want) {
			t.Errorf("warnings %q, want number %d to begin %q", p.Warnings, i, want)
		}
	}
}

func TestOnlyExcept(t *testing.T) {
	t.Parallel()
	const config = `
plain: {script: x}
main: {script: x, only: [main]}
tags: {script: x, only: [tags]}
pattern: {script: x, only: [/^feature-.*/i]}
release: {script: x, only: [/^v\d/]}
mr: {script: x, only: [merge_requests]}
web: {script: x, only: [web]}
pushes: {script: x, only: {refs: [pushes]}}
other: {script: x, except: [main, tags]}
vars: {script: x, only: {variables: [$CI_COMMIT_BRANCH == "main", $X]}}
novars: {script: x, except: {variables: [$CI_COMMIT_BRANCH == "main"]}}
elsewhere: {script: x, only: [branches@other/project]}
here: {script: x, only: [branches@group/app], when: manual}
`
	tests := []struct {
		name    string
		trigger Trigger
		want    string
	}{
		{"default branch", push, "plain | main | pushes | vars | here"},
		{"branch", branch("Feature-1"), "plain | pattern | pushes | other | novars | here"},
		{"tag", tag("v1"), "plain | tags | release | pushes | novars"},
		{"merge request", from("merge_request_event"), "main | mr"},
		{"web", from("web"), "plain | main | web | vars | here"},
	}
	for _, tt := range tests {
		if got := names(compileFor(t, tt.trigger, config)); got != tt.want {
			t.Errorf("%s\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
	if j := find(t, compile(t, config), "here"); !j.AllowFailure || j.When != "manual" {
		t.Errorf("a manual job without rules is allowed to wait: %+v", j)
	}
}

func TestWorkflow(t *testing.T) {
	t.Parallel()
	const config = `
variables: {V: global}
workflow:
  rules:
    - if: $CI_COMMIT_TAG
      when: never
    - if: $CI_PIPELINE_SOURCE == "merge_request_event"
    - if: $CI_COMMIT_BRANCH
      variables: {V: workflow, W: new}
job: {script: x}
last: {script: x, stage: .post}
`
	if p := compileFor(t, tag("v1"), config); !p.Filtered || len(p.Jobs) != 0 {
		t.Errorf("tag: %+v", p)
	}
	// workflow:rules turn off only's default, so merge requests get jobs.
	if got := names(compileFor(t, from("merge_request_event"), config)); got != "job | last" {
		t.Errorf("merge request: %s", got)
	}
	j := find(t, compile(t, config), "job")
	if lookup(j.Variables, "V") != "workflow" || lookup(j.Variables, "W") != "new" {
		t.Errorf("variables %+v", j.Variables)
	}
	if p := compileFor(t, push, "a: {script: x, only: [tags]}\nb: {script: x, stage: .pre}"); !p.Filtered {
		t.Error("only .pre is left, yet the pipeline is not filtered")
	}
}

func TestStagesAndOrder(t *testing.T) {
	t.Parallel()
	p := compile(t, `
stages: [one, two, .pre, one]
c: {stage: two, script: x}
z: {stage: .post, script: x}
b: {stage: one, script: x}
y: {stage: .pre, script: x}
a: {stage: one, script: x}
`)
	if d := cmp.Diff([]string{".pre", "one", "two", ".post"}, p.Stages); d != "" {
		t.Error(d)
	}
	if got := names(p); got != "y | b | a | c | z" {
		t.Error(got)
	}
}

func TestParallelAndNeeds(t *testing.T) {
	t.Parallel()
	p := compile(t, `
stages: [build, test, deploy]
three: {stage: build, script: x, parallel: 3}
matrix:
  stage: build
  script: x
  variables: {ARCH: none}
  parallel:
    matrix:
      - ARCH: [arm, amd]
        OS: [linux, bsd]
      - ARCH: wasm
        LEVEL: 1
solo: {stage: build, script: x}
gone: {stage: build, script: x, only: [tags]}
all: {stage: test, script: x, needs: [matrix, {job: solo, artifacts: false}, {job: gone, optional: true}]}
some:
  stage: test
  script: x
  needs:
    - job: matrix
      parallel: {matrix: [{ARCH: arm, OS: linux}]}
    - pipeline: $PARENT
      job: x
none: {stage: deploy, script: x, needs: []}
late: {stage: deploy, script: x, dependencies: [three]}
same: {stage: build, script: x, needs: ["three 2/3"]}
follow:
  stage: test
  script: x
  needs: ["matrix: [$[[ matrix.ARCH ]], linux]"]
  parallel: {matrix: [{ARCH: [arm, amd]}]}
`)
	want := "three 1/3 | three 2/3 | three 3/3 | matrix: [arm, linux] | matrix: [arm, bsd] | matrix: [amd, linux] | matrix: [amd, bsd] | matrix: [wasm, 1] | solo | same | all | some | follow: [arm] | follow: [amd] | none | late"
	if got := names(p); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	m := find(t, p, "matrix: [amd, bsd]")
	if lookup(m.Variables, "ARCH") != "amd" || lookup(m.Variables, "OS") != "bsd" || m.NodeIndex != 4 || m.NodeTotal != 5 || m.Group != "matrix" {
		t.Errorf("matrix job %+v", m)
	}
	all := find(t, p, "all")
	if len(all.Needs) != 6 || all.Needs[5] != (Need{Job: "solo"}) || !all.HasNeeds || !all.Needs[0].Artifacts {
		t.Errorf("needs %+v", all.Needs)
	}
	if d := cmp.Diff([]Need{{Job: "matrix: [arm, linux]", Artifacts: true}}, find(t, p, "some").Needs); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]Need{{Job: "matrix: [amd, linux]", Artifacts: true}}, find(t, p, "follow: [amd]").Needs); d != "" {
		t.Error(d)
	}
	if none := find(t, p, "none"); !none.HasNeeds || len(none.Needs) != 0 {
		t.Errorf("none %+v", none)
	}
	if d := cmp.Diff([]string{"three 1/3", "three 2/3", "three 3/3"}, find(t, p, "late").Dependencies); d != "" {
		t.Error(d)
	}
	if all.Dependencies != nil {
		t.Error("dependencies that were not given are not nil")
	}
}

func TestDeploymentsAndBridges(t *testing.T) {
	t.Parallel()
	p := compile(t, `
deploy:
  script: x
  environment: {name: review/$CI_COMMIT_REF_SLUG, url: https://x, on_stop: stop}
  resource_group: prod
  allow_failure: {exit_codes: [3, 4]}
stop: {script: x, when: manual, environment: {name: review/$CI_COMMIT_REF_SLUG, action: stop}}
named: {script: x, environment: staging, tags: [$CI_PROJECT_NAME, $NOPE]}
child: {trigger: {include: [{local: child.yml}, other.yml], strategy: depend}}
downstream: {trigger: {project: other/app, branch: main}, variables: {V: v}}
short: {trigger: other/app}
secret: {script: x, id_tokens: {T: {aud: x}}, secrets: {S: {vault: x}}}
`)
	d := find(t, p, "deploy")
	if diff := cmp.Diff(&Environment{Name: "review/$CI_COMMIT_REF_SLUG", URL: "https://x", Action: "start", OnStop: "stop"}, d.Environment); diff != "" {
		t.Error(diff)
	}
	if d.ResourceGroup != "prod" || d.AllowFailure || len(d.FailureCodes) != 2 {
		t.Errorf("deploy %+v", d)
	}
	if s := find(t, p, "stop"); s.Environment.Action != "stop" || !s.AllowFailure {
		t.Errorf("stop %+v", s)
	}
	if n := find(t, p, "named"); n.Environment.Name != "staging" || n.Tags[0] != "app" || n.Tags[1] != "$NOPE" {
		t.Errorf("named %+v", n)
	}
	for name, want := range map[string]Bridge{
		"child":      {Include: []string{"child.yml", "other.yml"}, Depend: true},
		"downstream": {Project: "other/app", Branch: "main"},
		"short":      {Project: "other/app"},
	} {
		if diff := cmp.Diff(&want, find(t, p, name).Trigger); diff != "" {
			t.Error(name, diff)
		}
	}
}

// TestTemplates holds the documented effect of both generations.
func TestTemplates(t *testing.T) {
	t.Parallel()
	helpers := "include: [{project: asm/gitlab-ci-helpers, file: /gitlab-ci-helpers.yml}]\n"
	components := "include:\n  - component: $CI_SERVER_FQDN/platon/ci-components/docker/docker@2\n" +
		"  - component: $CI_SERVER_FQDN/platon/ci-components/imagescan/imagescan@2\n    inputs: {image-tag: api-$CI_REGISTRY_TAG}\n" +
		"  - component: $CI_SERVER_FQDN/platon/ci-components/deploy/deploy@1\n"
	jobs := `
review: {extends: .review}
stop_review: {extends: .stop_review}
staging: {extends: .staging}
stop_staging: {extends: .stop_staging}
production: {extends: .production}
stop_production: {extends: .stop_production}
`
	for generation, head := range map[string]string{
		"helpers":    helpers + "build: {extends: .docker-build}\n",
		"components": components + "build: {extends: .platon-docker-build}\nscan: {extends: .platon-imagescan}\n",
	} {
		p := compile(t, head+jobs)
		build := find(t, p, "build")
		env := Environ(Execution{Project: project, Trigger: push, Job: build})
		if got := Expand(build.Script[1], env); !strings.HasSuffix(got, `:1f2e3d4c"`) {
			t.Errorf("%s: the push is %s", generation, got)
		}
		if build.Image.Name != "docker:27" || build.Services[0].Name != "docker:27-dind" || !strings.HasPrefix(build.BeforeScript[0], "docker login") {
			t.Errorf("%s: build %+v", generation, build)
		}
		if s := find(t, p, "staging"); s.When != "on_success" || s.Environment.Name != "staging" {
			t.Errorf("%s: staging %+v", generation, s)
		}
		if s := find(t, p, "production"); s.When != "manual" || !s.AllowFailure || s.Environment.Name != "production" {
			t.Errorf("%s: production %+v", generation, s)
		}
		want := "build | scan | staging | stop_staging | production | stop_production"
		if generation == "helpers" {
			want = strings.Replace(want, " | scan", "", 1)
		}
		if got := names(p); got != want {
			t.Errorf("%s on the default branch: %s", generation, got)
		}
		other := compileFor(t, branch("x"), head+jobs)
		if got := names(other); got != strings.Replace(strings.Split(want, " | staging")[0]+" | review | stop_review", "  ", " ", 1) {
			t.Errorf("%s on another branch: %s", generation, got)
		}
		if generation == "components" {
			if got := find(t, p, "scan").Script[0]; !strings.Contains(got, ":api-$CI_REGISTRY_TAG") {
				t.Errorf("the scan's input was not used: %s", got)
			}
		}
	}
}
