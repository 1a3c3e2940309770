package main

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.sikt.no/platon/ecrferry/internal/ciconfig"
)

const (
	pushPipeline    = "build:\n  script:\n    - docker build -t $CI_REGISTRY_IMAGE/api:$CI_COMMIT_SHA .\n    - docker push $CI_REGISTRY_IMAGE/api:$CI_COMMIT_SHA\n"
	pushedPipeline  = "build:\n  script:\n    - docker build -t $CI_REGISTRY_IMAGE:api-$CI_COMMIT_SHA .\n    - docker push $CI_REGISTRY_IMAGE:api-$CI_COMMIT_SHA\n"
	blockedPipeline = "include: ci/test.yml\n" + pushPipeline
	brokenYAML      = "test:\n  script: [make\n"
)

// rewriteAt runs enqueue rewrite on a directory; it needs no configuration.
func rewriteAt(t *testing.T, dir string, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e strings.Builder
	code = run(t.Context(), append([]string{"rewrite", dir, "--project", "group/project"}, args...), func(string) string { return "" }, &o, &e)
	return code, o.String(), e.String()
}

// project writes files into a directory of its own.
func project(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), content)
	}
	return dir
}

// contents reads all files of a directory, those of git aside.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == ".git" {
			return fs.SkipDir
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(p)
		rel, _ := filepath.Rel(dir, p)
		files[rel] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "core.autocrlf=false"}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

// TestRewriteSamples compares what is printed with what is written: git has to
// make the same files of the output.
func TestRewriteSamples(t *testing.T) {
	t.Parallel()
	platon, err := filepath.Abs("../../../shared/corpus/platon")
	if err != nil {
		t.Fatal(err)
	}
	samples, err := filepath.Glob(platon + "/*.expected")
	if err != nil || len(samples) == 0 {
		t.Skipf("%s is not there: this test needs the shared reading beside the repository", platon)
	}
	for _, expected := range samples {
		sample := strings.TrimSuffix(expected, ".expected")
		t.Run(filepath.Base(sample), func(t *testing.T) {
			t.Parallel()
			dir, patched := t.TempDir(), t.TempDir()
			for _, d := range []string{dir, patched} {
				if err := os.CopyFS(d, os.DirFS(sample)); err != nil {
					t.Fatal(err)
				}
			}
			before := contents(t, dir)
			code, out, errs := rewriteAt(t, dir)
			if errs != "" || !maps.Equal(before, contents(t, dir)) {
				t.Fatalf("looking wrote something, or said %q", errs)
			}
			wrote, _, errs := rewriteAt(t, dir, "--write")
			after := contents(t, dir)
			if changed := !maps.Equal(before, after); wrote != code || changed != (code == exitChanged) {
				t.Fatalf("exit %d, with --write %d, changed: %v\n%s%s", code, wrote, changed, out, errs)
			}
			if code == exitChanged {
				git(t, patched, "init", "-q")
				write(t, filepath.Join(patched, ".git", "patch"), out)
				git(t, patched, "apply", ".git/patch")
				if diff := cmp.Diff(after, contents(t, patched)); diff != "" {
					t.Errorf("written (-), by git apply (+):\n%s", diff)
				}
			}
			if again, out, _ := rewriteAt(t, dir); again == exitChanged {
				t.Errorf("the second time there is still something to change:\n%s", out)
			}
		})
	}
}

