package ciconfig

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestContained makes jobs up that run in an own image, and runs them with real shells: as
// the runner does, and, rewritten, by the docker run that their scripts have become, with a
// stand-in for docker that gives a container what it is told to and nothing else. Both have
// to print the same, end in the same way and leave the same files.
func TestContained(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"bash", "sh", "sed"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	bin := t.TempDir() // of an image without bash
	for _, tool := range []string{"sh", "env", "cat", "sed", "grep", "tr", "sort", "test", "printf", "true", "false", "basename", "mkdir", "pwd"} {
		at, err := exec.LookPath(tool)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(at, filepath.Join(bin, tool)); err != nil {
			t.Fatal(err)
		}
	}
	told := 0
	for seed := *firstSeed; seed < *firstSeed+(*projects+11)/12; seed++ {
		m := &jobMaker{Rand: rand.New(rand.NewPCG(uint64(seed), 1))}
		c := contained{t: t, bin: bin, bash: m.Rand.IntN(3) > 0}
		project := m.project(c.bash)
		res, err := Rewrite(input(append(one(project), jobFiles...), rule{Project: "team/shop", Variables: map[string]string{"SETTING": settingValue}}))
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, project)
		}
		if res.Blocked() || len(res.Edits) != 1 {
			told++
			continue
		}
		after := string(res.Edits[0].After)
		was, is := c.asRunner(project), c.asRewritten(after)
		if was != is {
			t.Errorf("seed %d (bash %v):\n%s\nbecame\n%s\nprinted\n%s\nand prints\n%s\nfindings: %v", seed, c.bash, project, after, was, is, res.Findings)
		}
	}
	if told > *projects/60 {
		t.Errorf("%d projects are blocked: the test is not worth much", told)
	}
}

// settingValue is the value of a variable in the project's settings.
const settingValue = "set 'here'"

// jobFiles are files of the repository.
var jobFiles = []File{
	{"ci/vars.sh", []byte("SOURCED=$WORD-sourced\n")},
	{"ci/run.sh", []byte("#!/bin/sh\necho \"run: $WORD $1 $GROUP\"\n")},
}

// jobMaker makes a job up.
type jobMaker struct {
	*rand.Rand
	b strings.Builder
}

func (m *jobMaker) pick(list []string) string { return list[m.IntN(len(list))] }

func (m *jobMaker) line(format string, args ...any) { fmt.Fprintf(&m.b, format+"\n", args...) }

