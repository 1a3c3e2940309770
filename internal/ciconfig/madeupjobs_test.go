package ciconfig

import (
	"fmt"
	"strings"
)

// kinds are what a job may be about.
func (m *maker) kinds() []string {
	kinds := []string{"build", "build", "promote", "use", "deploy", "inside", "mixed"}
	for _, h := range []string{"compose", "manifests", "values", "bases", "matrix", "arches", "digests", "save", "artifacts", "child", "inside", "bake", "kustomize", "clients", "listed", "layers", "releases", "functions", "chosen", "handing", "charts", "targets"} {
		if m.has[h] || h == "listed" && m.has["clients"] {
			kinds = append(kinds, h, h)
		}
	}
	if m.has["reference"] {
		kinds = append(kinds, "referring")
	}
	if m.has["common"] {
		kinds = append(kinds, "common")
	}
	if m.has["compose"] {
		kinds = append(kinds, "up")
	}
	return kinds
}

// stageOf is the stage of most jobs of a kind.
func (m *maker) stageOf(kind string) string {
	switch kind {
	case "build", "variants", "hands", "matrix", "bases", "compose", "referring", "common", "bake":
		return "build"
	case "arches":
		if m.arches == "" {
			return "build"
		}
		return "test"
	case "handing":
		if m.built == "" {
			return "build"
		}
		return pick(m, []string{"test", "deploy"})
	case "releases":
		if m.releasable == "" {
			return "build"
		}
		return "deploy"
	case "listed":
		if m.listed == "" {
			return "build"
		}
		return "test"
	case "promote":
		return pick(m, []string{"test", "deploy"})
	case "use", "inside":
		return "test"
	case "save", "artifacts":
		if kind == "save" && m.saved != "" || kind == "artifacts" && m.noted != "" {
			return pick(m, []string{"test", "deploy"})
		}
		return "build"
	case "mixed", "digests", "child", "clients", "layers", "functions", "chosen", "targets":
		return pick(m, []string{"build", "test", "deploy"})
	}
	return "deploy"
}

// job writes a job of a kind.
func (m *maker) job(name, kind string) {
	stage := m.stageOf(kind)
	if m.chance(8) {
		stage = pick(m, []string{"build", "test", "deploy"})
	}
	m.line("%s:\n  stage: %s", name, stage)
	image := pick(m, madeNames)
	if kind == "handing" && m.built == "" {
		m.builder = name
	} else if kind == "handing" && m.chance(30) {
		kind = "handed down"
	}
	switch kind {
	case "child":
		m.child(name)
	case "handed down":
		m.handingDown(name)
		m.rules(pick(m, ruleForms))
		m.jobs = append(m.jobs, name)
		return
	case "referring":
		m.referring()
	case "common":
		m.commonly()
	case "releases":
		lines, rules := m.releases(image)
		m.list("script", lines)
		m.rules(rules)
		m.jobs = append(m.jobs, name)
		return
	case "inside":
		m.list("script", m.inside(image))
	default:
		m.surroundings(kind, image)
		script := m.special(kind, image)
		if script == nil {
			script = m.script(kind, image)
		}
		if m.chance(40) {
			script = m.moved(name, image, script)
		}
		m.list("script", script)
	}
	if kind == "chosen" {
		m.chosenRules()
	} else {
		m.whenItRuns(kind)
	}
	m.jobs = append(m.jobs, name)
}

// whenItRuns are the rules of a job and its needs.
func (m *maker) whenItRuns(kind string) {
	switch {
	case m.may("when", 40):
		m.rules(pick(m, whenForms))
	case m.chance(40):
		m.rules(m.rule)
	default:
		m.rules(pick(m, ruleForms))
	}
	if kind != "build" && len(m.jobs) > 0 && m.chance(20) {
		switch m.IntN(4) {
		case 0, 1:
			m.line("  needs: []")
		case 2:
			m.line("  needs: [%s]", pick(m, m.jobs))
		default:
			m.line("  needs: [{job: %s, optional: true}]", pick(m, m.jobs))
		}
	}
}

// surroundings are the keys of a job beside its script.
func (m *maker) surroundings(kind, image string) {
	switch kind {
	case "variants":
		m.line("  parallel:\n    matrix:\n      - VARIANT: [slim, full]")
	case "hands", "handing":
		if kind == "hands" || m.built == "" {
			m.line("  artifacts:\n    reports:\n      dotenv: build.env")
		}
	case "functions":
		if m.files["ci/lib.sh"] == "" {
			m.line("  before_script:\n    - *functions")
		}
	}
	m.specialKeys(kind)
	if m.may("extends", 40) && kind != "variants" {
		m.line("  extends: %s", pick(m, []string{".base", ".both", "[.tagged, .base]"}))
	}
	if m.may("override", 40) {
		m.line("  variables:\n    TAG: %s", pick(m, []string{"$CI_COMMIT_SHORT_SHA", "latest", "$CI_COMMIT_SHA", "$CI_COMMIT_REF_SLUG", "v1", "test-$CI_PIPELINE_ID"}))
	}
}

