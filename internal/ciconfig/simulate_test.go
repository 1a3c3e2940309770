package ciconfig

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

var projects = flag.Int("simulate", 300, "how many projects TestSimulated makes up; with -seed, from there")
var firstSeed = flag.Int("seed", 0, "the first project that TestSimulated makes up")

// TestSimulated makes projects up, runs their pipelines against a registry in which tags may be
// overwritten, rewrites them, and runs them again against one in which they may not. Each job
// has to get the same image as before, and each push to succeed, unless a finding speaks of it.
func TestSimulated(t *testing.T) {
	t.Parallel()
	blocked := 0
	for seed := *firstSeed; seed < *firstSeed+*projects; seed++ {
		before := []byte(madeUp(rand.New(rand.NewPCG(uint64(seed), 0))))
		in := input(one(string(before)), rule{Project: "team/shop"})
		res, err := Rewrite(in)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, before)
		}
		if res.Blocked() {
			blocked++
			continue
		}
		after := before
		if len(res.Edits) > 0 {
			after = res.Edits[0].After
		}
		old := simulate(t, before, string(before), "registry.uninett.no/team/shop", false)
		now := simulate(t, after, string(before), "ecr.example.org/team/shop", true)
		for _, why := range compared(old, now, res) {
			t.Errorf("seed %d: %s\n%s\nbecame\n%s\nfindings: %v", seed, why, before, after, res.Findings)
			break
		}
	}
	if blocked > *projects/10 {
		t.Errorf("%d of %d projects are blocked: the test is not worth much", blocked, *projects)
	}
}

// compared are the differences that no finding speaks of.
func compared(old, now *simulator, res *Result) (out []string) {
	tells := func(ref string, codes ...Code) bool {
		name := ref[:strings.LastIndexByte(ref, ':')+1]
		return slices.ContainsFunc(res.Findings, func(f Finding) bool {
			return slices.Contains(codes, f.Code) && strings.Contains(f.Detail+f.Message, name)
		})
	}
	for job, uses := range old.uses {
		for i, u := range uses {
			switch after := now.uses[job]; {
			case u.image == "":
			case i >= len(after):
				if !tells(u.ref, "job-dropped") {
					out = append(out, fmt.Sprintf("%v does not use %s any more", job, u.ref))
				}
			case after[i].image != u.image && !tells(u.ref, "moving-tag", "expires", "pushed-again"):
				out = append(out, fmt.Sprintf("%v used %s, built by %q, and uses %s, built by %q", job, u.ref, u.image, after[i].ref, after[i].image))
			}
		}
	}
	for _, f := range now.faults {
		if !old.ran[[2]string{f.pipeline, f.job}] || slices.ContainsFunc(old.faults, func(g fault) bool { return g.pipeline == f.pipeline && g.job == f.job && g.what == f.what }) {
			continue
		}
		name := "registry.uninett.no/team/shop:"
		if _, tag, _ := strings.Cut(f.ref, ":"); slices.Contains(madeNames, strings.Split(tag, "-")[0]) {
			name = "registry.uninett.no/team/shop/" + strings.Split(tag, "-")[0] + ":"
		}
		replacedForTags := slices.ContainsFunc(res.Findings, func(g Finding) bool {
			return g.Code == "tag-replaced" && strings.Contains(g.Message, "git tag") && strings.Contains(g.Message, name)
		})
		if !replacedForTags && !tells(name+"x", "moving-tag", "pushed-again", "tag-computed", "tag-collision", "expires") {
			out = append(out, fmt.Sprintf("%s in pipeline %s: %s %s", f.job, f.pipeline, f.what, f.ref))
		}
	}
	return out
}

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

// maker makes a project up.
type maker struct {
	*rand.Rand
	b      strings.Builder
	images map[string]string
	tags   map[string][]string
	rule   string   // that many of the jobs share
	forms  []string // of tags
	jobs   []string
	handed bool // a job hands its image on in a dotenv report
}

func pick[T any](m *maker, list []T) T { return list[m.IntN(len(list))] }

func (m *maker) chance(percent int) bool { return m.IntN(100) < percent }

func (m *maker) line(format string, args ...any) { fmt.Fprintf(&m.b, format+"\n", args...) }

// ref is an image under one of its tags, seldom another.
func (m *maker) ref(name string) string {
	if m.chance(15) {
		return m.images[name] + ":" + pick(m, m.forms)
	}
	return m.images[name] + ":" + pick(m, m.tags[name])
}

