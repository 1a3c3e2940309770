package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ecr"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oldregistry"
)

// port is an old registry and an ECR with the repository group/app, and the
// environment in which enqueue copy finds its way to them.
type port struct {
	t   *testing.T
	old *oldregistry.Server
	aws *ecr.Server
	dir string
	env map[string]string
}

func newPort(t *testing.T) *port {
	t.Helper()
	old, err := oldregistry.Start(oldregistry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = old.Close() })
	aws, err := ecr.Start(ecr.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = aws.Close() })
	if _, err := aws.CreateRepository("group/app"); err != nil {
		t.Fatal(err)
	}
	p := &port{t: t, old: old, aws: aws, dir: t.TempDir()}
	user, password := old.Worker()
	login := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, p.oldHost(), base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
	write(t, filepath.Join(p.dir, "config.json"), login)
	id, secret := aws.WorkerKey()
	p.env = map[string]string{
		"DOCKER_CONFIG": p.dir, "REGISTRY_AUTH_FILE": "", "AWS_ACCESS_KEY_ID": id, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": "",
		"AWS_REGION": "eu-north-1", "AWS_ENDPOINT_URL_ECR": aws.URL, "AWS_ENDPOINT_URL": "", "AWS_PROFILE": "",
		"AWS_CONFIG_FILE": filepath.Join(p.dir, "none"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(p.dir, "none"),
	}
	return p
}

func (p *port) oldHost() string { return strings.TrimPrefix(p.old.URL, "http://") }
func (p *port) ecrHost() string { return strings.TrimPrefix(p.aws.URL, "http://") }

func (p *port) push(tag string, image oci.Image) oci.Image {
	p.t.Helper()
	u, w := p.old.Pipeline("group/app")
	remote := oci.Remote{Locate: func(string) (string, bool) { return p.old.URL, true }, Credentials: func(string) (string, string, bool) { return u, w, true }}
	if err := remote.Push(p.t.Context(), p.old.Name, "group/app", tag, image); err != nil {
		p.t.Fatal(err)
	}
	return image
}

// The environment is the process', so nothing here runs in parallel.
func TestCopyByMap(t *testing.T) {
	p := newPort(t)
	aws, oldHost, ecrHost, dir, push := p.aws, p.oldHost(), p.ecrHost(), p.dir, p.push
	if _, err := aws.CreateRepository("group/web"); err != nil {
		t.Fatal(err)
	}
	for k, v := range p.env {
		t.Setenv(k, v)
	}
	image := func(n int) oci.Image {
		return oci.Build(oci.Spec{Layers: []oci.Layer{{"base": "shared"}, {"n": fmt.Sprint(n)}}})
	}
	one := push("1", image(1))
	push("2", oci.Index(image(2), oci.Attestation(image(2))))
	list := filepath.Join(dir, "map")
	copyMap := func(lines string, args ...string) (int, outcome, string) {
		t.Helper()
		write(t, list, strings.NewReplacer("OLD", oldHost+"/group/app", "ECR", ecrHost, "REAL", aws.Registry).Replace(lines))
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), append([]string{"copy", "--json", "--map", list}, args...), os.Getenv, &stdout, &stderr)
		var out outcome
		if stdout.Len() > 0 {
			if err := json.Unmarshal(stdout.Bytes(), &out); err != nil {
				t.Fatalf("%v: %s", err, stdout.String())
			}
		}
		return code, out, stderr.String()
	}
	states := func(out outcome) (s string) {
		for _, l := range out.Lines {
			s += string(l.State) + " "
		}
		return strings.TrimSpace(s)
	}
	all := "# two repositories\nOLD:1\tECR/group/app:one\n\nOLD:2\tECR/group/web:two\nOLD@" + one.Digest() + "\tREAL/group/web:three\n"

	code, out, stderr := copyMap(all, "--dry-run")
	if code != 0 || states(out) != "planned planned planned" || len(out.Targets) != 3 || out.Targets[1].Forecast.Manifests != 3 {
		t.Errorf("dry run: %d %s %+v %s", code, states(out), out.Targets, stderr)
	}
	if n := aws.Writes(); n["layers"]+n["images"] > 0 {
		t.Errorf("the dry run wrote: %v", n)
	}
	code, out, stderr = copyMap(all)
	if code != 0 || states(out) != "copied copied copied" {
		t.Errorf("copy: %d %s %s", code, states(out), stderr)
	}
	if got := aws.Tags("group/app")["one"]; got != one.Digest() {
		t.Errorf("group/app:one is %s", got)
	}
	if got := aws.Tags("group/web")["three"]; got != one.Digest() {
		t.Errorf("group/web:three is %s", got)
	}

	push("1", image(11)) // moves
	code, out, _ = copyMap(all)
	if code != 0 || states(out) != "present present present" {
		t.Errorf("again: %d %s", code, states(out))
	}
	for what, n := range out.Requests {
		if strings.HasPrefix(what, "source") || strings.HasPrefix(what, "target") {
			t.Errorf("nothing to do, but %d × %s", n, what)
		}
	}
	code, out, stderr = copyMap(all, "--deep")
	if code != exitSome || states(out) != "conflict present present" {
		t.Errorf("deep: %d %s %s", code, states(out), stderr)
	}
	code, out, _ = copyMap("OLD:1\tECR/group/app:new\nOLD:none\tECR/group/app:none\nOLD:2\tECR/group/app:new2\nOLD:1\tECR/group/app:new2\n")
	if code != exitSome || states(out) != "copied gone collision collision" {
		t.Errorf("some: %d %s", code, states(out))
	}
	code, out, _ = copyMap("OLD:1\tECR/group/none:1\n")
	if code != exitNone || states(out) != "failed" || !strings.Contains(out.Lines[0].Reason, "repository") {
		t.Errorf("none: %d %s", code, states(out))
	}
	if code, _, stderr := copyMap("OLD:1 one two\nOLD\tECR/group/app:1\n"); code != exitUsage || !strings.Contains(stderr, "line 1") || !strings.Contains(stderr, "line 2") {
		t.Errorf("bad map: %d %s", code, stderr)
	}
	twice := "OLD:1\tECR/group/app:twice\nOLD:1\tECR/group/app:twice\nregistry.example.org/x:1\tECR/group/app:twice\n"
	if code, _, stderr := copyMap(twice); code != exitUsage || !strings.Contains(stderr, "line 3") || !strings.Contains(stderr, "of line 1 too") {
		t.Errorf("two registries for one target: %d %s", code, stderr)
	}
	t.Setenv("AWS_ENDPOINT_URL_ECR", "")
	if code, out, _ := copyMap("OLD:1\tregistry.example.org/group/app:1\n"); code != exitNone || !strings.Contains(out.Lines[0].Reason, "not ECR") {
		t.Errorf("not ECR: %d %+v", code, out.Lines)
	}
}

