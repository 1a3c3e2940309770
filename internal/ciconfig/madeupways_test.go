package ciconfig

import (
	"fmt"
	"strings"
)

// special are the lines of a job of a kind that only projects with its habit have, nil for others.
func (m *maker) special(kind, name string) (out []string) {
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	image, tag := m.images[name], pick(m, m.tags[name])
	switch kind {
	case "compose", "up":
		return m.composeLines(kind)
	case "bake":
		return m.bakeLines()
	case "manifests", "values":
		return m.deployed(kind, name)
	case "layers":
		return m.layers()
	case "targets":
		return m.targets(name)
	case "charts":
		return m.charts()
	case "handing":
		return m.handing(name)
	case "chosen":
		return m.chosen(name)
	case "functions":
		return m.functions(name)
	case "clients":
		return m.clients(name)
	case "listed":
		return m.listedDigests(name)
	case "kustomize":
		return m.kustomizes(name)
	case "bases":
		return m.based(name)
	case "matrix":
		if m.chance(50) {
			tag = "$KIND-" + pick(m, []string{"$CI_COMMIT_SHORT_SHA", "latest", "$CI_PIPELINE_ID"})
		}
		add("docker build --target $KIND -t $CI_REGISTRY_IMAGE/$NAME:%s $NAME", tag)
		add("docker push $CI_REGISTRY_IMAGE/$NAME:%s", tag)
	case "arches":
		tag = pick(m, []string{"$CI_COMMIT_SHORT_SHA", "latest", "$CI_COMMIT_SHA", "$TAG"})
		if m.arches == "" {
			m.arches = image + ":" + tag
			add("docker build --platform linux/$ARCH -t %s-$ARCH .", m.arches)
			add("docker push %s-$ARCH", m.arches)
			return out
		}
		if m.chance(50) {
			add("docker manifest create %s %[1]s-amd64 %[1]s-arm64", m.arches)
			add("docker manifest push %s", m.arches)
		} else {
			add("docker buildx imagetools create -t %s %[1]s-amd64 %[1]s-arm64", m.arches)
		}
		m.arches = ""
	case "digests":
		switch m.IntN(4) {
		case 0:
			add("DIGEST=$(crane digest %s:%s)", image, tag)
			add("kubectl set image deploy/%s app=%s@$DIGEST", name, image)
		case 1:
			add("docker pull %s:%s", image, tag)
			add("REF=$(docker inspect --format '{{index .RepoDigests 0}}' %s:%s)", image, tag)
			add("kubectl set image deploy/%s app=$REF", name)
		case 2:
			add(`if crane digest %s:%s; then kubectl set image deploy/%s app=%[1]s:%[2]s; fi`, image, tag, name)
		case 3:
			add("skopeo inspect docker://%s:%s && docker run --rm %[1]s:%[2]s true", image, tag)
		}
	case "save":
		if m.saved == "" {
			m.saved = image + ":" + tag
			add("docker build -t %s .", m.saved)
			add("docker save -o image.tar %s", m.saved)
			return out
		}
		add("docker load -i image.tar")
		if m.chance(70) {
			add("docker push %s", m.saved)
		} else {
			add("docker tag %s %s:released-$CI_PIPELINE_ID", m.saved, image)
			add("docker push %s:released-$CI_PIPELINE_ID", image)
		}
		m.saved = ""
	case "artifacts":
		if m.noted == "" {
			add("VERSION=%s", pick(m, []string{"$CI_COMMIT_SHORT_SHA", "latest", "$CI_COMMIT_REF_SLUG", "1.$CI_PIPELINE_ID"}))
			add("docker build -t %s:$VERSION .", image)
			add("docker push %s:$VERSION", image)
			add("echo $VERSION > tag.txt")
			m.noted = name
			return out
		}
		if m.chance(50) {
			add("docker run --rm %s:$(cat tag.txt) true", m.images[m.noted])
		} else {
			add("VERSION=$(cat tag.txt)")
			add("kubectl set image deploy/%s app=%s:$VERSION", m.noted, m.images[m.noted])
		}
	}
	return out
}

// special are the keys of such a job, before its script.
func (m *maker) specialKeys(kind string) {
	switch kind {
	case "matrix":
		m.line("  parallel:\n    matrix:")
		m.line("      %s", pick(m, []string{"- NAME: [web, ci]\n        KIND: [slim, full]", "- NAME: web\n        KIND: [slim, full]\n      - NAME: ci\n        KIND: slim", "- {NAME: [api, web], KIND: debug}"}))
	case "arches":
		if m.arches == "" {
			m.line("  parallel:\n    matrix:\n      - ARCH: [amd64, arm64]")
		}
	case "listed":
		if m.listed == "" {
			m.line("  parallel:\n    matrix:\n      - ARCH: [amd64, arm64]")
			m.line("  artifacts:\n    paths: [digests/*]")
		}
	case "save":
		if m.saved == "" {
			m.line("  artifacts:\n    paths: [image.tar]")
		}
	case "artifacts":
		if m.noted == "" {
			m.line("  artifacts: {paths: [tag.txt]}")
		}
	}
}