// madeUp is a pipeline of some jobs that build, promote, use and deploy images.
func madeUp(r *rand.Rand) string {
	m := &maker{Rand: r, images: map[string]string{}, tags: map[string][]string{}, rule: pick(&maker{Rand: r}, ruleForms)}
	branch := pick(m, []string{"$CI_COMMIT_REF_SLUG", "$CI_COMMIT_REF_NAME"}) // they are one tag for most branches
	m.forms = slices.DeleteFunc(slices.Clone(tagForms), func(f string) bool { return strings.HasPrefix(f, "$CI_COMMIT_REF") && !strings.HasPrefix(f, branch) })
	m.line("stages: [build, test, deploy]")
	if m.chance(10) {
		m.line("workflow:\n  rules: [{if: $CI_COMMIT_TAG}, {if: $CI_COMMIT_BRANCH}]")
	}
	m.line("variables:\n  TAG: %s", pick(m, []string{"$CI_COMMIT_SHORT_SHA", "latest", branch, "$CI_COMMIT_SHA"}))
	for _, name := range madeNames {
		m.images[name] = "$CI_REGISTRY_IMAGE/" + name
		if m.chance(30) {
			m.line("  %s_IMAGE: %s", strings.ToUpper(name), m.images[name])
			m.images[name] = "$" + strings.ToUpper(name) + "_IMAGE"
		}
		forms := m.forms
		m.Shuffle(len(forms), func(i, j int) { forms[i], forms[j] = forms[j], forms[i] })
		m.tags[name] = slices.Clone(forms[:1+m.IntN(2)])
	}
	if m.chance(20) {
		m.images["api"] = "$CI_REGISTRY_IMAGE"
	}
	if m.chance(25) {
		m.template()
	}
	for i := range 2 + m.IntN(4) {
		kind := pick(m, []string{"build", "build", "promote", "use", "deploy", "inside", "mixed"})
		if i == 0 {
			kind = pick(m, []string{"build", "build", "build", "variants", "hands"})
		}
		m.job(fmt.Sprint(kind, i), kind)
	}
	return m.b.String()
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
	case form != "":
		m.line("  %s", form)
	}
}

// job writes a job of a kind.
func (m *maker) job(name, kind string) {
	stage := map[string]string{"build": "build", "variants": "build", "hands": "build", "promote": pick(m, []string{"test", "deploy"}), "use": "test", "deploy": "deploy", "inside": "test", "mixed": pick(m, []string{"build", "test", "deploy"})}[kind]
	if m.chance(8) {
		stage = pick(m, []string{"build", "test", "deploy"})
	}
	m.line("%s:\n  stage: %s", name, stage)
	image := pick(m, madeNames)
	switch kind {
	case "variants":
		m.line("  parallel:\n    matrix:\n      - VARIANT: [slim, full]")
	case "hands":
		m.line("  artifacts:\n    reports:\n      dotenv: build.env")
	}
	if kind == "inside" {
		ref, _, _ := strings.Cut(m.ref(image), ":${") // GitLab knows no defaults
		m.line("  image: %s", ref)
	}
	m.line("  script:")
	script := m.script(kind, image)
	for _, l := range script {
		m.line("    - %s", l)
	}
	if m.chance(40) {
		m.rules(m.rule)
	} else {
		m.rules(pick(m, ruleForms))
	}
	if kind != "build" && len(m.jobs) > 0 && m.chance(20) {
		if m.chance(50) {
			m.line("  needs: []")
		} else {
			m.line("  needs: [%s]", pick(m, m.jobs))
		}
	}
	m.jobs = append(m.jobs, name)
}

func (m *maker) script(kind, name string) (out []string) {
	image := m.images[name]
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	switch kind {
	case "build", "mixed":
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
		add("IMAGE=%s:%s", image, tag)
		out = append(out, "'push() { docker push \"$1\"; }'")
		add("docker build -t $IMAGE .")
		add("push $IMAGE")
		add(`echo "IMAGE=$IMAGE" >> build.env`)
		m.handed = true
	case "promote":
		from, to := pick(m, m.tags[name]), pick(m, m.forms)
		if from == to {
			to = "released-$CI_PIPELINE_ID"
		}
		switch m.IntN(5) {
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
		}
	case "use":
		add(pick(m, []string{"docker run --rm %s make", "docker run %s true"}), m.ref(name))
		add("make test")
	case "deploy":
		if m.handed && m.chance(50) {
			add("kubectl set image deploy/%s %[1]s=$IMAGE", name)
		} else if m.chance(30) {
			add("helm upgrade %s chart --set image.repository=%s --set image.tag=%s", name, image, pick(m, m.tags[name]))
		} else {
			add("kubectl set image deploy/%s %[1]s=%s", name, m.ref(name))
		}
	case "inside":
		add("make check")
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

// build builds an image and pushes it under some tags.
func (m *maker) build(image string, tags []string) (out []string) {
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if m.chance(20) {
		out = append(out, yamlLine(pick(m, versions)))
		tags = append(slices.Clone(tags[1:]), "$VERSION")
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
	switch m.IntN(8) {
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
		out = nil // what docker has pulled, it would go on to run
		var to []string
		for _, t := range tags {
			to = append(to, "--destination "+image+":"+t)
		}
		add("/kaniko/executor --context . %s", strings.Join(to, " "))
	}
	if m.chance(15) {
		add(`if [ "$CI_COMMIT_BRANCH" = main ]; then docker build --target debug -t %s:debug .; docker push %[1]s:debug; fi`, image)
	}
	return out
}

// yamlLine is a line of a script as YAML, in quotes where a plain one would be a list.
func yamlLine(line string) string {
	if strings.HasPrefix(line, "[") {
		return "'" + line + "'"
	}
	return line
}