// list is a list of lines of a script.
func (m *maker) list(key string, lines []string) {
	if m.may("brackets", 70) && !strings.Contains(strings.Join(lines, ""), "\n") {
		for i, l := range lines {
			if lines[i] = yamlLine(l); lines[i] == l && strings.ContainsAny(l, "{}[],") {
				lines[i] = "'" + strings.ReplaceAll(l, "'", "''") + "'"
			}
		}
		m.line("  %s: [%s]", key, strings.Join(lines, ", "))
		return
	}
	m.line("  %s:", key)
	for _, l := range lines {
		if strings.Contains(l, "\n") {
			m.line("    - |\n      %s", strings.ReplaceAll(strings.TrimSuffix(l, "\n"), "\n", "\n      "))
		} else {
			m.line("    - %s", yamlLine(l))
		}
	}
}

// yamlLine is a line of a script as YAML, in quotes where a plain one would be something else.
func yamlLine(line string) string {
	if strings.ContainsAny(line[:1], "[{'\"&*!|>%@`#") || strings.Contains(line, ": ") || strings.Contains(line, " #") || strings.HasSuffix(line, ":") {
		return "'" + strings.ReplaceAll(line, "'", "''") + "'"
	}
	return line
}

// moved puts lines elsewhere: into a file or a function.
func (m *maker) moved(job, name string, script []string) []string {
	switch {
	case m.has["scripts"] && m.chance(60):
		return m.intoFile(job, name, script)
	case m.has["make"] && m.chance(60) && !strings.Contains(strings.Join(script, ""), "\n"):
		return m.intoMakefile(job, name, script)
	case m.has["shell"]:
		return m.intoShell(name, script)
	case m.has["open"] && m.chance(60):
		return m.intoOpen(name, script)
	case m.has["words"]:
		return m.intoWords(name, script)
	}
	return script
}

func (m *maker) script(kind, name string) (out []string) {
	image := m.images[name]
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	switch kind {
	case "build", "mixed":
		if lines := m.called(name); lines != nil {
			return lines
		}
		if m.may("shell", 30) {
			return pick(m, [][]string{m.loops(), m.guarded(name)})
		}
		tags := m.tags[name]
		if m.chance(30) {
			tags = []string{pick(m, m.forms)}
		}
		out = m.build(image, tags)
		if kind == "mixed" {
			add("docker run --rm %s make check", m.ref(name))
		}
	case "variants":
		tag := pick(m, []string{"$VARIANT", "$VARIANT-$CI_COMMIT_SHORT_SHA", "$CI_COMMIT_REF_SLUG-$VARIANT", "latest-$VARIANT"})
		add("docker build --target $VARIANT -t %s:%s .", image, tag)
		add("docker push %s:%s", image, tag)
		if m.chance(50) {
			add("docker run --rm %s:%s make check", image, tag)
		}
		m.tags[name] = append(m.tags[name], strings.ReplaceAll(tag, "$VARIANT", "slim"))
	case "hands":
		tag := pick(m, m.tags[name])
		add("NEW_IMAGE=%s:%s", image, tag)
		add(`push() { docker push "$1"; }`)
		add("docker build -t $NEW_IMAGE .")
		add("push $NEW_IMAGE")
		add(`echo "NEW_IMAGE=$NEW_IMAGE" >> build.env`)
		m.handed = true
	case "promote":
		out = m.promote(image, name)
	case "use":
		add(pick(m, []string{"docker run --rm %s make", "docker run %s true"}), m.ref(name))
		add("make test")
	case "deploy":
		if m.handed && m.chance(50) {
			add("kubectl set image deploy/%s %[1]s=$NEW_IMAGE", name)
		} else if m.chance(30) {
			add("helm upgrade %s chart --set image.repository=%s --set image.tag=%s", name, image, pick(m, m.tags[name]))
		} else {
			add("kubectl set image deploy/%s %[1]s=%s", name, m.ref(name))
		}
	}
	if m.may("notify", 40) {
		add(`notify "%s"`, pick(m, []string{"done with $TAG", "$CI_COMMIT_REF_NAME", "deployed $TAG of " + name, "built $CI_COMMIT_SHORT_SHA"}))
	}
	return out
}

