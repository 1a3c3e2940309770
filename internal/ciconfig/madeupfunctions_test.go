package ciconfig

import (
	"fmt"
	"strings"
)

// library writes the functions that the scripts of a project share, in a file or before each
// job's script.
func (m *maker) library() {
	if !m.has["functions"] {
		return
	}
	base := pick(m, []string{"$CI_REGISTRY_IMAGE", "${CI_REGISTRY_IMAGE}"})
	build := pick(m, []string{
		"build_image() {\n  local name=$1 tag=${2:-latest}\n  docker build -t \"%[1]s/$name:$tag\" \"$name\"\n}\n",
		"build_image() {\n  local args=(--pull)\n  args+=(-t \"%[1]s/$1:$2\")\n  docker build \"${args[@]}\" \"$1\"\n}\n",
		"build_image() {\n  local args=(-t \"%[1]s/$1:$2\")\n  if [ \"$CI_COMMIT_BRANCH\" = main ]; then\n    args+=(-t \"%[1]s/$1:latest\")\n  fi\n  docker build --push \"${args[@]}\" $1\n}\n",
		"build_image() {\n  docker build -t \"$(image $1 $2)\" $1\n}\n",
		"build_image() {\n  local ref\n  ref=$(image \"$1\" \"$2\")\n  docker build --cache-from \"$ref\" -t \"$ref\" $1\n}\n",
	})
	push := pick(m, []string{
		"push_image() {\n  docker push \"%[1]s/$1:${2:-latest}\"\n}\n",
		"push_image() {\n  local name=$1\n  shift\n  for t in \"$@\"; do\n    docker tag %[1]s/$name:$1 %[1]s/$name:$t\n    docker push %[1]s/$name:$t\n  done\n}\n",
		"push_image() {\n  docker push \"$(image \"$@\")\"\n}\n",
	})
	tag := pick(m, []string{
		"image_tag() {\n  case \"$CI_COMMIT_REF_NAME\" in\n    main) echo stable ;;\n    release/*) echo \"${CI_COMMIT_REF_NAME#release/}\" ;;\n    *) echo \"$CI_COMMIT_REF_SLUG\" ;;\n  esac\n}\n",
		"image_tag() {\n  echo \"$CI_COMMIT_SHORT_SHA\"\n}\n",
		"image_tag() {\n  if [ -n \"$CI_COMMIT_TAG\" ]; then\n    echo \"${CI_COMMIT_TAG#v}\"\n  else\n    echo \"dev-$CI_COMMIT_SHORT_SHA\"\n  fi\n}\n",
		"image_tag() {\n  [ \"$CI_COMMIT_BRANCH\" = \"$CI_DEFAULT_BRANCH\" ] && echo latest || echo \"$CI_COMMIT_REF_SLUG\"\n}\n",
		"image_tag() {\n  printf '%%s' \"${CI_COMMIT_TAG:-$CI_COMMIT_SHA}\"\n}\n",
	})
	image := pick(m, []string{"image() {\n  echo \"%[1]s/$1:$2\"\n}\n", "image() {\n  printf '%%s/%%s:%%s' \"%[1]s\" \"$1\" \"${2:-latest}\"\n}\n"})
	more := "deploy_image() {\n  kubectl set image \"deploy/$1\" \"app=%[1]s/$1:$2\"\n}\n" + pick(m, []string{
		"publish() {\n  local name=\"\" tag=\"\" latest=\"\"\n  while [ $# -gt 0 ]; do\n    case \"$1\" in\n      --name) name=$2; shift 2 ;;\n      --tag) tag=$2; shift 2 ;;\n      --latest) latest=yes; shift ;;\n    esac\n  done\n" +
			"  docker build -t \"%[1]s/$name:$tag\" \"$name\"\n  docker push \"%[1]s/$name:$tag\"\n  if [ -n \"$latest\" ]; then\n    docker tag \"%[1]s/$name:$tag\" \"%[1]s/$name:latest\"\n    docker push \"%[1]s/$name:latest\"\n  fi\n}\n",
		"publish() {\n  NAME=$2 VERSION=$4\n  docker build -t %[1]s/$NAME:$VERSION $NAME && docker push %[1]s/$NAME:$VERSION\n}\n",
	})
	text := fmt.Sprintf(image+tag+build+push+more, base)
	if m.chance(60) {
		m.files["ci/lib.sh"] = "#!/bin/bash\n" + text
		return
	}
	m.line(".functions: &functions |\n  %s", strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n  "))
}

// functions are lines that call them.
func (m *maker) functions(name string) (out []string) {
	if m.files["ci/lib.sh"] != "" {
		out = append(out, pick(m, []string{". ci/lib.sh", "source ci/lib.sh", ". ./ci/lib.sh"}))
	}
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	tag := pick(m, append([]string{"$(image_tag)", "$(image_tag)"}, m.tags[name]...))
	if m.chance(40) {
		add("VERSION=%s", tag)
		tag = "$VERSION"
	}
	switch m.IntN(9) {
	case 0, 1:
		add(`build_image %s "%s"`, name, tag)
		add(`push_image %s "%s"`, name, tag)
	case 2:
		add("for n in web ci; do build_image $n %s; push_image $n %[1]s; done", tag)
	case 3:
		add("publish --name %s --tag %s%s", name, tag, pick(m, []string{"", " --latest"}))
	case 4:
		add("deploy_image %s %s", name, tag)
	case 5:
		add(`docker run --rm "$(image %s %s)" make check`, name, tag)
	case 6:
		add("declare -A dirs=([web]=web [ci]=ci)")
		add(`for n in "${!dirs[@]}"; do build_image $n %s && push_image $n %[1]s; done`, tag)
	case 7:
		add("IMAGES=(web:%s ci:%[1]s)", tag)
		add("for i in \"${IMAGES[@]}\"; do\n  docker build -t $CI_REGISTRY_IMAGE/$i ${i%%%%:*}\n  docker push $CI_REGISTRY_IMAGE/$i\ndone")
	case 8:
		add("while read -r n t; do\n  build_image $n $t\n  push_image $n $t\ndone <<END\nweb %s\nci $CI_COMMIT_SHA\nEND", tag)
	}
	return out
}
