package copy_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/copy"
	"gitlab.sikt.no/platon/ecrferry/internal/registry"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
)

// An image is not at the target before what is about it is there: of a copy that
// was killed in between, the next one, which takes a tag for done, would not ask
// for the signatures again.
func TestAKillLosesNoReferrer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	image := w.push("group/app", "1", number(1))
	sbom := oci.Referrer(image, "application/spdx+json", []byte(`{"about":"one"}`))
	w.push("group/app", "", sbom)
	lastBlob := ""
	for d := range sbom.Blobs {
		if !slices.Contains(digests(image), d) {
			lastBlob = d
		}
	}
	ctx, kill := context.WithCancel(t.Context())
	var killed atomic.Bool
	w.old.Inject(func(r *http.Request) (int, string, bool) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/referrers/"+image.Digest()):
			return 200, string(oci.Index(sbom).Manifest), true
		case strings.HasSuffix(r.URL.Path, "/blobs/"+lastBlob) && !killed.Swap(true):
			// All else has the time to arrive.
			for w.wrote("PUT blobs/uploads/put 201") < len(image.Blobs) {
				time.Sleep(time.Millisecond)
			}
			kill()
		}
		return 0, "", false
	})
	r := request()
	r.Trust = true
	e := w.engine()
	if err := e.Execute(ctx, w.plan(e, r), nil); err == nil {
		t.Fatal("the copy was not killed")
	}
	if got := w.tags(); len(got) > 0 {
		t.Errorf("the image shows without what is about it: %v", got)
	}
	rows := w.run(w.engine(), r)
	want(t, rows, map[string]string{"group/app:1": "copied", "group/app@" + sbom.Digest(): "copied"})
	w.same("1", image)
	w.same(sbom.Digest(), sbom)
}

// A referrer that the old registry has lost does not hold its image back.
func TestALostReferrerHoldsNothingBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	image := w.push("group/app", "1", number(1))
	lost := oci.Referrer(image, "application/spdx+json", []byte(`{"about":"lost"}`))
	damaged := oci.Referrer(image, "application/spdx+json", []byte(`{"about":"damaged"}`))
	w.push("group/app", "", damaged)
	w.old.Inject(func(r *http.Request) (int, string, bool) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/referrers/"+image.Digest()):
			return 200, string(oci.Index(lost, damaged).Manifest), true
		case strings.Contains(r.URL.Path, "/blobs/") && !slices.Contains(digests(image), r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]):
			return 404, `{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown to registry"}]}`, true
		}
		return 0, "", false
	})
	want(t, w.run(w.engine(), request()), map[string]string{
		"group/app:1":                   string(copy.Copied),
		"group/app@" + lost.Digest():    string(copy.Gone),
		"group/app@" + damaged.Digest(): string(copy.Invalid) + ": blob",
	})
	w.same("1", image)
}

// writes records what an engine writes into the target's door, in order.
type writes struct {
	inner http.RoundTripper
	mu    sync.Mutex
	list  []string
}

func (w *writes) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.inner.RoundTrip(r)
	if _, reference, ok := strings.Cut(r.URL.Path, "/manifests/"); ok && err == nil && r.Method == http.MethodPut && resp.StatusCode == http.StatusCreated {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.list = append(w.list, reference)
	}
	return resp, err
}

// A referrer follows its subject, and the subject's tag follows the referrer; what
// is about that in turn comes before the tag too. The forecast knows the write
// that this costs. An index that is about an image and holds it waits for nothing
// that waits for it.
func TestReferrersComeBetweenImageAndTag(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	image := w.push("group/app", "1", number(1))
	sbom := w.push("group/app", "", oci.Referrer(image, "application/spdx+json", []byte(`{"about":"image"}`)))
	seal := w.push("group/app", "", oci.Referrer(sbom, "application/seal", []byte(`{"about":"sbom"}`)))
	knot := oci.Index(image)
	knot.Manifest = []byte(strings.Replace(string(knot.Manifest), "{", fmt.Sprintf(`{"subject":{"mediaType":%q,"digest":%q,"size":%d},`, image.MediaType, image.Digest(), len(image.Manifest)), 1))
	w.push("group/app", "", knot)
	w.old.Inject(func(r *http.Request) (int, string, bool) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/referrers/"+image.Digest()):
			return 200, string(oci.Index(sbom, knot).Manifest), true
		case strings.HasSuffix(r.URL.Path, "/referrers/"+sbom.Digest()):
			return 200, string(oci.Index(seal).Manifest), true
		}
		return 0, "", false
	})
	o := w.options()
	var door writes
	target, err := registry.New(registry.Options{
		Name: w.ecr.Registry, URL: w.ecr.URL, Credentials: o.ECR.Credentials, Refused: o.ECR.Refused,
		Around: func(inner http.RoundTripper) http.RoundTripper { door.inner = inner; return &door },
	})
	if err != nil {
		t.Fatal(err)
	}
	o.Target = target
	e := copy.New(o)
	plan := w.plan(e, request())
	rows, err := w.execute(e, plan)
	if err != nil {
		t.Fatal(err)
	}
	want(t, rows, map[string]string{
		"group/app:1": "copied", "group/app@" + sbom.Digest(): "copied", "group/app@" + seal.Digest(): "copied", "group/app@" + knot.Digest(): "copied",
	})
	if len(door.list) != plan.Forecast.Manifests {
		t.Errorf("%d writes, %d forecast: %v", len(door.list), plan.Forecast.Manifests, door.list)
	}
	order := []string{image.Digest(), sbom.Digest(), seal.Digest(), "1"}
	got := slices.DeleteFunc(slices.Clone(door.list), func(s string) bool { return s == knot.Digest() })
	if !slices.Equal(got, order) {
		t.Errorf("written in the order %v, want %v", got, order)
	}
}

func digests(i oci.Image) (list []string) {
	for d := range i.Blobs {
		list = append(list, d)
	}
	return list
}
