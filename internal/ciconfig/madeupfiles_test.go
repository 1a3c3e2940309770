package ciconfig

import (
	"fmt"
	"strings"
)

// called are lines that have an image built by what the project's jobs share, nil without that.
func (m *maker) called(name string) []string {
	tag := pick(m, m.tags[name])
	switch {
	case m.may("shared-script", 60):
		return []string{pick(m, []string{"sh", "bash"}) + fmt.Sprintf(" ci/build.sh %s %s", name, tag)}
	case m.may("make", 40):
		return []string{pick(m, []string{
			fmt.Sprintf("make push IMAGE=%s TAG=%s", name, tag), fmt.Sprintf("make push IMAGE=%s", name), fmt.Sprintf("export IMAGE=%s; make push", name),
			fmt.Sprintf("make build push TAG=%s IMAGE=%s", tag, name),
		})}
	}
	return nil
}

// shared writes the files that several jobs call.
func (m *maker) shared() {
	base := pick(m, []string{"$CI_REGISTRY_IMAGE", "${CI_REGISTRY_IMAGE}"})
	if m.has["shared-script"] {
		m.files["ci/build.sh"] = pick(m, []string{
			"#!/bin/sh\nset -e\nNAME=$1\nVERSION=$2\ndocker build -t " + base + "/$NAME:$VERSION $NAME\ndocker push " + base + "/$NAME:$VERSION\n",
			"#!/bin/bash\nIMAGE=\"" + base + "/$1\"\ndocker build -t \"$IMAGE:${2:-latest}\" \"$1\"\ndocker push \"$IMAGE:${2:-latest}\"\n",
			"#!/bin/sh\nIMAGE=" + base + "/$1:$2\ndocker build -t $IMAGE .\ndocker push $IMAGE\nif [ \"$CI_COMMIT_BRANCH\" = main ]; then\n  docker tag $IMAGE " + base + "/$1:latest\n  docker push " + base + "/$1:latest\nfi\n",
			"#!/bin/sh\npush() {\n  docker push " + base + "/$1:$2\n}\ndocker build -t " + base + "/$1:$2 $1\npush $1 $2\n",
			"#!/bin/sh\ncase $1 in\n  web) DIR=web ;;\n  *) DIR=. ;;\nesac\ndocker buildx build --push -t " + base + "/$1:$2 $DIR\n",
		})
	}
	if m.has["make"] {
		m.files["Makefile"] = pick(m, []string{"REGISTRY ?= $(CI_REGISTRY_IMAGE)\n", "REGISTRY := $(CI_REGISTRY_IMAGE)\n", "REGISTRY = ${CI_REGISTRY_IMAGE}\n"}) +
			pick(m, []string{"IMAGE ?= web\n", "IMAGE = api\n"}) +
			pick(m, []string{"TAG ?= latest\n", "TAG := $(CI_COMMIT_SHORT_SHA)\n", "TAG = $(CI_COMMIT_REF_SLUG)\n", "TAG ?= $(CI_COMMIT_SHA)\n"}) +
			pick(m, []string{
				"build:\n\tdocker build -t $(REGISTRY)/$(IMAGE):$(TAG) .\n\npush: build\n\tdocker push $(REGISTRY)/$(IMAGE):$(TAG)\n\n",
				"FULL = $(REGISTRY)/$(IMAGE)\n.PHONY: build push\nbuild:\n\t@docker build -t $(FULL):$(TAG) .\npush: build\n\t@docker push $(FULL):$(TAG)\n\n",
				"build:\n\tdocker build -t $(REGISTRY)/$(IMAGE):$(TAG) -t $(REGISTRY)/$(IMAGE):latest .\n\npush: build\n\tdocker push $(REGISTRY)/$(IMAGE):$(TAG)\n\tdocker push $(REGISTRY)/$(IMAGE):latest\n\n",
			})
	}
	if m.has["compose"] {
		tag := pick(m, []string{"${TAG}", "${TAG:-latest}", "$CI_COMMIT_SHA", "latest"})
		m.files["docker-compose.yml"] = fmt.Sprintf("services:\n  api:\n    image: ${CI_REGISTRY_IMAGE}/api:%s\n    build: ./api\n  web:\n    image: %s/web:%s\n    build: ./web\n  db:\n    image: postgres:16\n",
			tag, pick(m, []string{"$CI_REGISTRY_IMAGE", "registry.uninett.no/team/shop", "${CI_REGISTRY_IMAGE}"}), tag)
	}
}

