package ciconfig

import (
	"fmt"
	"strings"
)

// fleet writes the jobs of a project with several services in one repository: a base image that
// schedules renew, builds in a loop, an array, a matrix or for each platform, and one deployment of
// all. The names of its images are those of no other jobs.
func (m *maker) fleet(name string) {
	base, tag := pick(m, []string{"$CI_REGISTRY_IMAGE", "${CI_REGISTRY_IMAGE}"}), pick(m, []string{"$CI_COMMIT_SHORT_SHA", "$CI_COMMIT_SHA", "$CI_COMMIT_REF_SLUG", "latest", "$CI_PIPELINE_ID", "${CI_COMMIT_TAG:-$CI_COMMIT_SHORT_SHA}", "$CI_COMMIT_REF_SLUG-$CI_PIPELINE_IID"})
	rules := pick(m, []string{"", `[{if: $CI_COMMIT_BRANCH}]`, `[{if: '$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH'}]`, `[{if: $CI_COMMIT_BRANCH}, {if: $CI_COMMIT_TAG}]`, `only: [main, tags]`})
	for _, service := range fleetNames {
		m.files["services/"+service+"/Dockerfile"] = "FROM alpine:3\n"
	}
	if m.chance(50) {
		m.fleetBase(name, base)
	}
	head := func(title, stage string) { m.line("%s %s:\n  stage: %s", name, title, stage) }
	ref := func(service string) string { return base + "/" + service + ":" + tag }
	lines := []string{"docker build -t " + ref("$s") + " services/$s", "docker push " + ref("$s")}
	switch m.IntN(6) {
	case 0: // in a loop
		head("build", "build")
		m.list("script", []string{"for s in cart mail; do " + strings.Join(lines, " && ") + "; done"})
		m.rules(rules)
	case 1: // of an array
		head("build", "build")
		m.list("script", []string{"SERVICES=(cart mail)\nfor s in \"${SERVICES[@]}\"; do\n  " + strings.Join(lines, "\n  ") + "\ndone\n"})
		m.rules(rules)
	case 2: // of a variable
		head("build", "build")
		m.line("  variables:\n    SERVICES: cart mail")
		m.list("script", []string{"for s in $SERVICES; do " + strings.Join(lines, "; ") + "; done"})
		m.rules(rules)
	case 3: // what lies in a folder
		head("build", "build")
		m.list("script", []string{"for d in services/*; do\n  s=$(basename $d)\n  " + strings.Join(lines, "\n  ") + "\ndone\n"})
		m.rules(rules)
	case 4: // a matrix, whose jobs others need one by one
		head("build", "build")
		m.line("  parallel:\n    matrix:\n      - s: [cart, mail]")
		m.list("script", lines)
		m.rules(rules)
	case 5: // for each platform, by jobs of one template, with an index behind them
		m.line(".%s build:\n  stage: build", name)
		m.list("script", []string{"docker buildx build --push --platform linux/$ARCH -t " + ref("cart") + "-$ARCH services/cart", "docker build -t " + ref("mail") + "-$ARCH services/mail", "docker push " + ref("mail") + "-$ARCH"})
		m.rules(rules)
		for _, arch := range []string{"amd64", "arm64"} {
			m.line("%s build %s:\n  extends: .%[1]s build\n  variables: {ARCH: %[2]s}", name, arch)
		}
		head("index", "test")
		var index []string
		for _, s := range fleetNames {
			index = append(index, pick(m, [][]string{
				{fmt.Sprintf("docker manifest create %s %[1]s-amd64 %[1]s-arm64", ref(s)), "docker manifest push " + ref(s)},
				{fmt.Sprintf("docker buildx imagetools create -t %s %[1]s-amd64 %[1]s-arm64", ref(s))},
			})...)
		}
		m.list("script", index)
		m.rules(rules)
	}
	m.fleetUses(name, tag, ref, rules)
}

// fleetNames are the images of a fleet.
var fleetNames = []string{"cart", "mail"}

// fleetBase is a base image that schedules renew, and a build for hands.
func (m *maker) fleetBase(name, base string) {
	tag := pick(m, []string{"latest", "latest", "nightly", "$CI_PIPELINE_ID", "$CI_COMMIT_REF_SLUG"})
	m.line("%s base:\n  stage: build", name)
	m.list("script", []string{"docker build --pull -t " + base + "/base:" + tag + " base", "docker push " + base + "/base:" + tag})
	m.rules(pick(m, []string{`only: [schedules]`, `[{if: '$CI_PIPELINE_SOURCE == "schedule"'}]`, `[{if: '$CI_PIPELINE_SOURCE == "schedule"'}, {if: '$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH', changes: [base/**/*]}]`, `[{if: '$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH'}]`}))
	m.files["base/Dockerfile"] = "FROM alpine:3\n"
	m.files["services/cart/Dockerfile"] = pick(m, []string{
		"ARG BASE=registry.uninett.no/team/shop/base:latest\nFROM $BASE\n", "FROM registry.uninett.no/team/shop/base:" + pick(m, []string{"latest", "nightly"}) + "\n", "FROM alpine:3\n",
	})
}

// fleetUses are the tests and deployments of all services.
func (m *maker) fleetUses(name, tag string, ref func(string) string, rules string) {
	if m.chance(50) {
		m.line("%s test:\n  stage: test", name)
		m.list("script", []string{pick(m, []string{"docker run --rm " + ref("cart") + " make check", "for s in cart mail; do docker run --rm " + ref("$s") + " make check; done"})})
		m.rules(rules)
	}
	if m.chance(30) && !strings.Contains(tag, ":-") {
		m.line("%s lint:\n  stage: test\n  image: %s\n  services:\n    - name: %s\n      alias: mail", name, ref("cart"), ref("mail"))
		m.list("script", []string{"make check"})
		m.rules(rules)
	}
	m.line("%s deploy:\n  stage: deploy", name)
	m.list("script", pick(m, [][]string{
		{"for s in cart mail; do kubectl set image deploy/$s app=" + ref("$s") + "; done"},
		{"kubectl set image deploy/cart app=" + ref("cart"), "kubectl set image deploy/mail app=" + ref("mail")},
		{"helm upgrade --install fleet chart --set cart.image.repository=" + strings.TrimSuffix(ref("cart"), ":"+tag) + " --set cart.image.tag=" + tag + " --set mail.image.repository=" + strings.TrimSuffix(ref("mail"), ":"+tag) + " --set mail.image.tag=" + tag},
		{"echo " + ref("cart") + " > images.txt", "echo " + ref("mail") + " >> images.txt", "while read -r i; do docker pull $i; done < images.txt"},
	}))
	m.rules(pick(m, []string{rules, `[{if: '$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH'}]`, `[{if: '$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH', when: manual}]`, `[{if: $CI_COMMIT_TAG}]`}))
}
