package distribution_test

import (
	"net/http/httptest"
	"slices"
	"testing"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci/distribution"
)

// Names that occur twice in a path are where Distribution's own in-memory
// driver goes wrong.
func TestNames(t *testing.T) {
	t.Parallel()
	for name, dir := range map[string]string{"memory": "", "filesystem": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			registry, err := distribution.New(distribution.Options{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			defer registry.Close() //nolint:errcheck // nothing to lose
			server := httptest.NewServer(registry)
			defer server.Close()
			remote := oci.Remote{Locate: func(string) (string, bool) { return server.URL, true }}
			image := oci.Build(oci.Spec{})
			tags := []string{"app", "docker", "index", "latest", "tags"}
			for _, repository := range []string{"app", "app/app", "docker"} {
				for _, tag := range tags {
					if err := remote.Push(t.Context(), "r", repository, tag, image); err != nil {
						t.Fatal(err)
					}
				}
			}
			for _, repository := range []string{"app", "app/app", "docker"} {
				if got, err := remote.Tags(t.Context(), "r", repository); err != nil || !slices.Equal(got, tags) {
					t.Errorf("tags of %s: %q, %v; want %q", repository, got, err, tags)
				}
				if got, err := remote.Pull(t.Context(), "r", repository, "tags"); err != nil || got.Digest() != image.Digest() {
					t.Errorf("pull %s: %s, %v", repository, got.Digest(), err)
				}
			}
		})
	}
}

func TestBadOptions(t *testing.T) {
	t.Parallel()
	if _, err := distribution.New(distribution.Options{Auth: "nobody-registered-this"}); err == nil {
		t.Error("an unknown access controller is no error")
	}
}
