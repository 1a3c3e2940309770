package ciconfig

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

var madeNames = []string{"api", "web", "ci"}

// tagForms are tags of images, many of which move.
var tagForms = []string{"$CI_COMMIT_SHA", "$CI_COMMIT_SHORT_SHA", "latest", "$CI_COMMIT_REF_SLUG", "$CI_COMMIT_REF_NAME", "$CI_PIPELINE_ID",
	"${CI_COMMIT_TAG:-latest}", "${CI_COMMIT_TAG:-$CI_COMMIT_SHORT_SHA}", "stable", "$TAG", "dev-$CI_COMMIT_SHORT_SHA", "$CI_COMMIT_REF_SLUG-$CI_COMMIT_SHORT_SHA", "v1"}

// ruleForms are the rules of jobs, "" for none.
var ruleForms = []string{"", "", "",
	`only: [main]`, `only: [tags]`, `only: [branches]`, `only: [main, tags]`, `only: [merge_requests]`, `except: [tags]`, `only: [schedules]`, `except: [main, tags]`,
	`[{if: '$CI_COMMIT_BRANCH == "main"'}]`,
	`[{if: '$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH'}]`,
	`[{if: $CI_COMMIT_TAG}]`,
	`[{if: $CI_COMMIT_BRANCH}]`,
	`[{if: $CI_COMMIT_BRANCH}, {if: $CI_COMMIT_TAG}]`,
	`[{if: '$CI_PIPELINE_SOURCE == "merge_request_event"'}]`,
	`[{if: '$CI_PIPELINE_SOURCE == "merge_request_event"'}, {if: '$CI_COMMIT_BRANCH == "main"'}]`,
	`[{if: '$CI_PIPELINE_SOURCE == "schedule"'}]`,
	`[{if: '$CI_COMMIT_BRANCH && $CI_COMMIT_BRANCH != "main"'}]`,
	`[{if: '$CI_COMMIT_BRANCH == "main"', variables: {TAG: latest}}, {if: $CI_COMMIT_TAG, variables: {TAG: $CI_COMMIT_TAG}}]`,
	`[{if: '$CI_COMMIT_BRANCH == "main"', variables: {TAG: $CI_COMMIT_SHA}}, {if: $CI_COMMIT_BRANCH, variables: {TAG: $CI_COMMIT_REF_SLUG}}]`,
}

// whenForms are rules that ask for more than the pipeline.
var whenForms = []string{
	`when: manual`, `when: always`, `when: on_failure`, `{only: [main], when: manual}`,
	`[{if: '$CI_COMMIT_BRANCH == "main"', when: manual, allow_failure: true}]`,
	`[{if: $CI_COMMIT_TAG, when: never}, {if: $CI_COMMIT_BRANCH}]`,
	`[{exists: [api/Dockerfile]}]`, `[{exists: [none.txt]}]`,
	`[{changes: [api/**/*]}]`, `[{if: '$CI_COMMIT_BRANCH == "main"', changes: [web/**/*]}]`,
}

// allHabits are what some projects do and others do not.
var allHabits = []string{"scripts", "shared-script", "make", "compose", "manifests", "values", "bases", "include", "default", "extends", "reference", "override",
	"matrix", "when", "child", "artifacts", "inside", "tools", "digests", "arches", "save", "shell", "strings", "spelling", "notify", "common", "brackets", "words", "open", "bake", "kustomize", "clients", "layers", "releases", "folders", "functions", "chosen", "handing", "charts", "targets", "delivery", "fleet"}

