package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/registry"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oldregistry"
)

// seen counts the requests of a client by route and status.
type seen struct {
	mu     sync.Mutex
	counts map[string]int
}

func (s *seen) observe(method, route string, status int, _ time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts == nil {
		s.counts = make(map[string]int)
	}
	s.counts[fmt.Sprintf("%s %s %d", method, route, status)]++
}

func (s *seen) of(prefix string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, v := range s.counts {
		if strings.HasPrefix(k, prefix) {
			n += v
		}
	}
	return n
}

func (s *seen) withStatus(status int) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, v := range s.counts {
		if strings.HasSuffix(k, fmt.Sprint(" ", status)) {
			n += v
		}
	}
	return n
}

// old starts the old registry and returns it with a way to push into it.
func old(t *testing.T) (*oldregistry.Server, func(repository, reference string, image oci.Image)) {
	t.Helper()
	server, err := oldregistry.Start(oldregistry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	user, password := server.Pipeline("group/app")
	server.Grant("group/app", "public/kart")
	remote := oci.Remote{
		Locate:      func(string) (string, bool) { return server.URL, true },
		Credentials: func(string) (string, string, bool) { return user, password, true },
	}
	return server, func(repository, reference string, image oci.Image) {
		t.Helper()
		if err := remote.Push(t.Context(), server.Name, repository, reference, image); err != nil {
			t.Fatal(err)
		}
	}
}

func client(t *testing.T, o registry.Options) *registry.Client {
	t.Helper()
	if o.Delay == 0 {
		o.Delay = time.Millisecond
	}
	c, err := registry.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestReadsTheOldRegistry(t *testing.T) {
	t.Parallel()
	server, push := old(t)
	amd := oci.Build(oci.Spec{Docker: true, Layers: []oci.Layer{{"a": "1"}}})
	arm := oci.Build(oci.Spec{Docker: true, Platform: "linux/arm64", Layers: []oci.Layer{{"a": "1"}, {"b": "2"}}})
	both := oci.Index(amd, arm)
	var want []string
	for i := range 45 {
		want = append(want, fmt.Sprintf("t%02d", i))
		push("group/app-api", want[i], amd)
	}
	push("group/app", "both", both)
	push("public/kart", "1", amd)

	var s seen
	user, password := server.Worker()
	c := client(t, registry.Options{Name: server.Name, URL: server.URL, User: user, Password: password, Observe: s.observe})

	var repositories []string
	for name, err := range c.Repositories(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		repositories = append(repositories, name)
	}
	if !slices.Equal(repositories, []string{"group/app", "group/app-api", "public/kart"}) {
		t.Errorf("repositories: %v", repositories)
	}
	got, err := c.Tags(t.Context(), "group/app-api")
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("tags: %v, %v", got, err)
	}
	d, err := c.Head(t.Context(), "group/app", "both")
	if err != nil || d.Digest != both.Digest() || d.MediaType != both.MediaType || d.Size != int64(len(both.Manifest)) {
		t.Errorf("head: %+v, %v", d, err)
	}
	m, err := c.Manifest(t.Context(), "group/app", "both")
	if err != nil || !bytes.Equal(m.Body, both.Manifest) || m.Kind != registry.KindIndex || len(m.Children) != 2 || m.Children[1].Platform != "linux/arm64" {
		t.Fatalf("manifest: %+v, %v", m, err)
	}
	child, err := c.Manifest(t.Context(), "group/app", m.Children[1].Digest)
	if err != nil || child.Kind != registry.KindImage || len(child.Layers) != 2 || child.Config == nil {
		t.Fatalf("child: %+v, %v", child, err)
	}
	for _, layer := range child.Layers {
		body, err := c.Small(t.Context(), "group/app", layer, 1<<20)
		if err != nil || !bytes.Equal(body, arm.Blobs[layer.Digest]) {
			t.Errorf("layer: %d bytes, %v", len(body), err)
		}
	}
	if _, err := c.Referrers(t.Context(), "group/app", both.Digest()); !errors.Is(err, registry.ErrNoReferrers) {
		t.Errorf("referrers of a registry without that API: %v", err)
	}
	// The first request learns where tokens come from; from then on each
	// repository costs one token and no refusal.
	if n := s.withStatus(401); n != 1 {
		t.Errorf("%d refused requests, want 1: %v", n, s.counts)
	}
	if n := s.of("GET token 200"); n != 3 {
		t.Errorf("%d tokens, want 3: %v", n, s.counts)
	}
	if n := s.of("GET tags/list 200"); n != 3 {
		t.Errorf("%d pages of tags, want 3", n)
	}
}

func TestAbsence(t *testing.T) {
	t.Parallel()
	server, push := old(t)
	push("group/app", "1", oci.Build(oci.Spec{}))
	user, password := server.Worker()
	c := client(t, registry.Options{Name: server.Name, URL: server.URL, User: user, Password: password})
	tests := map[string]struct {
		act    func() error
		reason string
	}{
		"tag":        {func() error { _, err := c.Head(t.Context(), "group/app", "2"); return err }, "manifest-unknown"},
		"manifest":   {func() error { _, err := c.Manifest(t.Context(), "group/app", "2"); return err }, "manifest-unknown"},
		"repository": {func() error { _, err := c.Tags(t.Context(), "group/none"); return err }, "repository-unknown"},
		"blob": {func() error {
			_, err := c.Blob(t.Context(), "group/app", registry.Descriptor{Digest: oci.Digest([]byte("none")), Size: 4})
			return err
		}, "blob-unknown"},
	}
	for name, tt := range tests {
		err := tt.act()
		if !errors.Is(err, registry.ErrNotFound) || fault.ReasonOf(err) != tt.reason || fault.ClassOf(err) != fault.Permanent {
			t.Errorf("%s: %v (%s, %s)", name, err, fault.ClassOf(err), fault.ReasonOf(err))
		}
	}
}

func TestLogins(t *testing.T) {
	t.Parallel()
	server, push := old(t)
	image := oci.Build(oci.Spec{})
	push("group/app", "1", image)
	push("public/kart", "1", image)

	wrong := client(t, registry.Options{Name: server.Name, URL: server.URL, User: "worker", Password: "hunter2"})
	_, err := wrong.Tags(t.Context(), "group/app")
	if fault.ReasonOf(err) != "registry-denied" || fault.ClassOf(err) != fault.Attention || fault.RemedyOf(err) == "" {
		t.Errorf("wrong password: %v (%s, %s)", err, fault.ClassOf(err), fault.ReasonOf(err))
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error tells the password: %v", err)
	}

	anonymous := client(t, registry.Options{Name: server.Name, URL: server.URL})
	if tags, err := anonymous.Tags(t.Context(), "public/kart"); err != nil || len(tags) != 1 {
		t.Errorf("public repository without a login: %v, %v", tags, err)
	}
	if _, err := anonymous.Tags(t.Context(), "group/app"); fault.ReasonOf(err) != "registry-denied" {
		t.Errorf("private repository without a login: %v", err)
	}

	// A user who may read but not write.
	user, password := server.Worker()
	reader := client(t, registry.Options{Name: server.Name, URL: server.URL, User: user, Password: password})
	body := []byte("x")
	err = reader.PushBlob(t.Context(), "group/app", registry.Descriptor{Digest: oci.Digest(body), Size: 1}, bytes.NewReader(body))
	if fault.ReasonOf(err) != "registry-denied" {
		t.Errorf("push without permission: %v", err)
	}
}

func TestWritesByteForByte(t *testing.T) {
	t.Parallel()
	server, _ := old(t)
	user, password := server.Pipeline("group/app")
	var s seen
	c := client(t, registry.Options{Name: server.Name, URL: server.URL, User: user, Password: password, Observe: s.observe})
	image := oci.Build(oci.Spec{Layers: []oci.Layer{{"a": "1"}}})
	for digest, body := range image.Blobs {
		if err := c.PushBlob(t.Context(), "group/app", registry.Descriptor{Digest: digest, Size: int64(len(body))}, io.LimitReader(bytes.NewReader(body), 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	empty := registry.Descriptor{Digest: oci.Digest(nil)}
	if err := c.PushBlob(t.Context(), "group/app", empty, bytes.NewReader(nil)); err != nil {
		t.Errorf("empty blob: %v", err)
	}
	m := registry.ParseManifest(image.MediaType, image.Manifest)
	if err := c.PutManifest(t.Context(), "group/app", "1", m); err != nil {
		t.Fatal(err)
	}
	got, err := c.Manifest(t.Context(), "group/app", "1")
	if err != nil || !bytes.Equal(got.Body, image.Manifest) {
		t.Errorf("read back: %v", err)
	}
	if n := s.of("PATCH"); n > 0 {
		t.Errorf("%d chunked uploads", n)
	}
	if n := s.of("PUT blobs/uploads/put"); n != 3 {
		t.Errorf("%d PUTs of blobs, want 3: %v", n, s.counts)
	}

	missing := oci.Build(oci.Spec{Layers: []oci.Layer{{"never": "sent"}}})
	err = c.PutManifest(t.Context(), "group/app", "2", registry.ParseManifest(missing.MediaType, missing.Manifest))
	if !errors.Is(err, registry.ErrBlobMissing) {
		t.Errorf("manifest without its blobs: %v", err)
	}
	err = c.PushBlob(t.Context(), "group/app", registry.Descriptor{Digest: oci.Digest([]byte("a")), Size: 1}, strings.NewReader("b"))
	if fault.ReasonOf(err) != "blob-refused" {
		t.Errorf("blob with another content: %v (%s)", err, fault.ReasonOf(err))
	}
}

func TestCancelIsPrompt(t *testing.T) {
	t.Parallel()
	server, push := old(t)
	push("group/app", "1", oci.Build(oci.Spec{}))
	hold := make(chan struct{})
	server.Inject(func(r *http.Request) (int, string, bool) {
		if strings.HasSuffix(r.URL.Path, "/tags/list") {
			<-hold
		}
		return 0, "", false
	})
	t.Cleanup(func() { close(hold) })
	user, password := server.Worker()
	c := client(t, registry.Options{Name: server.Name, URL: server.URL, User: user, Password: password})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := c.Tags(ctx, "group/app"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("took %v", d)
	}
}