// promote gives an image another tag.
func (m *maker) promote(image, name string) (out []string) {
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	from, to := pick(m, m.tags[name]), pick(m, m.forms)
	if from == to {
		to = "released-$CI_PIPELINE_ID"
	}
	n := 5
	if m.has["tools"] {
		n = 8
	}
	switch m.IntN(n) {
	case 0, 1:
		add("docker pull %s:%s", image, from)
		add("docker tag %s:%s %[1]s:%[3]s", image, from, to)
		add("docker push %s:%s", image, to)
	case 2:
		add("crane copy %s:%s %[1]s:%[3]s", image, from, to)
	case 3:
		add("crane tag %s:%s %s", image, from, to)
	case 4:
		add("skopeo copy docker://%s:%s docker://%[1]s:%[3]s", image, from, to)
	case 5:
		add("regctl image copy %s:%s %[1]s:%[3]s", image, from, to)
	case 6:
		add("docker buildx imagetools create -t %s:%s %[1]s:%[3]s", image, to, from)
	case 7:
		add("podman pull %s:%s", image, from)
		add("podman push %s:%s docker://%[1]s:%[3]s", image, from, to)
	}
	return out
}

// versions are lines of a script that make the tag of an image.
var versions = []string{
	"VERSION=$CI_COMMIT_SHORT_SHA",
	"export VERSION=${CI_COMMIT_TAG:-$CI_COMMIT_REF_SLUG}",
	`if [ -n "$CI_COMMIT_TAG" ]; then VERSION=$CI_COMMIT_TAG; else VERSION=latest; fi`,
	`VERSION=dev; if [ "$CI_COMMIT_BRANCH" = main ]; then VERSION=$CI_COMMIT_SHORT_SHA; fi`,
	`[ "$CI_COMMIT_BRANCH" = main ] && VERSION=main || VERSION=$CI_COMMIT_REF_SLUG`,
	`case $CI_COMMIT_REF_NAME in main) VERSION=stable ;; *) VERSION=test-$CI_COMMIT_SHORT_SHA ;; esac`,
}

// operations are those that make it by string operations.
var operations = []string{
	`VERSION=${CI_COMMIT_REF_NAME//\//-}`,
	`VERSION=$(echo "$CI_COMMIT_REF_NAME" | tr / -)`,
	`VERSION=$(echo $CI_COMMIT_SHA | cut -c1-8)`,
	`VERSION=$(echo $CI_COMMIT_REF_NAME | sed 's|/|-|g')`,
	`VERSION=${CI_COMMIT_TAG#v}; VERSION=${VERSION:-$CI_COMMIT_SHORT_SHA}`,
	`VERSION=$(git rev-parse --short HEAD)`,
	`VERSION=${CI_COMMIT_SHA:0:8}`,
}

// build builds an image and pushes it under some tags.
func (m *maker) build(image string, tags []string) (out []string) {
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if m.chance(20) {
		version := pick(m, versions)
		if m.has["strings"] {
			version = pick(m, operations)
		}
		out = append(out, version)
		tags = append(append([]string{}, tags[1:]...), "$VERSION")
	}
	cache := ""
	if m.chance(25) {
		from := pick(m, tags)
		if m.chance(60) {
			add("docker pull %s:%s || true", image, from)
		}
		cache = fmt.Sprintf(" --cache-from %s:%s", image, from)
	}
	var all []string
	for _, t := range tags {
		all = append(all, "-t "+image+":"+t)
	}
	n := 8
	if m.has["tools"] {
		n = 10
	}
	switch m.IntN(n) {
	case 0, 1, 2:
		add("docker build%s %s .", cache, strings.Join(all, " "))
		for _, t := range tags {
			add("docker push %s:%s", image, t)
		}
	case 3, 4:
		add("docker build%s -t %s:%s .", cache, image, tags[0])
		add("docker push %s:%s", image, tags[0])
		for _, t := range tags[1:] {
			add("docker tag %s:%s %[1]s:%[3]s", image, tags[0], t)
			add("docker push %s:%s", image, t)
		}
	case 5:
		add("docker buildx build --push%s %s .", cache, strings.Join(all, " "))
	case 6:
		add("docker build%s -t local .", cache)
		add("for t in %s; do docker tag local %s:$t; docker push %[2]s:$t; done", strings.Join(tags, " "), image)
	case 7:
		out = before(out, "docker") // what docker has pulled, it would go on to run
		var to []string
		for _, t := range tags {
			to = append(to, "--destination "+image+":"+t)
		}
		add("/kaniko/executor --context . %s", strings.Join(to, " "))
	case 8:
		out = before(out, "docker")
		add("buildah bud -t %s:%s .", image, tags[0])
		for _, t := range tags {
			add("buildah push %s:%s docker://%[1]s:%[3]s", image, tags[0], t)
		}
	case 9:
		out = before(out, "docker")
		add("docker buildx build --push --cache-from type=registry,ref=%s:cache --cache-to type=registry,ref=%[1]s:cache,mode=max %s .", image, strings.Join(all, " "))
	}
	if m.chance(15) {
		add(`if [ "$CI_COMMIT_BRANCH" = main ]; then docker build --target debug -t %s:debug .; docker push %[1]s:debug; fi`, image)
	}
	return out
}

// before is lines without those of a tool.
func before(lines []string, tool string) (out []string) {
	for _, l := range lines {
		if !strings.HasPrefix(l, tool) {
			out = append(out, l)
		}
	}
	return out
}