// maker makes a project up.
type maker struct {
	*rand.Rand
	files            map[string]string
	b                *strings.Builder // the CI file that is written
	has              map[string]bool  // habits
	images           map[string]string
	tags             map[string][]string
	rule             string   // that many of the jobs share
	forms            []string // of tags
	included         []string // files with their inputs
	jobs             []string
	handed           bool   // a job hands its image on in a dotenv report
	arches           string // what jobs have built for each platform
	saved            string // and saved into a file
	noted            string // the image whose tag is in one
	kept             string // how jobs have commands in common
	listed, listedBy string // the image whose digests are in files, and how
	releasable       string // the image that releases are made of
	makes, makesFile string // the call of the Makefile with the targets
	chartForm        int
	built, builder   string            // the image whose tag a job hands on, and that job
	keys             map[string]string // image -> the name that kustomizations find it by
}

func pick[T any](m *maker, list []T) T { return list[m.IntN(len(list))] }

func (m *maker) chance(percent int) bool { return m.IntN(100) < percent }

// may is a chance for projects that have a habit.
func (m *maker) may(habit string, percent int) bool { return m.has[habit] && m.chance(percent) }

func (m *maker) line(format string, args ...any) { fmt.Fprintf(m.b, format+"\n", args...) }

func (m *maker) habits() []string { return slices.Sorted(maps.Keys(m.has)) }

func (m *maker) project() (out []File) {
	for _, name := range slices.Sorted(maps.Keys(m.files)) {
		out = append(out, File{name, []byte(m.files[name])})
	}
	return out
}

// text is all of a project.
func (m *maker) text() (out string) {
	for _, f := range m.project() {
		out += "-- " + f.Path + " --\n" + string(f.Content)
	}
	return out
}

// ref is an image under one of its tags, seldom another.
func (m *maker) ref(name string) string {
	if m.chance(15) {
		return m.images[name] + ":" + pick(m, m.forms)
	}
	return m.images[name] + ":" + pick(m, m.tags[name])
}

// madeUp is a project with a pipeline of some jobs that build, promote, use and deploy images.
func madeUp(r *rand.Rand, habits string) *maker {
	m := &maker{Rand: r, files: map[string]string{}, b: &strings.Builder{}, has: map[string]bool{}, images: map[string]string{}, tags: map[string][]string{}, keys: map[string]string{}}
	for _, h := range allHabits {
		if chosen := m.chance(10); habits == "" && chosen {
			m.has[h] = true
		}
	}
	for h := range strings.SplitSeq(habits, ",") {
		if h != "" && h != "-" {
			m.has[h] = true
		}
	}
	m.rule = pick(m, ruleForms)
	branch := pick(m, []string{"$CI_COMMIT_REF_SLUG", "$CI_COMMIT_REF_NAME"}) // they are one tag for most branches
	m.forms = slices.DeleteFunc(slices.Clone(tagForms), func(f string) bool { return strings.HasPrefix(f, "$CI_COMMIT_REF") && !strings.HasPrefix(f, branch) })
	m.line("stages: [build, test, deploy]")
	if !m.chosenByWorkflow() && m.chance(10) {
		m.line("workflow:\n  rules: [{if: $CI_COMMIT_TAG}, {if: $CI_COMMIT_BRANCH}]")
	}
	m.variables(branch)
	for _, name := range madeNames {
		m.files[name+"/Dockerfile"] = "FROM alpine:3\nCOPY . .\n"
	}
	m.files["Dockerfile"] = "FROM alpine:3\n"
	m.shared()
	m.laid()
	m.library()
	m.common()
	if m.chance(25) {
		m.template()
	}
	root := m.b
	for i := range 2 + m.IntN(4) {
		kind := pick(m, m.kinds())
		if i == 0 {
			kind = pick(m, []string{"build", "build", "build", "variants", "hands"})
		}
		if i == 1 && m.has["reference"] {
			kind = "referring" // what it takes is there for somebody
		}
		if m.has["folders"] && (i == 1 && !m.has["reference"] || i == 2 && m.has["reference"]) {
			kind = "folders" // once, as others would have the same names
		}
		if i < 2 && m.has["common"] && (i == 0 || !m.has["reference"]) {
			kind = "common"
		}
		if i == 0 && m.has["functions"] {
			kind = "functions"
		}
		if m.b = root; i > 0 && !slices.Contains([]string{"referring", "common", "functions"}, kind) && m.may("include", 50) {
			m.b = &strings.Builder{}
		}
		if m.has["delivery"] && i == 1 && kind != "referring" && kind != "folders" {
			kind = "delivery"
		}
		if m.has["fleet"] && i == 1 && !slices.Contains([]string{"referring", "folders", "delivery"}, kind) {
			kind = "fleet"
		}
		switch kind {
		case "fleet":
			m.fleet(fmt.Sprint(kind, i))
		case "folders":
			m.folders(fmt.Sprint(kind, i))
		case "delivery":
			m.delivery(fmt.Sprint(kind, i))
		default:
			m.job(fmt.Sprint(kind, i), kind)
		}
		if m.b != root {
			m.files["ci/jobs.yml"] += m.b.String()
		}
	}
	m.files[".gitlab-ci.yml"] = root.String()
	switch {
	case m.included != nil:
		if m.files["ci/jobs.yml"] != "" {
			m.included = append(m.included, "{local: /ci/jobs.yml}")
		}
		m.files[".gitlab-ci.yml"] = "include:\n  - " + strings.Join(m.included, "\n  - ") + "\n" + root.String()
	case m.files["ci/jobs.yml"] != "":
		m.files[".gitlab-ci.yml"] = pick(m, []string{"include: ci/jobs.yml\n", "include:\n  - local: /ci/jobs.yml\n"}) + root.String()
	}
	return m
}

