package runner_test

import (
	"regexp"
	"strings"
	"testing"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/runner"
)

func TestLogFormat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.job("echo one", "echo two\necho three", "false", "echo never")
	e.Job.AfterScript = []string{`echo "after $CI_JOB_STATUS"`, "false"}
	log := w.expect(t, e, 1)
	for _, re := range []string{
		`^\x1b\[0KRunning with gitlab-runner \d+\.\d+`,
		`section_start:\d+:prepare_executor\r\x1b\[0K\x1b\[0K\x1b\[36;1mPreparing the "docker" executor\x1b\[0;m`,
		`Using Docker executor with image docker:27 \.\.\.`,
		`section_end:\d+:prepare_executor\r\x1b\[0K`,
		`section_start:\d+:step_script\r`,
		`\x1b\[32;1m\$ echo one\x1b\[0;m\none\n`,
		`\x1b\[32;1m\$ echo two # collapsed multi-line command\x1b\[0;m\ntwo\nthree\n`,
		`Running after script\.\.\.\n\x1b\[32;1m\$ echo "after \$CI_JOB_STATUS"\x1b\[0;m\nafter failed\n`,
		`\x1b\[31;1mERROR: Job failed: exit code 1\n\x1b\[0;m\n$`,
	} {
		if !regexp.MustCompile(re).MatchString(log) {
			t.Errorf("the log does not match %s:\n%q", re, log)
		}
	}
	if strings.Contains(log, "never") {
		t.Error("the script went on after a failure")
	}
}

func TestMasking(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.job(`echo "secret is $SECRET"`, `printf 'super-'; printf 'secret-value\n'`, `echo "$CI_REGISTRY_PASSWORD" | cat`, `echo "$SECRET" > f; cat f`)
	e.Settings.Project = append(e.Settings.Project, ci.Variable{Key: "SECRET", Value: "super-secret-value", Masked: true})
	log := w.expect(t, e, 0, "secret is [MASKED]")
	_, pass := w.ecr.PipelineToken("team/hei", "team/hei")
	if strings.Contains(log, "super-secret") || strings.Contains(log, pass) {
		t.Errorf("a secret is in the log:\n%s", log)
	}
	if got := strings.Count(log, "[MASKED]"); got < 4 {
		t.Errorf("%d masked values, want 4", got)
	}
}

func TestLogLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *runner.Options) { o.LogLimit = 5000 })
	log := w.expect(t, w.job(`for i in $(seq 1 2000); do echo "line $i"; done`), 0, "exceeded limit of 5000 bytes", "Job succeeded")
	if len(log) > 7000 {
		t.Errorf("the log has %d bytes", len(log))
	}
}

// The shell is bash with errexit and pipefail, one for before_script and script.
func TestShell(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.job(
		`echo "$FROM_BEFORE"`, `false || true`, `if false; then echo no; fi`,
		`for f in *.sh; do echo "glob $f"; done`, `args=(a "b c"); echo "${#args[@]} ${args[1]}"`,
		`./hei.sh du`, `bash -c 'echo "from $0 $1"' x y`, `echo text | tr a-z A-Z | cut -c1-2`, `cat <<EOF`+"\nhere $TAG\nEOF",
		`cp hei.sh /tmp/copy && sed -i 's/hei/hello/g' /tmp/copy && sh /tmp/copy all`,
		`export X=1; env | grep -c '^X='`, `echo "a b c" | awk '{print $2}'`, `[[ "v1.2" =~ ^v[0-9]+ ]] && echo matched`,
		`source ./lib.sh; greet`, `echo "SHORT=${CI_COMMIT_SHA:0:8}"`, `command -v docker`, `command -v nonexistent || echo absent`,
		`date +%Y | grep -q '^20'`, `mkdir -p out/deep && echo x > out/deep/f && ls out/deep`, `envsubst < tpl`,
		`trap 'echo trapped' EXIT`,
	)
	e.Job.BeforeScript = []string{"FROM_BEFORE=shared"}
	e.Checkout = append(e.Checkout, ci.Artifact{Path: "lib.sh", Content: []byte("greet() { echo greetings; }\n")},
		ci.Artifact{Path: "tpl", Content: []byte("tag: ${TAG} $NOTHING.\n")})
	e.Job.Artifacts, e.Job.Dotenv = []string{"out/"}, []string{"out/deep/none"}
	w.expect(t, e, 0, "shared", "glob hei.sh", "2 b c", "hei du", "from x y", "TE\n", "here t1", "hello all", "\nb\n", "matched", "greetings",
		"SHORT=12345678", "/usr/bin/docker", "absent", "tag: t1 .", "trapped")
	r, _ := w.run(t, e)
	if len(r.Artifacts) != 1 || r.Artifacts[0].Path != "out/deep/f" {
		t.Errorf("artifacts: %+v", r.Artifacts)
	}
	w.expect(t, w.job(`false | true`, `echo unreached`), 1)
	w.expect(t, w.job(`exit 3`), 3)
	w.expect(t, w.job(`exit 0`, `false`), 0)
	w.expect(t, w.job(`unknown-command --help`), 127, "unknown-command: command not found")
	w.expect(t, w.job(`./Dockerfile`), 126, "Permission denied")
}

func TestDotenvAndArtifactsOfFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.job(`echo "REF=a=b" > d.env; echo report > r.txt`)
	e.Job.Dotenv = []string{"d.env"}
	r, log := w.run(t, e)
	if len(r.Dotenv) != 1 || r.Dotenv[0] != (ci.Variable{Key: "REF", Value: "a=b"}) {
		t.Errorf("dotenv: %+v\n%s", r.Dotenv, log)
	}
	e = w.job(`echo report > r.txt; false`)
	e.Job.Artifacts = []string{"*.txt"}
	if r, _ = w.run(t, e); len(r.Artifacts) != 0 {
		t.Errorf("artifacts of a failed job: %+v", r.Artifacts)
	}
	e.Job.ArtifactsWhen = "always"
	if r, _ = w.run(t, e); len(r.Artifacts) != 1 {
		t.Errorf("artifacts with when: always: %+v", r.Artifacts)
	}
}
