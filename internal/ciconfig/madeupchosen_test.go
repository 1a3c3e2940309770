package ciconfig

import "fmt"

// The tags and names of some projects' images depend on the kind of pipeline: rules choose them.

// tagsOf are what a rule may give a tag in pipelines of a kind.
var tagsOf = [][2][]string{
	{{"$CI_COMMIT_TAG"}, {"$CI_COMMIT_TAG", "$CI_COMMIT_TAG", "release-$CI_COMMIT_SHORT_SHA"}},
	{{"$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH", `$CI_COMMIT_BRANCH == "main"`}, {"latest", "stable", "$CI_COMMIT_SHORT_SHA", "main-$CI_COMMIT_SHORT_SHA", "$CI_COMMIT_SHA"}},
	{{`$CI_PIPELINE_SOURCE == "merge_request_event"`}, {"mr-$CI_MERGE_REQUEST_IID", "$CI_COMMIT_SHORT_SHA", "mr-$CI_PIPELINE_ID"}},
	{{`$CI_PIPELINE_SOURCE == "schedule"`}, {"nightly", "nightly-$CI_PIPELINE_ID"}},
	{{"$CI_COMMIT_BRANCH"}, {"$CI_COMMIT_REF_SLUG", "dev-$CI_COMMIT_SHORT_SHA", "test"}},
}

// choosing are rules that give a variable its value, and others to tell where that goes.
func (m *maker) choosing(variable string, indent string) (out []string) {
	for i, kind := range tagsOf {
		if m.chance(45) && (i != 2 && i != 3 || m.chance(40)) {
			out = append(out, fmt.Sprintf("%s- if: '%s'\n%[1]s  variables:\n%[1]s    %[3]s: %[4]s\n%[1]s    TARGET: %[5]s", indent, pick(m, kind[0]), variable, pick(m, kind[1]), []string{"production", "staging", "review", "nightly", "review"}[i]))
		}
	}
	if out == nil {
		out = append(out, indent+"- if: $CI_COMMIT_BRANCH\n"+indent+"  variables: {"+variable+": $CI_COMMIT_SHORT_SHA, TARGET: staging}")
	}
	return out
}

// chosen are the rules of the whole pipeline, if they choose the tag.
func (m *maker) chosenByWorkflow() bool {
	if !m.may("chosen", 50) {
		return false
	}
	m.line("workflow:\n  rules:")
	for _, rule := range m.choosing("RELEASE", "    ") {
		m.line("%s", rule)
	}
	m.forms = append(m.forms, "$RELEASE", "$RELEASE")
	return true
}

// chosen are lines with a tag that the job's rules choose, or an environment's name beside one.
func (m *maker) chosen(name string) (out []string) {
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	image := m.images[name]
	switch m.IntN(6) {
	case 0, 1:
		add("docker build -t %s:$IMAGE_TAG %s", image, name)
		add("docker push %s:$IMAGE_TAG", image)
	case 2:
		add("docker build -t %s:$TARGET-$CI_COMMIT_SHORT_SHA -t %[1]s:$IMAGE_TAG %s", image, name)
		add("docker push %s:$TARGET-$CI_COMMIT_SHORT_SHA", image)
		add("docker push %s:$IMAGE_TAG", image)
	case 3:
		add("kubectl -n $TARGET set image deploy/%s app=%s:$IMAGE_TAG", name, image)
	case 4:
		add("docker run --rm %s:$IMAGE_TAG make check", image)
	case 5:
		add("if [ \"$TARGET\" = production ]; then crane tag %s:%s $IMAGE_TAG; fi", image, pick(m, m.tags[name]))
	}
	return out
}

// chosenRules are the rules of such a job.
func (m *maker) chosenRules() {
	m.line("  rules:")
	for _, rule := range m.choosing("IMAGE_TAG", "    ") {
		m.line("%s", rule)
	}
}
