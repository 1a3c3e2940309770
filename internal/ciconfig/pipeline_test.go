package ciconfig

import (
	"slices"
	"testing"
)

// TestPushedTags: only what the pipeline of the default branch may push.
func TestPushedTags(t *testing.T) {
	t.Parallel()
	const push = "  script: [docker push $CI_REGISTRY_IMAGE/api:$CI_COMMIT_SHA]\n"
	for name, c := range map[string]struct {
		keys string
		want bool
	}{
		"always":            {"", true},
		"git tags":          {"  rules:\n    - if: $CI_COMMIT_TAG\n", false},
		"default branch":    {"  rules:\n    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH\n", true},
		"another branch":    {"  rules:\n    - if: $CI_COMMIT_BRANCH == \"develop\"\n", false},
		"pattern":           {"  rules:\n    - if: $CI_COMMIT_BRANCH =~ /^(main|next)$/ && $CI_COMMIT_TAG == null\n", true},
		"other pattern":     {"  rules:\n    - if: '$CI_COMMIT_BRANCH =~ /^release|x&&y$/'\n", false},
		"either":            {"  rules:\n    - if: $CI_COMMIT_TAG || $CI_COMMIT_BRANCH == 'main'\n", true},
		"both":              {"  rules:\n    - if: $CI_COMMIT_TAG && $DEPLOY\n", false},
		"settings":          {"  rules:\n    - if: $DEPLOY == 'yes'\n", true},
		"parentheses":       {"  rules:\n    - if: ($CI_COMMIT_TAG)\n", false},
		"never first":       {"  rules:\n    - if: $CI_COMMIT_BRANCH == 'main'\n      when: never\n    - when: always\n", false},
		"never, if changed": {"  rules:\n    - changes: [doc]\n      when: never\n    - when: always\n", true},
		"merge requests":    {"  rules:\n    - if: $CI_PIPELINE_SOURCE == 'merge_request_event'\n", false},
		"manual":            {"  rules:\n    - when: manual\n", true},
		"itself":            {"  rules: &r\n    - *r\n    - if: $CI_COMMIT_TAG\n", true},
		"only tags":         {"  only: [tags]\n", false},
		"only main":         {"  only: [main, tags]\n", true},
		"only variables":    {"  only:\n    variables: [$X]\n", true},
		"except branches":   {"  except: [branches]\n", false},
		"except tags":       {"  except: [tags]\n", true},
		"when never":        {"  when: never\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res, err := Rewrite(input(one("job:\n"+c.keys+push), rule{Project: "group/project"}))
			if err != nil {
				t.Fatal(err)
			}
			if got := slices.Contains(res.PushedTags, "api-${CI_COMMIT_SHA}"); got != c.want {
				t.Errorf("pushed in the default branch's pipeline: %v, want %v (%v)", got, c.want, res.PushedTags)
			}
		})
	}
}

// TestPushedTagsShared: a line of a template that several jobs extend is pushed
// when one of them may run; a tag that was replaced is named as it is then.
func TestPushedTagsShared(t *testing.T) {
	t.Parallel()
	res, err := Rewrite(input(one(`.push:
  script: [docker push $CI_REGISTRY_IMAGE/api:$CI_COMMIT_SHA]
release:
  extends: .push
  rules:
    - if: $CI_COMMIT_TAG
main:
  extends: .push
web:
  script:
    - docker build -t $CI_REGISTRY_IMAGE/web .
    - docker push $CI_REGISTRY_IMAGE/web
`), rule{Project: "group/project"}))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"api-${CI_COMMIT_SHA}", "web-${CI_PIPELINE_ID}"}; !slices.Equal(res.PushedTags, want) {
		t.Errorf("got %v, want %v", res.PushedTags, want)
	}
}