// scriptLines are lines of scripts as YAML writes them.
var scriptLines = []string{
	`echo "$WORD|$QUOTED|$EMPTY|$UNSET"`,
	`printf '%s\n' "$LINES"`,
	`'echo "both: $WORD" ''and'' "$SAID"'`,
	`"echo \"$JOINED\" 'single $WORD'"`,
	`env | grep ^QUOTED=`,
	`echo "$DOLLAR" "$CI_COMMIT_MESSAGE" "$CI_PROJECT_DIR"`,
	`echo "$SETTING $GROUP $IMAGE_VALUE"`,
	`echo ${IMAGE_VALUE:-none} ${NEVER:-default} ${EMPTY:-void} ${EMPTY-dash}`,
	"|\n      cat <<EOF\n      it's $WORD\n        \"deeper\" \\$kept\n      EOF",
	"|\n      cat <<'END'\n      raw $WORD 'x'\n      END\n      echo after",
	"|\n      for x in 1 2; do\n        # it's a comment\n        echo \"$x-$WORD\"\n      done",
	">-\n      echo folded\n      'over lines'\n      $WORD",
	"|\n      echo one \\\n        two 'three'\n      echo \"a\\\\b\"",
	`export NEW=$WORD-new`,
	`'echo "new: ${NEW:-gone}"'`,
	`mkdir -p sub && cd sub`,
	`pwd`,
	`echo data > out.txt`,
	`cat out.txt || echo no file`,
	`echo $WORD > ~/kept`,
	`cat ~/kept || echo not kept`,
	`. ci/vars.sh; echo $SOURCED`,
	`sh ci/run.sh argument`,
	`f() { echo "f $1 $WORD"; }; f x`,
	`trap 'echo "bye $WORD"' EXIT`,
	`false || echo fallback`,
	`if [ "$WORD" = plain ]; then echo is plain; else echo "is not"; fi`,
	`case $JOINED in plain*) echo begins;; *) echo other;; esac`,
	`echo "$(echo "nested $WORD" | tr a-z A-Z)"`,
	`echo $((1 + 2)) && echo 'tab	and  spaces'`,
	`printf 'a\tb\\n\n'`,
	`echo x | grep y | cat`,
	`cat missing 2>/dev/null | sort`,
	`echo before the end; exit 3`,
	`'[ -n "$EMPTY" ] && echo not empty || true'`,
	`"echo 'one\n' two"`,
	`set +e; false; echo still here`,
	`unset WORD; echo "${WORD:-unset}"`,
	`! echo negated`,
	`(exit 4) || echo "code $?"`,
	`cat`,
	`echo done # don't "mind"`,
	`'# it''s only a comment'`,
	"|\n      # don't\n      echo \"a   b\" # \"odd\n      echo 'c' \\\\",
	"|\n      cat <<-EOF\n      \tindented $WORD\n      EOF",
	`echo "\$WORD" \$WORD '\$WORD' "\"$WORD\""`,
	`echo "a=$(printf %s "it's $WORD")" 'b="c"'`,
	`[echo listed, 'echo "$WORD"']`,
	`*shared`,
	`unset QUOTED; env | grep -c ^QUOTED= || echo unset`,
	`'echo "dotenv: $VERSION"'`,
	`WORD=changed; sh ci/run.sh x; export WORD; sh ci/run.sh y`,
	`exit 0`,
	`"if true; then\n  echo 'two lines'\nfi"`,
	`echo "$lower_case" "${WITH_EQUALS%%=*}" 'don''t'`,
	`echo * "*" ci/*`,
	`'true ${SET_HERE:=by default}; echo $SET_HERE'`,
	`echo $QUOTED; for w in $SAID; do echo "<$w>"; done`,
	`test -t 0 && echo terminal || echo no terminal`,
}

// bashLines need bash, or mean something else in sh.
var bashLines = []string{
	`'[[ $WORD == pl* ]] && echo matches'`,
	`array=(a "b c"); echo "${array[1]}"`,
	`echo ${WORD^^} ${WORD//l/L} ${WORD:1:2}`,
	`source ci/vars.sh; echo $SOURCED`,
	`echo -e "a\tb"`,
	`cat <<< "$QUOTED"`,
	`for i in {1..3}; do echo $i; done`,
	`let n=2+3; echo $n`,
	`echo $'it\'s'`,
	`function g { echo "g $1"; }; g y`,
	`echo "${#LINES} ${PIPESTATUS[0]}"`,
	`read -r first rest <<< "$JOINED"; echo "$first"`,
	`declare -A map=([a]=1); echo "${map[a]}"`,
}

// madeValues are what GitLab gives the job.
var madeValues = map[string]string{
	"CI": "true", "CI_COMMIT_SHA": strings.Repeat("a", 40), "CI_REGISTRY_IMAGE": "ecr.example.org/team/shop", "CI_REGISTRY": "ecr.example.org",
	"CI_COMMIT_MESSAGE": "fix: it's \"done\"\nCI_NOT_SET=x $(false) `false` \\\n", "GITLAB_USER_NAME": "Åse O'Hara",
	"SETTING": settingValue, "GROUP": "of the group", "VERSION": "1.2 'x'",
}

// imageValues are those of the image.
var imageValues = map[string]string{"IMAGE_VALUE": "from the image", "NEVER": "not the job's"}