func TestRewriteWrites(t *testing.T) {
	t.Parallel()
	dir := project(t, map[string]string{".gitlab-ci.yml": pushPipeline, "deploy.sh": "#!/bin/sh\ndocker pull $CI_REGISTRY_IMAGE/api:$CI_COMMIT_SHA", "README.md": "x"})
	if err := os.Chmod(filepath.Join(dir, "deploy.sh"), 0o751); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := rewriteAt(t, dir, "--write"); code != exitChanged || !strings.Contains(out, "2 files changed.") {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	want := map[string]string{".gitlab-ci.yml": pushedPipeline, "deploy.sh": "#!/bin/sh\ndocker pull $CI_REGISTRY_IMAGE:api-$CI_COMMIT_SHA", "README.md": "x"}
	if diff := cmp.Diff(want, contents(t, dir)); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
	if info, err := os.Stat(filepath.Join(dir, "deploy.sh")); err != nil || info.Mode().Perm() != 0o751 {
		t.Errorf("permissions are %v, %v", info.Mode(), err)
	}
	code, out, errs := rewriteAt(t, dir)
	if code != 0 || !strings.Contains(out, "No file needs a change.") {
		t.Errorf("again: exit %d\n%s%s", code, out, errs)
	}
}

// TestRewriteMergeRequest prints what the owners of a project would read.
func TestRewriteMergeRequest(t *testing.T) {
	t.Parallel()
	dir := project(t, map[string]string{".gitlab-ci.yml": pushPipeline})
	code, out, errs := rewriteAt(t, dir, "--merge-request")
	if code != exitChanged || !strings.Contains(out, "| `$CI_REGISTRY_IMAGE/api:${CI_COMMIT_SHA}` | `$CI_REGISTRY_IMAGE:api-${CI_COMMIT_SHA}` |") || strings.Contains(out, "+++") {
		t.Errorf("code %d, printed:\n%s%s", code, out, errs)
	}
	for text, want := range map[string]int{"test:\n  script: [make]\n": 0, blockedPipeline: exitAttention} {
		code, out, errs := rewriteAt(t, project(t, map[string]string{".gitlab-ci.yml": text, "ci/test.yml": brokenYAML}), "--merge-request")
		if code != want || out != "" || !strings.Contains(errs, "no merge request is opened") {
			t.Errorf("nothing changes: code %d, printed:\n%s%s", code, out, errs)
		}
	}
	if code, out, errs := rewriteAt(t, dir, "--merge-request", "--json"); code != exitUsage || out != "" || !strings.Contains(errs, "do not go together") {
		t.Errorf("with --json: code %d, printed:\n%s%s", code, out, errs)
	}
}

func TestRewriteBlocked(t *testing.T) {
	t.Parallel()
	dir := project(t, map[string]string{".gitlab-ci.yml": blockedPipeline, "ci/test.yml": brokenYAML})
	code, out, _ := rewriteAt(t, dir, "--write")
	for _, want := range []string{"blocking yaml-invalid (for the project)", "ci/test.yml:", "What to do:", "No file is changed while a finding blocks", "Not rewritten."} {
		if !strings.Contains(out, want) {
			t.Errorf("does not say %q:\n%s", want, out)
		}
	}
	if code != exitAttention || contents(t, dir)[".gitlab-ci.yml"] != blockedPipeline {
		t.Errorf("exit %d, or it was written", code)
	}
	code, out, _ = rewriteAt(t, dir, "--json")
	var got rewriteJSON
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if code != exitAttention || got.Verdict != "attention" || !got.Blocked || got.Written || len(got.Files) != 0 || got.Diff != "" || len(got.Mapping) == 0 ||
		len(got.Findings) != 1 || got.Findings[0].Code != "yaml-invalid" || got.Findings[0].File != "ci/test.yml" || got.Findings[0].Remedy == "" {
		t.Errorf("exit %d: %+v", code, got)
	}
}

// TestRewriteAttention: nothing can be changed, and somebody has to act.
func TestRewriteAttention(t *testing.T) {
	t.Parallel()
	dir := project(t, map[string]string{".gitlab-ci.yml": "test:\n  image: registry.uninett.no/other/tools:1\n  script: [make]\n"})
	if code, out, _ := rewriteAt(t, dir); code != exitAttention || !strings.Contains(out, "warning foreign-image") {
		t.Errorf("exit %d\n%s", code, out)
	}
	// The mapping says that it is ours.
	list := filepath.Join(t.TempDir(), "list")
	write(t, list, "# moved\nother/tools group/project\n")
	if code, out, _ := rewriteAt(t, dir, "--mapping", list); strings.Contains(out, "foreign-image") {
		t.Errorf("with a mapping: exit %d\n%s", code, out)
	}
}

func TestRewriteGit(t *testing.T) {
	t.Parallel()
	dir := project(t, map[string]string{".gitlab-ci.yml": pushPipeline, "build/run.sh": "docker pull $CI_REGISTRY_IMAGE/api:$CI_COMMIT_SHA\n"})
	outside := project(t, map[string]string{"victim.sh": "docker pull $CI_REGISTRY_IMAGE/api:$CI_COMMIT_SHA\n"})
	for name, target := range map[string]string{"link.sh": filepath.Join(outside, "victim.sh"), "away": outside} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	git(t, dir, "init", "-q")
	git(t, dir, "add", ".")
	git(t, dir, "commit", "-q", "-m", "one")
	write(t, filepath.Join(dir, "untracked.sh"), "docker pull $CI_REGISTRY_IMAGE/api:$CI_COMMIT_SHA\n")
	// What git tracks may be a link by now.
	if err := os.RemoveAll(filepath.Join(dir, "build")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(outside, "run.sh"), "docker pull $CI_REGISTRY_IMAGE/api:$CI_COMMIT_SHA\n")
	if err := os.Symlink(outside, filepath.Join(dir, "build")); err != nil {
		t.Fatal(err)
	}
	code, _, errs := rewriteAt(t, dir, "--write")
	if code == exitChanged {
		t.Errorf("a directory that leads outside was followed")
	}
	if !strings.Contains(errs, "build/run.sh") {
		t.Errorf("exit %d: %s", code, errs)
	}

	code, out, errs := rewriteAt(t, dir, "--ref", "HEAD", "--json")
	var got rewriteJSON
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("exit %d: %v %s", code, err, errs)
	}
	if diff := cmp.Diff([]string{".gitlab-ci.yml", "build/run.sh"}, got.Files); diff != "" || code != exitChanged {
		t.Errorf("of the commit: exit %d\n%s", code, diff)
	}

	if err := os.Remove(filepath.Join(dir, "build")); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := rewriteAt(t, dir, "--write"); code != exitChanged || !strings.Contains(out, "1 file changed") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	for name, content := range contents(t, outside) {
		if !strings.Contains(content, "/api:") {
			t.Errorf("%s outside was changed", name)
		}
	}
	if !strings.Contains(contents(t, dir)["untracked.sh"], "/api:") {
		t.Error("a file that git does not track was changed")
	}
}