// bakeFile is a bake file with targets for the images web and ci.
func (m *maker) bakeFile() string {
	base := pick(m, []string{"${REGISTRY}", "${REGISTRY}", "${CI_REGISTRY_IMAGE}"})
	vars := map[string]string{"${REGISTRY}": "variable \"REGISTRY\" {\n  default = \"" + pick(m, []string{"registry.uninett.no/team/shop", "local"}) + "\"\n}\n",
		"${CI_REGISTRY_IMAGE}": "variable \"CI_REGISTRY_IMAGE\" {}\n"}[base] + "variable \"TAG\" {\n  default = \"latest\"\n}\n"
	tags := func(name string) string {
		image := base + "/" + name
		return pick(m, []string{
			`["` + image + `:${TAG}"]`,
			`["` + image + `:${TAG}", "` + image + `:latest"]`,
			`["` + image + `:${TAG}", TAG == "latest" ? "" : "` + image + `:latest"]`,
			`[format("%s:%s", "` + image + `", TAG)]`,
		})
	}
	if m.chance(30) {
		return vars + "target \"default\" {\n  name = \"image-${name}\"\n  matrix = {\n    name = [\"web\", \"ci\"]\n  }\n  context = name\n  tags = " + tags("${name}") + "\n}\n"
	}
	return vars + "group \"default\" {\n  targets = [\"web\", \"ci\"]\n}\ntarget \"web\" {\n  context = \"web\"\n  tags = " + tags("web") + "\n}\ntarget \"ci\" {\n  inherits = [\"web\"]\n  context = \"ci\"\n  tags = " + tags("ci") + "\n}\n"
}

// bakeLines are lines that build by the bake file.
func (m *maker) bakeLines() []string {
	if m.files["docker-bake.hcl"] == "" {
		m.files["docker-bake.hcl"] = m.bakeFile()
	}
	bake := "docker buildx bake --push" + pick(m, []string{"", "", " web", " -f docker-bake.hcl"})
	if strings.Contains(m.files["docker-bake.hcl"], "matrix") {
		bake = strings.TrimSuffix(bake, " web")
	}
	if strings.Contains(m.files["docker-bake.hcl"], "${REGISTRY}") {
		if m.chance(50) {
			return append(m.bakeTag(), "REGISTRY=$CI_REGISTRY_IMAGE "+bake)
		}
		return append(m.bakeTag(), "export REGISTRY=$CI_REGISTRY_IMAGE", bake)
	}
	return append(m.bakeTag(), bake)
}

func (m *maker) bakeTag() []string {
	if m.chance(50) {
		return []string{"export TAG=" + pick(m, []string{"$CI_COMMIT_SHORT_SHA", "$CI_COMMIT_SHA", "$CI_COMMIT_REF_SLUG", "$CI_PIPELINE_ID", "latest"})}
	}
	return nil
}

// intoFile moves lines into a script of the repository, which gets image and tag as arguments or
// takes them from its surroundings.
func (m *maker) intoFile(job, name string, script []string) []string {
	file := "ci/" + job + ".sh"
	text := strings.Join(script, "\n") + "\n"
	var given []string
	if image := m.images[name]; strings.Contains(text, image+":") && m.chance(50) {
		given = append(given, `"`+image+`"`)
		text = strings.ReplaceAll(text, image+":", "$1:")
		if tag := pick(m, m.tags[name]); strings.Contains(text, "$1:"+tag) && m.chance(50) {
			given = append(given, `"`+tag+`"`)
			for _, end := range []string{"\n", " ", ";"} {
				text = strings.ReplaceAll(text, "$1:"+tag+end, "$1:$2"+end)
			}
		}
	}
	m.files[file] = "#!/bin/sh\n" + pick(m, []string{"", "set -e\n", "set -eu\n"}) + text
	args := strings.Join(append([]string{""}, given...), " ")
	if given == nil {
		args = pick(m, []string{"", "", " now"})
	}
	return []string{pick(m, []string{"sh ", "bash ", "./", ". ./", "chmod +x " + file + " && ./"}) + file + args}
}

// intoMakefile makes a recipe of lines.
func (m *maker) intoMakefile(job, name string, script []string) []string {
	text := strings.ReplaceAll(strings.Join(script, "; "), "$", "$$")
	args := ""
	if image := strings.ReplaceAll(m.images[name], "$", "$$"); strings.Contains(text, image+":") && m.chance(50) {
		text = strings.ReplaceAll(text, image+":", "$(NAME_OF_IMAGE):")
		args = " NAME_OF_IMAGE=" + m.images[name]
	} else if m.chance(50) {
		text = strings.ReplaceAll(text, "$$CI_REGISTRY_IMAGE", "$(CI_REGISTRY_IMAGE)")
		text = strings.ReplaceAll(text, "$$TAG", "$(TAG)")
	}
	m.files["Makefile"] += job + ":\n\t" + text + "\n\n"
	return []string{"make " + job + args}
}

