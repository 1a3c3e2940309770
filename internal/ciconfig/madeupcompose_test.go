package ciconfig

import "fmt"

// layers are lines that work with compose files that are laid over one another, which are
// written the first time.
func (m *maker) layers() (out []string) {
	if m.files["compose/base.yml"] == "" {
		m.composeFiles()
	}
	files := "-f compose/base.yml -f compose/ci.yml"
	deploys := m.chance(45)
	if deploys {
		files = pick(m, []string{"-f compose/base.yml -f compose/prod.yml", "-f compose/base.yml", files})
	}
	compose := "docker compose " + files
	switch m.IntN(5) {
	case 0:
		out = append(out, "export COMPOSE_FILE="+map[bool]string{true: "compose/base.yml:compose/prod.yml", false: "compose/base.yml:compose/ci.yml"}[deploys])
		compose = "docker compose"
	case 1:
		compose += " --env-file compose/" + pick(m, []string{"ci.env", "ci.env", "none.env"})
	case 2:
		compose += " --profile tools"
	case 3:
		out = append(out, "export COMPOSE_PROFILES=tools")
	}
	if m.chance(40) {
		out = append(out, pick(m, []string{"export TAG=$CI_COMMIT_SHORT_SHA", "export TAG=latest", `export TAG=${CI_COMMIT_TAG:-$CI_COMMIT_SHORT_SHA}`}))
	}
	which := pick(m, []string{"", "", " api", " web", " ci"})
	if deploys {
		return append(out, pick(m, [][]string{
			{compose + " pull" + which, compose + " up -d" + which}, {compose + " up -d" + which}, {compose + " run --rm api make test"},
			{"docker pull $(" + compose + " config --images | grep /api)"},
		})...)
	}
	return append(out, pick(m, [][]string{
		{compose + " build" + which, compose + " push" + which}, {compose + " build --push" + which},
		{compose + " build", compose + ` config --images | grep "$CI_REGISTRY_IMAGE" | while read -r i; do docker push $i; done`},
		{compose + " build", "for i in $(" + compose + ` config --images | grep "$CI_REGISTRY_IMAGE"); do docker push "$i"; done`},
	})...)
}

// composeFiles writes them.
func (m *maker) composeFiles() {
	base := pick(m, []string{"${CI_REGISTRY_IMAGE}", "$CI_REGISTRY_IMAGE", "${REGISTRY:-registry.uninett.no/team/shop}", "registry.uninett.no/team/shop"})
	tag := pick(m, []string{"${TAG}", "${TAG:-latest}", "${TAG:?no tag}", "$CI_COMMIT_SHA", "latest"})
	image := func(name string) string { return base + "/" + name + ":" + tag }
	services := pick(m, []string{
		"services:\n  api:\n    image: " + image("api") + "\n    build: ../api\n  web:\n    image: " + image("web") + "\n    build: ../web\n",
		"x-api: &api-image " + image("api") + "\nx-web:\n  image: &web-image " + image("web") + "\nservices:\n  api:\n    image: *api-image\n    build: ../api\n  worker:\n    image: *api-image\n    command: work\n  web:\n    image: *web-image\n    build: ../web\n",
		"x-api: &api\n  image: " + image("api") + "\n  restart: always\nservices:\n  api:\n    <<: *api\n    build: ../api\n  worker:\n    <<: *api\n    command: work\n  web:\n    image: " + image("web") + "\n",
		"services:\n  api:\n    image: " + image("api") + "\n    env_file: ci.env\n  web:\n    image: " + image("web") + "\n",
	})
	m.files["compose/base.yml"] = services + "  ci:\n    image: " + image("ci") + "\n    build: ../ci\n    profiles: [tools]\n  db:\n    image: postgres:16\n"
	more := func(name string) string {
		return pick(m, []string{"", "", fmt.Sprintf("\n      tags:\n        - %s/%s:%s", base, name, pick(m, []string{"latest", "$CI_COMMIT_SHORT_SHA", "${CI_COMMIT_REF_SLUG}"}))})
	}
	m.files["compose/ci.yml"] = "services:\n  api:\n    build:\n      context: ../api" + more("api") + "\n  web:\n    build:\n      context: ../web" + more("web") + "\n"
	m.files["compose/prod.yml"] = pick(m, []string{
		"services:\n  api:\n    restart: always\n", fmt.Sprintf("services:\n  web:\n    image: %s/web:%s\n", base, pick(m, []string{"${TAG}", "latest", "$CI_COMMIT_SHORT_SHA"})),
	})
	m.files["compose/ci.env"] = pick(m, []string{"MODE=fast\n", "TAG=latest\n", "TAG=${CI_COMMIT_SHORT_SHA}\n", "REGISTRY=${CI_REGISTRY_IMAGE}\nTAG=${CI_COMMIT_SHA}\n"})
	m.files["compose/none.env"] = "MODE=slow\n"
}
