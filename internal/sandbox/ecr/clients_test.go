package ecr_test

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/regclient/regclient"
	"github.com/regclient/regclient/config"
	"github.com/regclient/regclient/types/ref"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ecr"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/skopeotest"
)

// variety is one image of every kind that is copied.
func variety() map[string]oci.Image {
	amd64 := oci.Build(oci.Spec{Layers: []oci.Layer{{"arch": "amd64"}}})
	docker := oci.Build(oci.Spec{Docker: true, Layers: []oci.Layer{{"a": "1"}, {"b": "2"}}})
	tag, signature := oci.Signature(amd64)
	return map[string]oci.Image{
		"oci": amd64, "docker": docker, tag: signature,
		"multi": oci.Index(amd64, oci.Build(oci.Spec{Platform: "linux/arm64"}), oci.Attestation(amd64)),
		"list":  oci.Index(docker, oci.Build(oci.Spec{Docker: true, Platform: "linux/arm64"})),
	}
}

func TestRegclient(t *testing.T) {
	t.Parallel()
	s := start(t, ecr.Options{})
	if _, err := s.CreateRepository("team/copy"); err != nil {
		t.Fatal(err)
	}
	user, password := workerLogin(t, s)
	host := config.HostNewName(s.Registry)
	host.Hostname, host.TLS, host.User, host.Pass = strings.TrimPrefix(s.URL, "http://"), config.TLSDisabled, user, password
	rc := regclient.New(regclient.WithConfigHost(*host))
	from, err := ref.New(s.Registry + "/team/app")
	if err != nil {
		t.Fatal(err)
	}
	to, err := ref.New(s.Registry + "/team/copy")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for tag, image := range variety() {
		mustPush(t, s, "team/app", tag, image)
		want[tag] = image.Digest()
		if err := rc.ImageCopy(t.Context(), from.SetTag(tag), to.SetTag(tag)); err != nil {
			t.Fatalf("copy %s: %v", tag, err)
		}
		m, err := rc.ManifestHead(t.Context(), to.SetTag(tag))
		if err != nil || m.GetDescriptor().Digest.String() != want[tag] {
			t.Errorf("head of copied %s: %v", tag, err)
		}
	}
	list, err := rc.TagList(t.Context(), to)
	if err != nil || len(list.Tags) != len(want) {
		t.Errorf("tags: %v, %v", list, err)
	}
	referrer := oci.Referrer(variety()["oci"], "application/spdx+json", []byte("{}"))
	mustPush(t, s, "team/app", "", referrer)
	found, err := rc.ReferrerList(t.Context(), from.SetTag("oci"))
	if err != nil || len(found.Descriptors) != 1 || found.Descriptors[0].Digest.String() != referrer.Digest() {
		t.Errorf("referrers: %+v, %v", found.Descriptors, err)
	}
	if err := rc.ImageCopy(t.Context(), from.SetTag("docker"), to.SetTag("oci")); err == nil || !strings.Contains(err.Error(), "TAG_INVALID") {
		t.Errorf("copy over another image's tag: %v", err)
	}
}

func TestSkopeo(t *testing.T) {
	t.Parallel()
	skopeo := skopeotest.Find(t)
	s := start(t, ecr.Options{})
	if _, err := s.CreateRepository("team/copy"); err != nil {
		t.Fatal(err)
	}
	user, password := workerLogin(t, s)
	login := user + ":" + password
	run := func(args ...string) []byte {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), skopeo, append([]string{"--insecure-policy"}, args...)...).Output()
		if err != nil {
			stderr := ""
			if e, ok := err.(*exec.ExitError); ok { //nolint:errorlint // Output returns it bare
				stderr = string(e.Stderr)
			}
			t.Fatalf("skopeo %s: %v: %s", args[0], err, stderr)
		}
		return out
	}
	base := "docker://" + strings.TrimPrefix(s.URL, "http://") + "/team/"
	var tags []string
	for tag, image := range variety() {
		tags = append(tags, tag)
		mustPush(t, s, "team/app", tag, image)
		if got := oci.Digest(run("inspect", "--raw", "--tls-verify=false", "--creds", login, base+"app:"+tag)); got != image.Digest() {
			t.Errorf("skopeo sees %s as %s, want %s", tag, got, image.Digest())
		}
	}
	// By way of a directory, so that nothing is mounted or reused.
	dir := filepath.Join(t.TempDir(), "image")
	run("copy", "--all", "--preserve-digests", "--src-tls-verify=false", "--src-creds", login, base+"app:docker", "dir:"+dir)
	run("copy", "--all", "--preserve-digests", "--dest-tls-verify=false", "--dest-creds", login, "dir:"+dir, base+"copy:docker")
	if got := s.Tags("team/copy")["docker"]; got != variety()["docker"].Digest() {
		t.Errorf("skopeo pushed %s, want %s", got, variety()["docker"].Digest())
	}
	out := string(run("list-tags", "--tls-verify=false", base+"app", "--creds", login))
	if slices.ContainsFunc(tags, func(tag string) bool { return !strings.Contains(out, tag) }) {
		t.Errorf("skopeo lists %s, want %q", out, tags)
	}
}
