package ciconfig

import "testing"

// TestDetails: a finding names the whole image, so that a reader can look it up.
func TestDetails(t *testing.T) {
	t.Parallel()
	const deploy = "deploy:\n  script:\n    - envsubst < values.yaml.tpl > v.yaml\n    - helm upgrade app upstream/app -f v.yaml\n"
	for _, c := range []struct {
		name, values string
		code         Code
		want         string
	}{
		{"registry, repository and tag apart", "image:\n  registry: $CI_REGISTRY\n  repository: team/$CI_PROJECT_NAME\n  tag: build-$CI_COMMIT_SHA\n", "foreign-image", "registry.uninett.no/team/project:build-${CI_COMMIT_SHA}"},
		{"no tag", "image:\n  registry: $CI_REGISTRY\n  repository: team/tool\n", "foreign-image", "registry.uninett.no/team/tool:latest"},
	} {
		in := input([]File{{Path: ".gitlab-ci.yml", Content: []byte(deploy)}, {Path: "values.yaml.tpl", Content: []byte(c.values)}}, rule{Project: "group/project"})
		res, err := Rewrite(in)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range res.Findings {
			if f.Code == c.code {
				got = append(got, f.Detail)
			}
		}
		if len(got) != 1 || got[0] != c.want {
			t.Errorf("%s: %s names %q, want %q", c.name, c.code, got, c.want)
		}
	}
}
