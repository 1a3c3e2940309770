package ciconfig

import (
	"slices"
	"strings"
)

// commonWays are the conditions under which jobs run a script that they have in common.
var commonWays = []string{"%s", "%s", `if [ "$CI_COMMIT_BRANCH" = main ]; then %s; fi`, `if [ -n "$CI_COMMIT_TAG" ]; then %s; fi`,
	`if [ -z "$CI_COMMIT_TAG" ]; then %s; else echo released; fi`, `if git diff --quiet HEAD~1 -- web; then echo same; else %s; fi`}

// common writes what several jobs have in common: a script, a template or a list of commands
// that pushes an image.
func (m *maker) common() {
	if !m.has["common"] {
		return
	}
	ref := m.images["web"] + ":" + pick(m, []string{"$TAG", "$TAG", pick(m, m.tags["web"])})
	lines := []string{"docker build -t " + ref + " web", "docker push " + ref}
	switch m.kept = pick(m, []string{"script", "script", "template", "anchor"}); m.kept {
	case "script":
		m.files["ci/publish.sh"] = "#!/bin/sh\nset -e\n" + strings.Join(lines, "\n") + "\n"
	case "template":
		m.line(".publish:\n  script:\n    - %s", strings.Join(lines, "\n    - "))
	case "anchor":
		m.line(".publishing: &publishing\n  - %s", strings.Join(lines, "\n  - "))
	}
}

// commonly writes what a job does with it, with a tag of its own or that of all.
func (m *maker) commonly() {
	if m.chance(40) {
		m.line("  variables: {TAG: %s}", pick(m, slices.DeleteFunc(slices.Clone(m.forms), func(f string) bool { return f == "$TAG" || strings.HasPrefix(f, "${") })))
	}
	switch m.kept {
	case "script":
		m.list("script", []string{strings.ReplaceAll(pick(m, commonWays), "%s", "sh ci/publish.sh")})
	case "template":
		m.line("  extends: .publish")
	case "anchor":
		m.line("  script:\n    - *publishing")
	}
}
