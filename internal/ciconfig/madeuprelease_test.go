package ciconfig

import "fmt"

// releaseRules are those of jobs that release what pipelines for branches have built.
var releaseRules = []string{`only: [tags]`, `[{if: $CI_COMMIT_TAG}]`, `[{if: '$CI_COMMIT_TAG =~ /^v[0-9]+[.]/'}]`, `[{if: '$CI_COMMIT_TAG && $CI_PIPELINE_SOURCE == "push"'}]`}

// branchRules are those of the jobs that build it.
var branchRules = []string{`[{if: $CI_COMMIT_BRANCH}]`, `[{if: '$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH'}]`, `only: [branches]`, `except: [tags]`,
	`[{if: '$CI_COMMIT_BRANCH == "main"'}, {if: '$CI_COMMIT_BRANCH =~ /^release[/]/'}]`}

// semver are lines that cut versions out of the git tag, for the tags $MINOR and $MAJOR.
var semver = [][]string{
	{"MINOR=${CI_COMMIT_TAG%.*}", "MAJOR=${MINOR%.*}"},
	{"VERSION=${CI_COMMIT_TAG#v}", "MINOR=${VERSION%.*}", "MAJOR=${VERSION%%.*}"},
	{"VERSION=$(echo $CI_COMMIT_TAG | sed 's/^v//')", "MINOR=$(echo $VERSION | cut -d. -f1-2)", "MAJOR=$(echo $VERSION | cut -d. -f1)"},
}

// releases are lines of the jobs for branches, git tags, hotfixes and reviews, with their rules.
func (m *maker) releases(name string) (out []string, rules string) {
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	image := m.images[name]
	if m.releasable == "" {
		m.releasable = name
		add("docker build -t %s:$CI_COMMIT_SHA %s", image, name)
		add("docker push %s:$CI_COMMIT_SHA", image)
		return out, pick(m, branchRules)
	}
	image, name = m.images[m.releasable], m.releasable
	from := image + ":$CI_COMMIT_SHA"
	switch m.IntN(8) {
	case 0:
		add("%s %s %s:%s", pick(m, []string{"crane cp", "crane copy", "regctl image copy"}), from, image, pick(m, []string{"$CI_COMMIT_TAG", "$CI_COMMIT_TAG", "${CI_COMMIT_TAG#v}"}))
	case 1:
		add("docker pull %s", from)
		add("docker tag %s %s:$CI_COMMIT_TAG", from, image)
		add("docker push %s:$CI_COMMIT_TAG", image)
	case 2, 3:
		out = append(out, pick(m, semver)...)
		tags := append([]string{"$CI_COMMIT_TAG"}, pick(m, [][]string{{"$MINOR"}, {"$MINOR", "$MAJOR"}, {"$MINOR", "$MAJOR", "latest"}})...)
		switch m.IntN(3) {
		case 0:
			for _, t := range tags {
				add("crane tag %s %s", from, t)
			}
		case 1:
			all := ""
			for _, t := range tags {
				all += " -t " + image + ":" + t
			}
			add("docker buildx imagetools create%s %s", all, from)
		default:
			all := ""
			for _, t := range tags {
				all += " " + t
			}
			add("for t in%s; do skopeo copy docker://%s docker://%s:$t; done", all, from, image)
		}
	case 4: // a hotfix
		add("docker build -t %s:${CI_COMMIT_REF_NAME#release/}-$CI_COMMIT_SHORT_SHA %s", image, name)
		add("docker push %s:${CI_COMMIT_REF_NAME#release/}-$CI_COMMIT_SHORT_SHA", image)
		return out, `[{if: '$CI_COMMIT_BRANCH =~ /^release[/]/'}]`
	case 5: // a schedule builds anew
		tag := pick(m, []string{"nightly", "nightly-$CI_PIPELINE_ID", "$CI_COMMIT_SHA", "latest"})
		add("docker build --pull -t %s:%s %s", image, tag, name)
		add("docker push %s:%s", image, tag)
		return out, `[{if: '$CI_PIPELINE_SOURCE == "schedule"'}]`
	case 6: // a review
		tag := pick(m, []string{"review-$CI_MERGE_REQUEST_IID", "mr-$CI_COMMIT_SHORT_SHA", "$CI_COMMIT_REF_SLUG"})
		add("docker build -t %s:%s %s", image, tag, name)
		add("docker push %s:%s", image, tag)
		add("kubectl set image deploy/review-$CI_MERGE_REQUEST_IID app=%s:%s", image, tag)
		return out, `[{if: '$CI_PIPELINE_SOURCE == "merge_request_event"'}]`
	case 7: // what a release deploys
		add("kubectl set image deploy/%s app=%s:%s", name, image, pick(m, []string{"$CI_COMMIT_TAG", "$CI_COMMIT_SHA", "${CI_COMMIT_TAG}"}))
	}
	return out, pick(m, releaseRules)
}
