package ciconfig

import (
	"fmt"
	"strings"
)

// handing are lines of jobs that hand a tag on in a dotenv report, and of those that take it.
// https://docs.gitlab.com/ci/variables/job_scripts/#pass-an-environment-variable-from-the-script-section-to-another-section-or-job
func (m *maker) handing(name string) (out []string) {
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if m.built == "" {
		m.built = name
		image := m.images[name]
		add("BUILT_TAG=%s", pick(m, []string{"$CI_COMMIT_SHORT_SHA", "$CI_COMMIT_REF_SLUG", "${CI_COMMIT_TAG:-latest}", "1.0.$CI_PIPELINE_IID", "latest", "$TAG", "${CI_COMMIT_TAG:-$CI_COMMIT_SHA}"}))
		switch m.IntN(3) {
		case 0:
			add("docker build -t %s:$BUILT_TAG %s", image, name)
			add("docker push %s:$BUILT_TAG", image)
		case 1:
			add("docker buildx build --push -t %s:$BUILT_TAG -t %[1]s:%s %s", image, pick(m, m.tags[name]), name)
		default:
			add("/kaniko/executor --context %s --destination %s:$BUILT_TAG", name, image)
		}
		switch m.IntN(4) {
		case 0:
			add(`echo "BUILT_TAG=$BUILT_TAG" > build.env`)
		case 1:
			add(`printf 'BUILT_TAG=%%s\nBUILT_NAME=%s\n' "$BUILT_TAG" > build.env`, name)
		case 2:
			add("{ echo BUILT_TAG=$BUILT_TAG; echo BUILT_NAME=%s; } >> build.env", name)
		default:
			add("cat > build.env <<END\nBUILT_TAG=$BUILT_TAG\nBUILT_NAME=%s\nEND", name)
		}
		return out
	}
	image := m.images[m.built]
	ref := image + ":$BUILT_TAG"
	switch m.IntN(7) {
	case 0:
		add("docker run --rm %s make check", ref)
	case 1:
		add("kubectl set image deploy/%s app=%s", m.built, ref)
	case 2:
		add("helm upgrade %s chart --set image.repository=%s --set image.tag=$BUILT_TAG", m.built, image)
	case 3:
		add("crane tag %s %s", ref, pick(m, []string{"released-$CI_PIPELINE_ID", "stable", "$CI_COMMIT_TAG", "latest"}))
	case 4:
		add("docker pull %s", ref)
		add("docker tag %s %s:deployed-$CI_PIPELINE_ID", ref, image)
		add("docker push %s:deployed-$CI_PIPELINE_ID", image)
	case 5:
		add(`if [ -z "$BUILT_TAG" ]; then BUILT_TAG=%s; fi`, pick(m, m.tags[m.built]))
		add("docker run --rm %s make check", ref)
	case 6:
		add("docker run --rm %s:${BUILT_TAG:-%s} make check", image, pick(m, []string{"latest", "$CI_COMMIT_SHORT_SHA"}))
	}
	return out
}

// handingDown is a job that starts a child pipeline with the tag.
func (m *maker) handingDown(name string) {
	root := m.b
	m.b = &strings.Builder{}
	image := strings.NewReplacer("$API_IMAGE", "$CI_REGISTRY_IMAGE/api", "$WEB_IMAGE", "$CI_REGISTRY_IMAGE/web", "$CI_IMAGE", "$CI_REGISTRY_IMAGE/ci").Replace(m.images[m.built])
	given := pick(m, []string{"GIVEN_TAG", "BUILT_TAG"})
	m.line("deploy below:\n  stage: deploy\n  script:\n    - kubectl set image deploy/%s app=%s:$%s", m.built, image, given)
	if m.chance(40) {
		m.line("check below:\n  stage: test\n  script:\n    - docker run --rm %s:$%s make check", image, given)
	}
	m.files["ci/"+name+".yml"] = m.b.String()
	m.b = root
	m.line("  variables:\n    %s: $BUILT_TAG", map[string]string{"GIVEN_TAG": "GIVEN_TAG", "BUILT_TAG": "OTHER"}[given])
	if given == "BUILT_TAG" {
		m.line("    BUILT_TAG: %s", pick(m, []string{"latest", "$CI_COMMIT_REF_SLUG", "$CI_COMMIT_SHA"}))
	}
	m.line("  trigger:\n    include: ci/%s.yml%s", name, pick(m, []string{"", "\n    strategy: depend", "\n    forward:\n      yaml_variables: true"}))
	m.line("  needs: [%s]", m.builder)
}