func TestRewriteAllOrNothing(t *testing.T) {
	t.Parallel()
	dir := project(t, map[string]string{"a.yml": "a", "b.yml": "changed meanwhile"})
	c, err := openCheckout(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	before := contents(t, dir)
	err = c.write([]ciconfig.Edit{
		{Path: "a.yml", Before: []byte("a"), After: []byte("A")},
		{Path: "b.yml", Before: []byte("b"), After: []byte("B")},
	})
	if err == nil || !strings.Contains(err.Error(), "nothing was written: b.yml: it was changed meanwhile") {
		t.Errorf("error is %v", err)
	}
	if diff := cmp.Diff(before, contents(t, dir)); diff != "" {
		t.Errorf("before (-), after (+):\n%s", diff)
	}
	// A renaming that fails half way is taken back.
	if err := c.undo([]ciconfig.Edit{{Path: "a.yml", Before: []byte("a as it was")}}, os.ErrPermission); err == nil || contents(t, dir)["a.yml"] != "a as it was" {
		t.Errorf("undone: %v, %v", err, contents(t, dir))
	}
}

func TestRewriteBadInput(t *testing.T) {
	t.Parallel()
	fine := project(t, map[string]string{".gitlab-ci.yml": pushPipeline})
	empty := t.TempDir()
	broken := project(t, map[string]string{".gitlab-ci.yml": "build:\n  script: [docker push $CI_REGISTRY_IMAGE/api:1\n"})
	badMap := filepath.Join(t.TempDir(), "map")
	write(t, badMap, "one\ntwo three four\n")
	for name, tt := range map[string]struct {
		args []string
		code int
		says []string
	}{
		"no directory":     {[]string{filepath.Join(empty, "none"), "--project", "g/p"}, exitUsage, []string{"none", "name the directory of a checkout"}},
		"a file":           {[]string{filepath.Join(fine, ".gitlab-ci.yml"), "--project", "g/p"}, exitUsage, []string{"directory"}},
		"no project":       {[]string{fine}, exitUsage, []string{"--project", "kurs/skjema"}},
		"project no path":  {[]string{fine, "--project", "skjema"}, exitUsage, []string{`"skjema"`}},
		"no pipeline":      {[]string{empty, "--project", "g/p"}, exitUsage, []string{"has no .gitlab-ci.yml", "--ci-path"}},
		"other pipeline":   {[]string{fine, "--project", "g/p", "--ci-path", "ci/main.yml"}, exitUsage, []string{"has no ci/main.yml"}},
		"pipeline outside": {[]string{fine, "--project", "g/p", "--ci-path", "a/../../x.yml"}, exitUsage, []string{"leads out of"}},
		"no mapping":       {[]string{fine, "--project", "g/p", "--mapping", "/none/x"}, exitUsage, []string{"--mapping", "/none/x"}},
		"bad mapping":      {[]string{fine, "--project", "g/p", "--mapping", badMap}, exitUsage, []string{"map:1", "map:2"}},
		"bad variable":     {[]string{fine, "--project", "g/p", "--variable", "A", "--variable", "CI_REGISTRY=x"}, exitUsage, []string{`"A"`, "CI_REGISTRY"}},
		"ref and write":    {[]string{fine, "--project", "g/p", "--ref", "main", "--write"}, exitUsage, []string{"ref", "write"}},
		"no checkout":      {[]string{fine, "--project", "g/p", "--ref", "main"}, exitTrouble, []string{"no git checkout"}},
		"two directories":  {[]string{fine, empty, "--project", "g/p"}, exitUsage, []string{"1 arg"}},
		"unknown flag":     {[]string{fine, "--projekt", "g/p"}, exitUsage, []string{"--projekt"}},
		"broken YAML":      {[]string{broken, "--project", "g/p"}, exitAttention, []string{"blocking yaml-invalid", ".gitlab-ci.yml:"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var o, e strings.Builder
			code := run(t.Context(), append([]string{"rewrite"}, tt.args...), func(string) string { return "" }, &o, &e)
			text := o.String() + e.String()
			for _, want := range tt.says {
				if !strings.Contains(text, want) {
					t.Errorf("does not say %q:\n%s", want, text)
				}
			}
			if code != tt.code {
				t.Errorf("exit %d, want %d:\n%s", code, tt.code, text)
			}
		})
	}
}
