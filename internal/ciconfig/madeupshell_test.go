package ciconfig

import (
	"fmt"
	"strings"
)

// intoShell writes lines in one of the other ways that a shell has for them.
func (m *maker) intoShell(name string, script []string) []string {
	all := strings.Join(script, "\n")
	if strings.Contains(all, "<<") || !strings.Contains(all, m.images[name]+":") {
		return script
	}
	image := m.images[name]
	inVariable := func(variable, value string) string {
		return strings.ReplaceAll(all, value+":", "$"+variable+":")
	}
	switch m.IntN(9) {
	case 0:
		return []string{"run() {\n  " + strings.ReplaceAll(all, "\n", "\n  ") + "\n}\nrun"}
	case 1:
		return append([]string{"set -e"}, script...)
	case 2:
		return []string{"(\n" + all + "\n)"}
	case 3:
		return []string{strings.Join(script, " && ")}
	case 4:
		return []string{"LOCAL_IMAGE=" + image, inVariable("LOCAL_IMAGE", image)}
	case 5:
		return []string{`export LOCAL_IMAGE="` + image + `"`, "sh <<'END'\n" + inVariable("LOCAL_IMAGE", image) + "\nEND"}
	case 6:
		return []string{"cat > run.sh <<'END'\n" + all + "\nEND\nsh run.sh"}
	case 7:
		return []string{"run() {\n  local image=$1\n  " + strings.ReplaceAll(inVariable("image", image), "\n", "\n  ") + "\n}", "run " + image}
	}
	return []string{`if [ -n "$CI_COMMIT_SHA" ]; then` + "\n" + all + "\nelse\necho nothing\nfi"}
}

// loops build several images at once.
func (m *maker) loops() []string {
	tag := pick(m, m.tags["web"])
	if strings.Contains(tag, ":-") {
		tag = "latest"
	}
	base := pick(m, []string{"$CI_REGISTRY_IMAGE", "${CI_REGISTRY_IMAGE}"})
	body := fmt.Sprintf("docker build -t %s/$n:%s $n\n  docker push %[1]s/$n:%[2]s", base, tag)
	switch m.IntN(7) {
	case 0:
		return []string{"for n in web ci; do\n  " + body + "\ndone"}
	case 1:
		return []string{"names=(web ci)\nfor n in \"${names[@]}\"; do\n  " + body + "\ndone"}
	case 2:
		return []string{"NAMES=\"web ci\"", "for n in $NAMES; do\n  " + body + "\ndone"}
	case 3:
		return []string{"build() {\n  n=$1\n  " + body + "\n}", "build web && build ci"}
	case 4:
		return []string{"for n in api web; do\n  case $n in\n    api) t=" + tag + " ;;\n    *) t=" + pick(m, m.tags["web"]) + " ;;\n  esac\n  docker build -t " + base + "/$n:$t $n\n  docker push " + base + "/$n:$t\ndone"}
	case 5:
		return []string{"while read -r n; do\n  " + body + "\ndone <<END\nweb\nci\nEND"}
	}
	return []string{"for image in " + base + "/web " + base + "/ci; do\n  docker build -t $image:" + tag + " .\n  docker push $image:" + tag + "\ndone"}
}

// guarded build an image only where the registry has it not, or go on from what it has.
func (m *maker) guarded(name string) []string {
	ref := m.images[name] + ":" + pick(m, m.tags[name])
	return pick(m, [][]string{
		{"docker pull " + ref + " || docker build -t " + ref + " .", "docker push " + ref},
		{"docker manifest inspect " + ref + " || { docker build -t " + ref + " . && docker push " + ref + "; }"},
		{"if ! docker pull " + ref + "; then\n  docker build -t " + ref + " .\n  docker push " + ref + "\nfi", "docker run --rm " + ref + " true"},
		{"docker build -t " + ref + " . && docker push " + ref + " || exit 1"},
		{"docker build -t app .", "docker tag app " + ref, "docker push " + ref, "docker rmi " + ref},
	})
}
