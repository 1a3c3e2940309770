package ciconfig

import "testing"

// TestTogether: which jobs one pipeline may have both.
func TestTogether(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		a, b string
		want bool
	}{
		"nothing said":             {"", "", true},
		"one branch each":          {"only: [main]", "only: [next]", false},
		"a branch and the others":  {"only: [next]", "except: [next]", false},
		"two that are not one":     {"except: [main]", "except: [next]", true},
		"branches and tags":        {"only: [branches]", "only: [tags]", false},
		"merge requests":           {"only: [merge_requests]", "only: [branches]", false},
		"no rules, merge requests": {"", "rules: [{if: $CI_MERGE_REQUEST_IID}]", false},
		"default and not":          {"rules: [{if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH}]", "rules: [{if: $CI_COMMIT_BRANCH && $CI_COMMIT_BRANCH != $CI_DEFAULT_BRANCH}]", false},
		"tag and no tag":           {"rules: [{if: $CI_COMMIT_TAG}]", "rules: [{if: $CI_COMMIT_TAG, when: never}, {when: always}]", false},
		"schedule and push":        {`rules: [{if: $CI_PIPELINE_SOURCE == "schedule"}]`, `rules: [{if: $CI_PIPELINE_SOURCE == "push"}]`, false},
		"schedule of a branch":     {`rules: [{if: $CI_PIPELINE_SOURCE == "schedule"}]`, "only: [main]", true},
		"a pattern":                {"only: [/^release/]", "only: [release-1]", true},
		"another pattern":          {"only: [/^release/]", "only: [main]", false},
		"two patterns":             {"only: [/^a/]", "only: [/^b/]", true},
		"a setting":                {"rules: [{if: $A}]", "rules: [{if: $A == null}]", true},
		"itself":                   {"rules: &r [*r, {if: $CI_COMMIT_TAG}]", "only: [main]", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := input(one("a:\n  script: [make]\n  "+c.a+"\nb:\n  script: [make]\n  "+c.b+"\n"), rule{Project: "group/project"})
			r := newRun(&in, nil)
			r.look()
			if got := in.Project.together(r.jobs[0], r.jobs[1]); got != c.want {
				t.Errorf("may be in one pipeline: %v, want %v", got, c.want)
			}
		})
	}
}