// inside are the keys and lines of a job in an own image.
func (m *maker) inside(image string) (script []string) {
	ref, _, _ := strings.Cut(m.ref(image), ":${") // GitLab knows no defaults
	if !m.has["inside"] {
		m.line("  image: %s", ref)
		return []string{"make check"}
	}
	switch m.IntN(4) {
	case 0:
		m.line("  image:\n    name: %s\n    entrypoint: ['']", ref)
	case 1:
		m.line(`  image: {name: "%s"}`, ref)
	default:
		m.line("  image: %s", ref)
	}
	if m.chance(40) {
		m.line("  variables:\n    MODE: %s\n    LABEL: \"$CI_COMMIT_REF_NAME and more\"", pick(m, []string{"fast", "'a b'", "$TAG"}))
	}
	if m.chance(30) {
		service := pick(m, []string{"postgres:16", m.images["web"] + ":" + pick(m, m.tags["web"])})
		if !strings.Contains(service, ":${") {
			m.line("  services:\n    - name: %s\n      alias: db", service)
		}
	}
	if m.chance(30) {
		m.list("before_script", []string{"PREPARED=yes", `notify "before $CI_COMMIT_REF_NAME"`})
	}
	if m.chance(30) {
		m.list("after_script", []string{`notify "after $MODE"`})
	}
	script = []string{"make check", `notify "$MODE of $LABEL"`, `notify "prepared: $PREPARED"`}
	if m.chance(30) {
		script = append(script, `for f in a b; do notify "it's $f"; done`)
	}
	if m.chance(30) {
		script = append(script, "cat > out.txt <<END\nfor $CI_COMMIT_SHORT_SHA\nEND\nnotify \"$(cat out.txt)\"")
	}
	return script
}

// child writes the file of a child pipeline, and the keys of the job that starts it.
func (m *maker) child(name string) {
	root := m.b
	m.b = &strings.Builder{}
	handed := m.chance(50)
	image := pick(m, madeNames)
	tag := pick(m, m.tags[image])
	if handed {
		tag = "$HANDED"
	}
	m.line("stages: [build, deploy]\nchild build:\n  stage: build")
	m.list("script", []string{"docker build -t $CI_REGISTRY_IMAGE/" + image + ":" + tag + " .", "docker push $CI_REGISTRY_IMAGE/" + image + ":" + tag})
	m.line("child use:\n  stage: deploy")
	if handed {
		m.list("script", []string{"docker run --rm $CI_REGISTRY_IMAGE/" + image + ":" + tag + " true"})
	} else {
		m.list("script", []string{"docker run --rm " + m.ref(pick(m, madeNames)) + " true"})
	}
	m.files["ci/"+name+".yml"] = m.b.String()
	m.b = root
	if handed {
		m.line("  variables:\n    HANDED: %s", pick(m, []string{"$CI_COMMIT_SHORT_SHA", "latest", "$CI_COMMIT_REF_SLUG", "$TAG"}))
	}
	m.line("  trigger:\n    include: %s", pick(m, []string{"ci/" + name + ".yml", "[{local: /ci/" + name + ".yml}]"}))
}

// laid are keys that a project's jobs have in common, by default or in templates.
func (m *maker) laid() {
	if m.has["default"] {
		m.line("default:\n  image: %s", pick(m, []string{"docker:27", "alpine:3"}))
		if m.chance(60) {
			m.line("  before_script:\n    - export VERSION=%s", pick(m, []string{"$CI_COMMIT_SHORT_SHA", "latest", "${CI_COMMIT_TAG:-$CI_COMMIT_REF_SLUG}"}))
			m.forms = append(m.forms, "$VERSION", "$VERSION")
		}
	}
	if m.has["extends"] {
		m.line(".base:\n  variables:\n    NAME: web\n    WHERE: base\n  interruptible: true")
		m.line(".tagged:\n  variables:\n    TAG: %s", pick(m, []string{"$CI_COMMIT_SHA", "latest", "base-$CI_COMMIT_SHORT_SHA"}))
		m.line(".both:\n  extends: [.base, .tagged]")
	}
	if m.has["reference"] {
		m.line(".setup:\n  script:\n    - IMAGE_TAG=%s", pick(m, []string{"$CI_COMMIT_SHORT_SHA", "latest", "$TAG"}))
		m.line(".push: &push\n  - docker push $CI_REGISTRY_IMAGE/web:$IMAGE_TAG")
	}
}

// referring are lines of a job that are put together from those of others.
func (m *maker) referring() {
	m.line("  script:\n    - !reference [.setup, script]\n    - docker build -t $CI_REGISTRY_IMAGE/web:$IMAGE_TAG web")
	m.line("    - *push")
}
