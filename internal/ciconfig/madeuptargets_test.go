package ciconfig

import "strings"

// targets are lines that call a Makefile with patterns, conditions and functions, which is
// written the first time.
func (m *maker) targets(name string) (out []string) {
	first := m.makes == ""
	if first {
		m.targetsFile()
	}
	call := m.makes
	tag := pick(m, []string{"$CI_COMMIT_SHA", "latest", "$CI_COMMIT_REF_SLUG", "${CI_COMMIT_TAG:-$CI_COMMIT_SHORT_SHA}", "$CI_PIPELINE_ID"})
	switch m.IntN(6) {
	case 0:
		out = append(out, "export TAG="+tag)
	case 1:
		call = "TAG=" + tag + " " + call
	}
	target := pick(m, []string{"all", "deploy-web", "deploy-ci", "check", "release"})
	if first { // a recipe that no job runs holds things up
		target = "all"
	}
	if name, _, _ := strings.Cut(target, "-"); target != "all" && !strings.Contains(m.files[m.makesFile], "\n"+name) {
		m.files[m.makesFile] += "\n" + map[string]string{
			"deploy": "deploy-%:\n\tkubectl set image deploy/$* app=$(REGISTRY)/$*:$(TAG)\n", "check": "check:\n\tdocker run --rm $(REGISTRY)/web:$(TAG) make test\n",
			"release": "release:\n\tcrane tag $(REGISTRY)/web:$(TAG) " + pick(m, []string{"released-$(CI_PIPELINE_ID)", "$(CI_COMMIT_TAG)"}) + "\n",
		}[name]
	}
	switch m.IntN(5) {
	case 0:
		target += " TAG=" + tag
	case 1:
		if target == "all" {
			target = ""
		}
	case 2:
		target += ` TAG="` + tag + `"`
	}
	return append(out, strings.TrimSpace(call+" "+target))
}

// targetsFile writes it.
func (m *maker) targetsFile() {
	file := "images.mk"
	m.makes = "make -f images.mk"
	up := ""
	if m.chance(30) {
		file, m.makes, up = "ops/Makefile", pick(m, []string{"make -C ops", "cd ops && make"}), "../"
	}
	tag := pick(m, []string{
		"TAG ?= $(CI_COMMIT_SHORT_SHA)\n",
		"ifeq ($(CI_COMMIT_BRANCH),main)\nTAG := stable\nelse\nTAG := $(CI_COMMIT_REF_SLUG)\nendif\n",
		"ifdef CI_COMMIT_TAG\nTAG = $(CI_COMMIT_TAG)\nelse\nTAG = dev-$(CI_COMMIT_SHORT_SHA)\nendif\n",
		"TAG := $(shell git rev-parse --short HEAD)\n",
		"TAG = $(if $(CI_COMMIT_TAG),$(CI_COMMIT_TAG),latest)\n",
		"TAG = $(or $(CI_COMMIT_TAG),$(CI_COMMIT_SHA))\n",
		"VERSION ?= latest\nTAG = $(VERSION)-$(CI_COMMIT_SHORT_SHA)\n",
		"ifndef TAG\nTAG := latest\nendif\n",
		"export TAG ?= $(CI_COMMIT_SHA)\n",
	})
	ref := func(name string) string { return "$(REGISTRY)/" + name + ":$(TAG)" }
	rules := pick(m, []string{
		"all: $(addprefix push-,$(IMAGES))\n\nbuild-%:\n\tdocker build -t " + ref("$*") + " " + up + "$*\n\npush-%: build-%\n\tdocker push " + ref("$*") + "\n",
		"all:\n\tfor n in $(IMAGES); do docker build -t " + ref("$$n") + " " + up + "$$n && docker push " + ref("$$n") + "; done\n",
		"all: $(IMAGES)\n\n$(IMAGES):\n\tdocker build -t " + ref("$@") + " " + up + "$@\n\tdocker push " + ref("$@") + "\n",
		"all:\n\t$(MAKE) " + map[bool]string{true: "-f images.mk ", false: ""}[up == ""] + "one NAME=web\n\t$(MAKE) " + map[bool]string{true: "-f images.mk ", false: ""}[up == ""] + "one NAME=ci TAG=$(TAG)\n\none:\n\tdocker build -t " + ref("$(NAME)") + " " + up + "$(NAME)\n\tdocker push " + ref("$(NAME)") + "\n",
		"all: web-image ci-image\n\n%-image:\n\t@docker buildx build --push \\\n\t  -t " + ref("$*") + " \\\n\t  " + up + "$*\n",
		"all:\n\tdocker build $(foreach t,$(TAG) $(CI_COMMIT_SHA),-t $(REGISTRY)/web:$(t)) " + up + "web\n\tdocker push " + ref("web") + "\n",
	})
	m.makesFile = file
	m.files[file] = pick(m, []string{"REGISTRY ?= $(CI_REGISTRY_IMAGE)\n", "REGISTRY := $(CI_REGISTRY_IMAGE)\n", "export REGISTRY := ${CI_REGISTRY_IMAGE}\n"}) + "IMAGES := web ci\n" + tag + "\n.PHONY: all\n" + rules
}
