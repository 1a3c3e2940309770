package copy_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/copy"
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

func digests(i oci.Image) (list []string) {
	for d := range i.Blobs {
		list = append(list, d)
	}
	return list
}
