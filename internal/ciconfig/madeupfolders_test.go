package ciconfig

import (
	"fmt"
	"strings"
)

// folderNames are images that no other jobs build: the names of these are known, those of jobs
// that are named after them are not.
var folderNames = []string{"front", "back"}

// folders writes the jobs of a repository with a folder for each image: named after it, of a
// matrix, in child pipelines that its changes start, or of a template with inputs.
func (m *maker) folders(name string) {
	tag := pick(m, m.forms)
	base := pick(m, []string{"$CI_REGISTRY_IMAGE", "${CI_REGISTRY_IMAGE}"})
	script := func(of string) []string {
		return []string{fmt.Sprintf("docker build -t %s/%s:%s %[2]s", base, of, tag), fmt.Sprintf("docker push %s/%s:%s", base, of, tag)}
	}
	rules := pick(m, ruleForms)
	switch m.IntN(6) {
	case 0, 1: // named after it
		prefix, of := "", "$CI_JOB_NAME"
		if m.chance(50) {
			prefix, of = "build:", "${CI_JOB_NAME#build:}"
		}
		m.line(".%s:\n  stage: build", name)
		if m.chance(40) {
			m.list("script", append([]string{"NAME=" + of}, script("$NAME")...))
		} else {
			m.list("script", script(of))
		}
		m.rules(rules)
		for _, folder := range folderNames {
			m.line("%q:\n  extends: .%s", prefix+folder, name)
		}
	case 2: // of a matrix
		m.line("%s:\n  stage: build\n  parallel:\n    matrix:\n      - FOLDER: [front, back]", name)
		m.list("script", script("$FOLDER"))
		m.rules(rules)
	case 3: // several of one
		m.line("%s:\n  stage: build\n  parallel: 2", name)
		m.list("script", []string{
			fmt.Sprintf("docker build -t %s/ci:%s-$CI_NODE_INDEX ci", base, tag), fmt.Sprintf("docker push %s/ci:%s-$CI_NODE_INDEX", base, tag),
		})
		m.rules(rules)
	case 4: // child pipelines
		root := m.b
		for _, folder := range folderNames {
			m.b = root
			m.line("%s %s:\n  stage: build\n  trigger:\n    include: %[2]s/.gitlab-ci.yml\n  rules: [{changes: [%[2]s/**/*]}]", name, folder)
			m.b = &strings.Builder{}
			m.line("build:\n  stage: build")
			m.list("script", script(folder))
			m.line("use:\n  stage: test")
			m.list("script", []string{"docker run --rm " + base + "/" + folder + ":" + tag + " make check"})
			m.files[folder+"/.gitlab-ci.yml"] = m.b.String()
		}
		m.b = root
	case 5: // a template with inputs
		m.files["ci/folder.yml"] = "spec:\n  inputs:\n    folder:\n    tag:\n      default: " + tag + "\n---\n"
		root := m.b
		m.b = &strings.Builder{}
		tag = "$[[ inputs.tag ]]"
		m.line("build-$[[ inputs.folder ]]:\n  stage: build")
		m.list("script", script("$[[ inputs.folder ]]"))
		m.rules(rules)
		m.files["ci/folder.yml"] += m.b.String()
		m.b = root
		m.included = append(m.included, "{local: ci/folder.yml, inputs: {folder: front}}", "{local: ci/folder.yml, inputs: {folder: back, tag: "+pick(m, []string{"latest", "$CI_COMMIT_SHA", "v1"})+"}}")
	}
}
