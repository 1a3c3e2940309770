package runner_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/runner"
)

func strict(o *runner.Options) { o.StrictContext = true }

// Whatever a script tries, it stays within its directory and starts no program.
func TestConfinement(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("geheim-geheim"), 0o644); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(outside, "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\ntouch "+outside+"/ran\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	for name, script := range map[string]string{
		"cat":             `cat ` + secret,
		"redirect in":     `cat < ` + secret,
		"shortcut":        `echo "got $(<` + secret + `)"; false`,
		"redirect out":    `echo x > ` + outside + `/written`,
		"append":          `echo x >> ` + outside + `/written`,
		"dot dot":         `cat ../../../../../../../..` + secret,
		"cd":              `cd ` + outside + ` && cat secret`,
		"symlink":         `ln -s ` + secret + ` link; cat link`,
		"relative link":   `ln -s ../../../../../../../../..` + secret + ` link; cat link`,
		"linked dir":      `ln -s ` + outside + ` dir; cat dir/secret`,
		"link and write":  `ln -s ` + outside + ` dir; echo x > dir/written`,
		"link and copy":   `ln -s ` + outside + ` dir; cp Dockerfile dir/written`,
		"link and remove": `ln -s ` + outside + ` dir; rm dir/secret`,
		"source":          `source ` + secret,
		"source program":  `. ` + program,
		"sh":              `sh ` + program,
		"exec":            `exec ` + program,
		"run":             program,
		"path":            `PATH=` + outside + `:$PATH program`,
		"command":         `command ` + program,
		"env":             `env ` + program,
		"xargs":           `echo ` + program + ` | xargs -I {} {}`,
		"passwd":          `cat /etc/passwd`,
		"proc":            `cat /proc/self/environ`,
		"test":            `test -e ` + secret,
		"glob":            `ls ` + outside + `/*`,
		"build context":   `docker build ` + outside,
		"build file":      `docker build -f ` + secret + ` .`,
		"mount":           `docker run --rm -v ` + outside + `:/x alpine cat /x/secret`,
		"curl":            `curl -fsS http://127.0.0.1/`,
		"fifo name":       `echo x > /tmp/sh-interp-1; test -e ` + os.TempDir() + `/../` + secret,
		"find":            `find ` + outside + ` -name secret`,
		"which":           `which program`,
		"home":            `cat ~nobody/../../` + secret,
		"env file":        `docker run --rm --env-file ` + secret + ` alpine env`,
		"python":          `python3 -c 'print(open("` + secret + `").read())'; cat ` + secret,
		"add":             `printf 'FROM scratch\nCOPY ` + secret + ` /s\n' > Dockerfile; docker build -t x . ; docker run --rm x cat /s; cat ` + secret,
	} {
		t.Run(name, func(t *testing.T) {
			r, log := w.run(t, w.job(script))
			if r.Status != "failed" {
				t.Errorf("the script succeeded:\n%s", log)
			}
			if strings.Contains(log, "geheim") {
				t.Errorf("the script read a file of the host:\n%s", log)
			}
		})
	}
	entries, err := os.ReadDir(outside)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2 {
		t.Errorf("files outside of the job: %v", entries)
	}
}

func TestCheckoutStaysInside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.job("cat link")
	e.Checkout = append(e.Checkout, ci.Artifact{Path: "link", Content: []byte("/etc/hostname"), Mode: 0o120000})
	w.expect(t, e, 1)
	e = w.job("true")
	e.Checkout = append(e.Checkout, ci.Artifact{Path: "../../out", Content: []byte("x")})
	if r, log := w.run(t, e); r.FailureReason != "runner_system_failure" {
		t.Errorf("a path out of the project: %+v\n%s", r, log)
	}
}

func TestDirectoryIsRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWorld(t, func(o *runner.Options) { o.TempDir = dir })
	w.expect(t, w.job(`cat <(echo from a pipe)`, `: <(sleep 1)`), 0, "from a pipe")
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// Scripts that use too much of something end, and the process lives.
func TestLimits(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		script string
		change func(*runner.Options)
		reason string
		want   string
	}{
		"time":       {`while true; do :; done`, func(o *runner.Options) { o.Timeout = 300 * time.Millisecond }, "job_execution_timeout", "Job failed: execution took longer than 300ms"},
		"blocked":    {`cat <(while true; do :; done)`, func(o *runner.Options) { o.Timeout = 300 * time.Millisecond }, "job_execution_timeout", "execution took longer"},
		"recursion":  {`f() { f; }; f`, nil, "script_failure", "nesting level"},
		"in scripts": {`printf '#!/bin/sh\nexec ./s\n' > s; chmod +x s; ./s`, nil, "script_failure", "nesting level"},
		"commands":   {`while true; do :; done`, func(o *runner.Options) { o.CallLimit = 1000 }, "script_failure", "exit code 137"},
		"braces":     {`echo {1..100000000}`, nil, "script_failure", "failed to allocate memory"},
		"eval":       {`eval 'echo {1..100000000}'`, nil, "script_failure", "exit code 1"},
		"disk":       {`echo 0123456789 > f; while true; do cat f f > g; mv g f; done`, func(o *runner.Options) { o.DiskLimit = 10_000 }, "script_failure", "no space left on device"},
		"syntax":     {`if true; then`, nil, "script_failure", "exit code 2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var change []func(*runner.Options)
			if tt.change != nil {
				change = append(change, tt.change)
			}
			w := newWorld(t, change...)
			e := w.job(tt.script)
			r, log := w.run(t, e)
			if r.Status != "failed" || r.FailureReason != tt.reason || !strings.Contains(log, tt.want) {
				t.Errorf("%+v, want %s and %q:\n%.2000s", r, tt.reason, tt.want, log)
			}
		})
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	var log bytes.Buffer
	r := w.runner.Execute(ctx, w.job("while true; do :; done"), &log)
	if r.Status != "failed" || r.FailureReason != "job_canceled" {
		t.Errorf("canceled job: %+v", r)
	}
}