// project is one with a job in an own image, which it has of itself or from elsewhere.
func (m *jobMaker) project(bash bool) string {
	m.line("build:\n  stage: build\n  image: docker:27\n  script:\n    - docker build -t $CI_REGISTRY_IMAGE/ci:$CI_COMMIT_SHA .\n    - docker push $CI_REGISTRY_IMAGE/ci:$CI_COMMIT_SHA\n  artifacts:\n    reports:\n      dotenv: build.env")
	m.line("variables:\n  WORD: plain\n  JOINED: $WORD-${WORD}-joined\n  EMPTY: \"\"\n  DOLLAR: cost $$5\n  lower_case: low")
	m.line(".lines:\n  script:\n    - &shared echo \"shared 'line' $WORD\"")
	m.templates(bash)
	m.line("  variables:\n    QUOTED: 'it''s \"quoted\"'\n    SAID: \"say \\\"hi\\\" \\\\ there\"\n    WITH_EQUALS: a=b=c\n    LINES: |\n      first\n      second 'line'")
	if m.IntN(3) == 0 {
		m.line("    WORD: other")
	}
	for _, key := range []string{"before_script", "after_script"} {
		switch m.IntN(9) {
		case 0, 1, 2:
			m.script(key, bash, 3)
		case 3:
			m.line("  %s:%s", key, m.pick([]string{"", " ~", " null"}))
		}
	}
	m.script("script", bash, 5)
	return m.b.String()
}

// templates are what the job has its image and a part of its scripts from, and its beginning.
func (m *jobMaker) templates(bash bool) {
	home := m.pick([]string{"default", "", "", ".base", ".base", ".merged", ".nested", "two", "layered", "both"})
	parts := func() {
		m.some("before_script", bash, 2)
		m.some("after_script", bash, 2)
		m.some("script", bash, 2)
	}
	beside := func() {
		m.script(m.pick([]string{"before_script", "before_script", "after_script"}), bash, 2)
		if m.IntN(2) == 0 {
			m.line("  image: alpine:3")
		}
	}
	begun := "job:\n  stage: test"
	switch home {
	case "default":
		m.line("default:")
		m.image()
		m.some("before_script", bash, 2)
	case ".base", "both":
		m.line(".base:")
		m.image()
		parts()
		begun += "\n  extends: .base"
		if home == "both" {
			m.line(".more:")
			beside()
			begun = "job:\n  stage: test\n  extends: [.more, .base]"
		}
	case ".merged":
		m.line(".merged: &merged")
		m.image()
		parts()
		begun = "job:\n  <<: *merged\n  stage: test"
	case ".nested":
		inner := &jobMaker{Rand: m.Rand}
		inner.line("merged: &merged")
		inner.image()
		inner.some("before_script", bash, 2)
		m.line(".anchors:\n  %s", strings.ReplaceAll(strings.TrimSpace(inner.b.String()), "\n", "\n  "))
		begun = "job:\n  <<: *merged\n  stage: test"
	case "two":
		m.line(".first: &first")
		m.image()
		parts()
		m.line(".second: &second")
		beside()
		begun = "job:\n  <<: [*first, *second]\n  stage: test"
	case "layered":
		m.line(".second: &second")
		beside()
		m.line(".merged: &merged\n  <<: *second")
		m.image()
		begun = "job:\n  <<: *merged\n  stage: test"
	default:
		if m.IntN(3) == 0 {
			m.line("default:\n  before_script:\n    - echo default before")
		}
		m.line("%s", begun)
		m.image()
		return
	}
	m.line("%s", begun)
}

func (m *jobMaker) image() {
	if m.IntN(2) == 0 {
		m.line("  image: $CI_REGISTRY_IMAGE/ci:$CI_COMMIT_SHA")
	} else {
		m.line("  image:\n    name: $CI_REGISTRY_IMAGE/ci:$CI_COMMIT_SHA\n    entrypoint: [\"\"]")
	}
}

func (m *jobMaker) some(key string, bash bool, most int) {
	if m.IntN(3) == 0 {
		m.script(key, bash, most)
	}
}