// TestKilledCopy kills enqueue copy when a part of the images is at the target.
// The next one sends no blob again that had arrived, and asks nothing about the
// images that were finished.
func TestKilledCopy(t *testing.T) {
	if args := os.Getenv("ENQUEUE_TEST_ARGS"); args != "" {
		os.Exit(run(t.Context(), strings.Split(args, " "), os.Getenv, os.Stdout, os.Stderr))
	}
	p := newPort(t)
	const images = 30
	var lines strings.Builder
	parts := make(map[string][]string) // of each tag: what only its requests name
	for n := range images {
		image := p.push(fmt.Sprint(n), oci.Build(oci.Spec{Layers: []oci.Layer{{"base": "shared"}, {"n": fmt.Sprint(n)}}}))
		tag := fmt.Sprint(n)
		parts[tag] = append(slices.Collect(maps.Keys(image.Blobs)), "manifests/"+tag, image.Digest())
		fmt.Fprintf(&lines, "%s/group/app:%d\t%s/group/app:%d\n", p.oldHost(), n, p.ecrHost(), n)
	}
	list := filepath.Join(p.dir, "map")
	write(t, list, lines.String())
	p.old.Inject(func(r *http.Request) (int, string, bool) {
		if strings.Contains(r.URL.Path, "/blobs/") {
			time.Sleep(100 * time.Millisecond)
		}
		return 0, "", false
	})
	cmd := exec.Command(os.Args[0], "-test.run", "^TestKilledCopy$")
	cmd.Env = append(os.Environ(), "ENQUEUE_TEST_ARGS=copy --streams 2 --map "+list)
	for k, v := range p.env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(2 * time.Minute); len(p.aws.Tags("group/app")) < 5; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			_ = cmd.Process.Kill()
			t.Fatal("nothing is copied")
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	done := p.aws.Tags("group/app")
	finished, arrived, written := len(done), p.aws.Writes()["layers"], p.aws.Writes()["images"]
	if finished == images {
		t.Fatal("all was done before the kill: this test shows nothing")
	}

	// From now on neither registry must hear of a finished image.
	var mu sync.Mutex
	var asked []string
	hear := func(r *http.Request) (int, string, bool) {
		at := r.URL.Path + "?" + r.URL.RawQuery
		if unescaped, err := url.QueryUnescape(at); err == nil {
			at = unescaped
		}
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.Method+" "+at)
		return 0, "", false
	}
	p.old.Inject(hear)
	p.aws.Inject(hear)
	for k, v := range p.env {
		t.Setenv(k, v)
	}
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"copy", "--json", "--map", list}, os.Getenv, &stdout, &stderr); code != 0 {
		t.Fatalf("exit %d: %s", code, stderr.String())
	}
	var out outcome
	if err := json.Unmarshal(stdout.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	p.old.Inject(nil)
	p.aws.Inject(nil)
	blobsAsked := 0
	for _, at := range asked {
		if strings.Contains(at, "/blobs/sha256:") || strings.Contains(at, "digest=sha256:") {
			blobsAsked++
		}
		for tag := range done {
			for _, part := range parts[tag] {
				if strings.HasSuffix(at, part) || strings.HasSuffix(at, part+"?") {
					t.Errorf("%s was finished, and then: %s", tag, at)
				}
			}
		}
	}
	if blobsAsked == 0 {
		t.Errorf("no blob of the others was moved: %q", asked)
	}
	// A base layer, a config and a layer each; what was in flight may have
	// arrived after the count.
	const blobs = 1 + 2*images
	if n := out.Requests["source GET blobs"]; n > blobs-arrived || n != out.Requests["target PUT blobs/uploads/put"] {
		t.Errorf("%d blobs read again, of %d %d had arrived: %v", n, blobs, arrived, out.Requests)
	}
	// A tag that has no manifest yet costs one read, the refusal one more.
	if n := out.Requests["source GET manifests"]; n > images-finished+1 {
		t.Errorf("%d manifests read, %d images were finished: %v", n, finished, out.Requests)
	}
	// Refusals by the quota are tried again, so what counts is what was taken in.
	if n := p.aws.Writes()["images"] - written; n > images-finished {
		t.Errorf("%d manifests written, %d images were finished", n, finished)
	}
	if n := len(p.aws.Tags("group/app")); n != images {
		t.Errorf("%d tags", n)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
