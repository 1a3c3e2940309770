package gitlab

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	api "gitlab.com/gitlab-org/api/client-go/v2"
)

func TestLint(t *testing.T) {
	t.Parallel()
	b := serve(t)
	b.seed(Seed{Path: "tools/ci", Visibility: "internal", Files: map[string]string{"templates/build.yml": "spec: {inputs: {image: {default: x}}}\n---\nmade: {script: [\"print $[[ inputs.image ]]\"]}\n"}})
	b.must(b.AddTag("tools/ci", "2.0.1", "main"))
	b.must(b.AddTag("tools/ci", "2.1.0", "main"))
	id := b.seed(Seed{Path: "team/app", Files: map[string]string{".gitlab-ci.yml": "include: {local: /ci/one.yml}\nbuild: {extends: .base, stage: test}\n", "ci/one.yml": ".base: {script: [x]}\n"}})
	b.seed(Seed{Path: "team/none", Files: map[string]string{"a": "b"}})

	l, _, err := b.api.Validate.ProjectLint("team/app", &api.ProjectLintOptions{DryRun: api.Ptr(true)})
	b.must(err)
	b.equal([]any{l.Valid, len(l.Errors), len(l.Includes)}, []any{true, 0, 1})
	if !strings.Contains(l.MergedYaml, "script") {
		t.Errorf("merged yaml %q", l.MergedYaml)
	}
	l, _, err = b.api.Validate.ProjectNamespaceLint("team/app", &api.ProjectNamespaceLintOptions{Content: api.Ptr("build: {stage: nowhere, script: [x]}\n")})
	b.must(err) // an invalid configuration is a good answer
	b.equal([]any{l.Valid, len(l.Errors)}, []any{false, 1})
	l, _, err = b.api.Validate.ProjectNamespaceLint("team/app", &api.ProjectNamespaceLintOptions{
		Content: api.Ptr("include: [{component: $CI_SERVER_FQDN/tools/ci/build@2, inputs: {image: mine}}]\n")})
	b.must(err)
	b.equal([]any{l.Valid, l.Errors}, []any{true, []string{}})
	if !strings.Contains(l.MergedYaml, "print mine") {
		t.Errorf("merged yaml %q", l.MergedYaml)
	}
	filtered := api.Ptr("build: {script: [x], rules: [{when: never}]}\n")
	l, _, err = b.api.Validate.ProjectNamespaceLint("team/app", &api.ProjectNamespaceLintOptions{Content: filtered, DryRun: api.Ptr(true)})
	b.must(err)
	b.equal([]any{l.Valid, l.Errors}, []any{false, []string{noJobs}})
	l, _, err = b.api.Validate.ProjectLint("team/none", nil)
	b.must(err)
	b.equal([]any{l.Valid, l.Errors}, []any{false, []string{noContent}})

	request, err := b.api.NewRequest(http.MethodGet, fmt.Sprintf("projects/%d/ci/lint", id), &struct {
		IncludeJobs bool `url:"include_jobs"`
	}{true}, nil)
	b.must(err)
	var answer struct{ Jobs []struct{ Name string } }
	_, err = b.api.Do(request, &answer)
	b.must(err)
	text, _ := json.Marshal(answer.Jobs)
	b.equal(string(text), `[{"Name":"build"}]`)
	b.equal(len(b.Writes()), 0)
}