func (m *jobMaker) script(key string, bash bool, most int) {
	m.line("  %s:", key)
	for range 1 + m.IntN(most) {
		list := scriptLines
		if bash && m.IntN(4) == 0 {
			list = bashLines
		}
		if m.IntN(8) == 0 {
			m.line("    # it's a comment above")
		}
		m.line("    - %s", m.pick(list))
	}
}

// contained runs jobs. An image has bash or not.
type contained struct {
	t    *testing.T
	bin  string
	bash bool
}

// read are the image and the scripts of the job, and its environment.
func (c contained) read(project, dir string) (image any, before, script, after []string, env map[string]string) {
	root := map[string]any{}
	if err := yaml.Unmarshal([]byte(project), &root); err != nil {
		c.t.Fatal(err)
	}
	root[".docker"] = map[string]any{"image": "docker:27", "before_script": []any{"docker login"}}
	job := extended(root, "job")
	maps.DeleteFunc(job, func(_ string, v any) bool { return v == nil })
	if standard, ok := root["default"].(map[string]any); ok {
		for k, v := range standard {
			if _, ok := job[k]; !ok {
				job[k] = v
			}
		}
	}
	env = map[string]string{"CI_PROJECT_DIR": dir}
	maps.Copy(env, madeValues)
	for _, values := range []any{root["variables"], job["variables"]} {
		for k, v := range values.(map[string]any) {
			env[k] = fmt.Sprint(v)
		}
	}
	for k := range env {
		if _, ok := madeValues[k]; !ok {
			env[k] = os.Expand(env[k], func(name string) string {
				if name == "$" {
					return "$"
				}
				return env[name]
			})
		}
	}
	return job["image"], list(job["before_script"]), list(job["script"]), list(job["after_script"]), env
}

// extended is a job with what its templates give it.
func extended(root map[string]any, name string) map[string]any {
	own, out := root[name].(map[string]any), map[string]any{}
	parents, ok := own["extends"].([]any)
	if !ok && own["extends"] != nil {
		parents = []any{own["extends"]}
	}
	for _, p := range parents {
		maps.Copy(out, extended(root, p.(string)))
	}
	maps.Copy(out, own)
	return out
}

// checkout makes the working tree and the home of root in the container.
func (c contained) checkout() (root, dir string) {
	root, err := os.MkdirTemp("", "contained")
	if err != nil {
		c.t.Fatal(err)
	}
	dir = filepath.Join(root, "builds")
	for _, f := range jobFiles {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, f.Path)), 0o755), os.WriteFile(filepath.Join(dir, f.Path), f.Content, 0o755), os.MkdirAll(filepath.Join(root, "home"), 0o755)); err != nil {
			c.t.Fatal(err)
		}
	}
	return root, dir
}

// path is where the image has its programs.
func (c contained) path() string {
	if c.bash {
		return os.Getenv("PATH")
	}
	return c.bin
}

// asRunner runs the job in a container with all that it has.
// https://gitlab.com/gitlab-org/gitlab-runner/-/blob/main/shells/bash.go
func (c contained) asRunner(project string) string {
	root, dir := c.checkout()
	defer os.RemoveAll(root)
	_, before, script, after, env := c.read(project, dir)
	shell := "sh"
	if c.bash {
		shell = "bash"
	}
	for k, v := range imageValues {
		if _, ok := env[k]; !ok {
			env[k] = v
		}
	}
	env["PATH"], env["HOME"] = c.path(), filepath.Join(root, "home")
	const options = "if (set -o pipefail) 2>/dev/null; then set -o pipefail; fi; set -e\n"
	out := c.execute(dir, env, shell, "-c", options+strings.Join(slices.Concat(before, script), "\n"))
	if len(after) > 0 {
		text, _, _ := strings.Cut(c.execute(dir, env, shell, "-c", options+strings.Join(after, "\n")), "\nended")
		out += text
	}
	return c.normal(out+c.files(dir), root)
}