// variables are those of the whole pipeline, and the names of images with their tags.
func (m *maker) variables(branch string) {
	m.line("variables:\n  TAG: %s", pick(m, []string{"$CI_COMMIT_SHORT_SHA", "latest", branch, "$CI_COMMIT_SHA"}))
	base := "$CI_REGISTRY_IMAGE"
	if m.has["spelling"] {
		base = pick(m, []string{"$CI_REGISTRY/$CI_PROJECT_PATH", "$CI_REGISTRY/$CI_PROJECT_NAMESPACE/$CI_PROJECT_NAME", "registry.uninett.no/team/shop", "${CI_REGISTRY_IMAGE}", "$BASE"})
		if base == "$BASE" {
			m.line("  BASE: $CI_REGISTRY_IMAGE")
		}
	}
	for _, name := range madeNames {
		m.images[name] = base + "/" + name
		if m.chance(30) {
			m.line("  %s_IMAGE: %s", strings.ToUpper(name), m.images[name])
			m.images[name] = "$" + strings.ToUpper(name) + "_IMAGE"
		}
		forms := m.forms
		m.Shuffle(len(forms), func(i, j int) { forms[i], forms[j] = forms[j], forms[i] })
		m.tags[name] = slices.Clone(forms[:1+m.IntN(2)])
	}
	if m.chance(20) {
		m.images["api"] = base
	}
}

// template is one that several jobs extend, with the name of the image in a variable.
func (m *maker) template() {
	tag := pick(m, m.tags["web"])
	m.line(".image:\n  stage: build\n  script:\n    - docker build -t $CI_REGISTRY_IMAGE/$NAME:%[1]s $NAME\n    - docker push $CI_REGISTRY_IMAGE/$NAME:%[1]s", tag)
	m.rules(pick(m, ruleForms))
	if m.chance(50) {
		m.line("images:\n  extends: .image\n  parallel:\n    matrix:\n      - NAME: [web, ci]")
	} else {
		m.line("image web:\n  extends: .image\n  variables: {NAME: web}\nimage ci:\n  extends: .image\n  variables: {NAME: ci}")
	}
}

func (m *maker) rules(form string) {
	switch {
	case strings.HasPrefix(form, "["):
		m.line("  rules: %s", form)
	case strings.HasPrefix(form, "{"):
		for part := range strings.SplitSeq(strings.Trim(form, "{}"), ", ") {
			m.line("  %s", part)
		}
	case form != "":
		m.line("  %s", form)
	}
}