// deployed are lines that deploy an image by a file.
func (m *maker) deployed(kind, name string) (out []string) {
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	image, tag := m.images[name], pick(m, m.tags[name])
	file := "k8s/" + name + ".yaml"
	manifest := func(image string) {
		m.files[file] = "kind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n        - name: app\n          image: " + image + "\n"
	}
	if kind == "values" {
		file = "values-" + name + ".yaml"
		m.files[file] = pick(m, []string{
			"image:\n  repository: registry.uninett.no/team/shop/" + name + "\n  tag: latest\n", "image:\n  repository: registry.uninett.no/team/shop/" + name + "\n", "replicas: 2\n",
		})
		add("helm upgrade --install %s chart -f %s --set image.tag=%s", name, file, tag)
		if m.files[file] == "replicas: 2\n" {
			out[0] += " --set image.repository=" + image
		}
		return out
	}
	if m.files[file] != "" {
		return []string{"kubectl apply -f " + file}
	}
	switch m.IntN(6) {
	case 0:
		manifest("IMAGE_OF_APP")
		add(`sed -i "s|IMAGE_OF_APP|%s:%s|" %s`, image, tag, file)
		add("kubectl apply -f %s", file)
	case 1:
		manifest("registry.uninett.no/team/shop/" + name + ":latest")
		add("kubectl apply -f %s", file)
	case 2:
		manifest("${CI_REGISTRY_IMAGE}/" + name + ":${TAG}")
		add("envsubst < %s | kubectl apply -f -", file)
	case 3:
		manifest("registry.uninett.no/team/shop/" + name + ":VERSION_OF_APP")
		add(`sed "s/VERSION_OF_APP/%s/g" %s | kubectl apply -f -`, pick(m, []string{"$CI_COMMIT_SHA", "$CI_COMMIT_SHORT_SHA", "$TAG"}), file)
	case 4:
		manifest("$IMAGE_NAME:$IMAGE_TAG")
		add("export IMAGE_NAME=%s", image)
		add("export IMAGE_TAG=%s", tag)
		add("envsubst < %s > out.yaml", file)
		add("kubectl apply -f out.yaml")
	case 5:
		manifest("registry.uninett.no/team/shop/" + name)
		add("kubectl apply -f %s", file)
		add("kubectl set image deploy/%s app=%s:%s", name, image, tag)
	}
	return out
}

// composed are lines that work with the compose file.
func (m *maker) composeLines(kind string) (out []string) {
	if m.chance(40) {
		out = append(out, pick(m, []string{"export TAG=$CI_COMMIT_SHORT_SHA", "export TAG=latest", `echo "TAG=$CI_COMMIT_SHA" > .env`}))
	}
	which := pick(m, []string{"", "", " api", " web"})
	if kind == "compose" && m.chance(70) {
		return append(out, "docker compose build"+which, "docker compose push"+which)
	}
	if m.chance(50) {
		out = append(out, "docker compose pull"+which)
	}
	return append(out, pick(m, []string{"docker compose up -d", "docker-compose up -d"})+which)
}

// based are lines that build an image and another one on it.
func (m *maker) based(name string) (out []string) {
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	base := m.images["ci"] + ":" + pick(m, m.tags["ci"])
	image := m.images["web"] + ":" + pick(m, m.tags["web"])
	if m.chance(60) {
		add("docker build -t %s ci", base)
		add("docker push %s", base)
	}
	switch file := "web/Dockerfile"; {
	case !strings.HasPrefix(m.files[file], "FROM alpine"):
	case m.chance(50):
		m.files[file] = pick(m, []string{"ARG BASE\nFROM $BASE\n", "ARG BASE=registry.uninett.no/team/shop/ci:latest\nFROM ${BASE}\n", "ARG BASE=alpine:3\nFROM $BASE AS build\nFROM $BASE\n"})
	case m.chance(50):
		m.files[file] = "ARG REGISTRY=registry.uninett.no/team/shop\nARG VERSION=latest\nFROM ${REGISTRY}/ci:${VERSION}\n"
	default:
		m.files[file] = "FROM registry.uninett.no/team/shop/ci:latest\n"
	}
	switch text := m.files["web/Dockerfile"]; {
	case strings.Contains(text, "VERSION"):
		add("docker build --build-arg REGISTRY=$CI_REGISTRY_IMAGE --build-arg VERSION=%s -t %s web", pick(m, m.tags["ci"]), image)
	case strings.Contains(text, "BASE"):
		add("docker build --build-arg BASE=%s -t %s web", base, image)
	default:
		add("docker build -t %s web", image)
	}
	add("docker push %s", image)
	return out
}