// asRewritten runs the job's scripts in the image of .docker, which has no bash.
func (c contained) asRewritten(project string) string {
	root, dir := c.checkout()
	defer os.RemoveAll(root)
	image, before, script, after, env := c.read(project, dir)
	if image != "docker:27" {
		c.t.Errorf("the job is in %v, and not in the image of .docker:\n%s", image, project)
	}
	host := filepath.Join(root, "host")
	var values strings.Builder
	for k, v := range imageValues {
		fmt.Fprintf(&values, "%s=%s\n", k, v)
	}
	for name, content := range map[string]string{"docker": dockerStandIn, "image.env": values.String()} {
		if err := errors.Join(os.MkdirAll(host, 0o755), os.WriteFile(filepath.Join(host, name), []byte(content), 0o755)); err != nil {
			c.t.Fatal(err)
		}
	}
	env["PATH"], env["HOME"] = host+":"+os.Getenv("PATH"), host
	env["STANDIN_ROOT"], env["STANDIN_PATH"] = root, c.path()
	out := c.execute(dir, env, "sh", "-ec", strings.Join(slices.Concat(before, script), "\n"))
	if len(after) > 0 {
		text, _, _ := strings.Cut(c.execute(dir, env, "sh", "-ec", strings.Join(after, "\n")), "\nended")
		out += text
	}
	return c.normal(out+c.files(dir), root)
}

// dockerStandIn is docker run as far as it matters: -e NAME hands a variable on, or takes it
// away where the job has none; a container that stays, and was committed, is what the next
// one begins with.
// https://docs.docker.com/reference/cli/docker/container/run/#env
const dockerStandIn = `#!/bin/bash
case $1 in
run) shift ;;
commit) touch "$STANDIN_ROOT/committed"; exit ;;
*) exit ;;
esac
declare -A vars
while IFS== read -r name value; do vars[$name]=$value; done < "$STANDIN_ROOT/host/image.env"
home=$STANDIN_ROOT/throwaway-$$ dir=/ entry=()
while :; do
  case $1 in
  --rm | -i) shift ;;
  --name) home=$STANDIN_ROOT/home; shift 2 ;;
  --entrypoint) [ -z "$2" ] || entry=("$2"); shift 2 ;;
  -e)
    case $2 in
    *=*) vars[${2%%=*}]=${2#*=} ;;
    *) if [ -n "${!2+set}" ]; then vars[$2]=${!2}; else unset "vars[$2]"; fi ;;
    esac
    shift 2 ;;
  -v) [ "${2%%:*}" = "${2#*:}" ] || exit 125; shift 2 ;;
  -w) dir=$2; shift 2 ;;
  -*) echo "docker: unknown flag $1" >&2; exit 125 ;;
  *) break ;;
  esac
done
[ "$1" = "ecr.example.org/team/shop:ci-$CI_COMMIT_SHA" ] || exit 125
shift
[ ! -e "$STANDIN_ROOT/committed" ] || home=$STANDIN_ROOT/home
mkdir -p "$home"
list=(PATH="$STANDIN_PATH" HOME="$home")
for name in "${!vars[@]}"; do list+=("$name=${vars[$name]}"); done
set -- "${entry[@]}" "$@"
if [ "$1" = /bin/bash ] && ! [ -e "$STANDIN_PATH/bash" ] && [ -e "$STANDIN_PATH/basename" ]; then exit 127; fi
cd "$dir" && exec env -i "${list[@]}" "$@"
`

// execute runs a command and gives what it prints, and how it ended.
func (c contained) execute(dir string, env map[string]string, name string, args ...string) string {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		c.t.Fatal(err)
	}
	return fmt.Sprintf("%s\nended %d\n", out.String(), cmd.ProcessState.ExitCode())
}

// files is what lies in the checkout afterwards.
func (c contained) files(dir string) string {
	var b strings.Builder
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(p)
		fmt.Fprintf(&b, "%s: %s\n", strings.TrimPrefix(p, dir), content)
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return b.String()
}

// normal is an output without the names of temporary folders.
func (c contained) normal(out, root string) string { return strings.ReplaceAll(out, root, "ROOT") }
