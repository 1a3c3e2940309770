package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ecr"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oldregistry"
)

// The environment is the process', so nothing here runs in parallel.
func TestCopyByMap(t *testing.T) {
	old, err := oldregistry.Start(oldregistry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close() //nolint:errcheck // nothing to lose
	aws, err := ecr.Start(ecr.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer aws.Close() //nolint:errcheck // nothing to lose
	for _, name := range []string{"group/app", "group/web"} {
		if _, err := aws.CreateRepository(name); err != nil {
			t.Fatal(err)
		}
	}
	oldHost, ecrHost := strings.TrimPrefix(old.URL, "http://"), strings.TrimPrefix(aws.URL, "http://")
	user, password := old.Worker()
	dir := t.TempDir()
	login := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, oldHost, base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
	write(t, filepath.Join(dir, "config.json"), login)
	id, secret := aws.WorkerKey()
	for k, v := range map[string]string{
		"DOCKER_CONFIG": dir, "REGISTRY_AUTH_FILE": "", "AWS_ACCESS_KEY_ID": id, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": "",
		"AWS_REGION": "eu-north-1", "AWS_ENDPOINT_URL_ECR": aws.URL, "AWS_ENDPOINT_URL": "", "AWS_PROFILE": "",
		"AWS_CONFIG_FILE": filepath.Join(dir, "none"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(dir, "none"),
	} {
		t.Setenv(k, v)
	}
	push := func(tag string, image oci.Image) oci.Image {
		u, p := old.Pipeline("group/app")
		remote := oci.Remote{Locate: func(string) (string, bool) { return old.URL, true }, Credentials: func(string) (string, string, bool) { return u, p, true }}
		if err := remote.Push(t.Context(), old.Name, "group/app", tag, image); err != nil {
			t.Fatal(err)
		}
		return image
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
	t.Setenv("AWS_ENDPOINT_URL_ECR", "")
	if code, out, _ := copyMap("OLD:1\tregistry.example.org/group/app:1\n"); code != exitNone || !strings.Contains(out.Lines[0].Reason, "not ECR") {
		t.Errorf("not ECR: %d %+v", code, out.Lines)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
