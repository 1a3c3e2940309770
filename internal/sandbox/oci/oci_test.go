package oci_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci/distribution"
)

// plain starts a Distribution registry without login and returns a Remote for
// it and the requests it saw.
func plain(t *testing.T) (oci.Remote, *[]string) {
	t.Helper()
	registry, err := distribution.New(distribution.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind := strings.Split(strings.TrimPrefix(r.URL.Path, "/v2/team/app/"), "/")[0]
		seen = append(seen, r.Method+" "+kind)
		registry.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return oci.Remote{Locate: func(host string) (string, bool) { return server.URL, host == "registry.example" }}, &seen
}

func TestBuildIsDeterministic(t *testing.T) {
	t.Parallel()
	spec := oci.Spec{Layers: []oci.Layer{{"b": "2", "a": "1"}, {"c": "3"}}, Config: oci.Config{Env: []string{"A=1"}}, Docker: true}
	first, second := oci.Build(spec), oci.Build(spec)
	if first.Digest() != second.Digest() {
		t.Errorf("two builds of one spec: %s and %s", first.Digest(), second.Digest())
	}
	spec.Layers[1] = oci.Layer{"c": "4"}
	if oci.Build(spec).Digest() == first.Digest() {
		t.Error("another file content gave the same digest")
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	amd64 := oci.Build(oci.Spec{Layers: []oci.Layer{{"app": "amd64"}}})
	arm64 := oci.Build(oci.Spec{Layers: []oci.Layer{{"app": "arm64"}}, Platform: "linux/arm64/v8"})
	docker := oci.Build(oci.Spec{Docker: true, Layers: []oci.Layer{{"app": "old"}, {"app": "new"}}, Config: oci.Config{Cmd: []string{"/app"}}})
	sigTag, signature := oci.Signature(amd64)
	images := map[string]oci.Image{
		"oci":    amd64,
		"docker": docker,
		"multi":  oci.Index(amd64, arm64, oci.Attestation(amd64), oci.Attestation(arm64)),
		"list":   oci.Index(docker, oci.Build(oci.Spec{Docker: true, Platform: "linux/arm64"})),
		"sbom":   oci.Referrer(amd64, "application/spdx+json", []byte(`{"spdxVersion":"SPDX-2.3"}`)),
		sigTag:   signature,
	}
	remote, _ := plain(t)
	for tag, image := range images {
		if err := remote.Push(t.Context(), "registry.example", "team/app", tag, image); err != nil {
			t.Fatalf("push %s: %v", tag, err)
		}
		got, err := remote.Pull(t.Context(), "registry.example", "team/app", tag)
		if err != nil {
			t.Fatalf("pull %s: %v", tag, err)
		}
		if got.Digest() != image.Digest() || got.MediaType != image.MediaType {
			t.Errorf("pull %s: %s %s, want %s %s", tag, got.MediaType, got.Digest(), image.MediaType, image.Digest())
		}
		if digest, err := remote.Head(t.Context(), "registry.example", "team/app", tag); err != nil || digest != image.Digest() {
			t.Errorf("head %s: %s, %v; want %s", tag, digest, err, image.Digest())
		}
	}
	tags, err := remote.Tags(t.Context(), "registry.example", "team/app")
	if err != nil || len(tags) != len(images) || !slices.Contains(tags, sigTag) {
		t.Errorf("tags: %q, %v", tags, err)
	}
	if content, ok := docker.File("app"); !ok || content != "new" {
		t.Errorf("file app: %q, %t; want that of the upper layer", content, ok)
	}
	if run, err := docker.Run(); err != nil || !slices.Equal(run.Cmd, []string{"/app"}) {
		t.Errorf("run configuration: %+v, %v", run, err)
	}
}

// A layer goes in one PUT, and one that is there already is not sent again.
func TestPushRequests(t *testing.T) {
	t.Parallel()
	remote, seen := plain(t)
	image := oci.Build(oci.Spec{})
	if err := remote.Push(t.Context(), "registry.example", "team/app", "v1", image); err != nil {
		t.Fatal(err)
	}
	want := []string{"HEAD blobs", "POST blobs", "PUT blobs", "HEAD blobs", "POST blobs", "PUT blobs", "PUT manifests"}
	if !slices.Equal(*seen, want) {
		t.Errorf("first push: %q, want %q", *seen, want)
	}
	*seen = nil
	if err := remote.Push(t.Context(), "registry.example", "team/app", "v2", image); err != nil {
		t.Fatal(err)
	}
	if want := []string{"HEAD blobs", "HEAD blobs", "PUT manifests"}; !slices.Equal(*seen, want) {
		t.Errorf("second push: %q, want %q", *seen, want)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	remote, _ := plain(t)
	_, err := remote.Pull(t.Context(), "registry.example", "team/app", "none")
	if e, ok := errors.AsType[*oci.Error](err); !ok || e.Status != 404 || e.Code != "MANIFEST_UNKNOWN" {
		t.Errorf("pull of a missing tag: %v", err)
	}
	_, err = remote.Head(t.Context(), "registry.example", "team/app", "none")
	if e, ok := errors.AsType[*oci.Error](err); !ok || e.Code != "MANIFEST_UNKNOWN" {
		t.Errorf("head of a missing tag: %v", err)
	}
	if _, err = remote.Head(t.Context(), "elsewhere.example", "team/app", "none"); err == nil || !strings.Contains(err.Error(), "no such host") {
		t.Errorf("unknown host: %v", err)
	}
}
