package copy_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"gitlab.sikt.no/platon/ecrferry/internal/copy"
	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/registry"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
)

// pairs are lines of a map from group/app, by tag.
func pairs(tags ...string) (r copy.Request) {
	r.Target, r.Trust, r.Soon = target, true, true
	for _, tag := range tags {
		r.Pairs = append(r.Pairs, copy.Pair{Repository: "group/app", Tag: tag, TargetTag: tag})
	}
	return r
}

// What the old registry does not give of some images, by a refusal for their
// repository or because their manifests cannot be read, is told at the end; all
// else is copied.
func TestPairsThatCannotBeReadHoldNothingUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var tags []string
	for n := range 20 {
		tags = append(tags, fmt.Sprint("t", n))
		w.push("group/app", tags[n], number(n))
	}
	amd, lost := number(100), number(101)
	w.push("group/app", "multi", oci.Index(amd, lost))
	r := pairs(append(tags, "multi")...)
	r.Pairs = append(r.Pairs,
		copy.Pair{Repository: "group/secret", Tag: "1", TargetTag: "secret"},
		copy.Pair{Repository: "group/app", Tag: "t0", TargetTag: "contested"},
		copy.Pair{Repository: "group/app", Tag: "t3", TargetTag: "contested"},
		copy.Pair{Repository: "group/app", Digest: number(5).Digest()},
	)
	ask := func(r *http.Request) (int, string, bool) {
		for _, end := range []string{"/manifests/t3", "/manifests/" + lost.Digest()} {
			if strings.HasSuffix(r.URL.Path, end) {
				return 500, `{"errors":[{"code":"UNKNOWN","message":"unknown error"}]}`, true
			}
		}
		if strings.Contains(r.URL.Path, "group/secret/") {
			return 403, `{"errors":[{"code":"DENIED","message":"access forbidden"}]}`, true
		}
		return 0, "", false
	}
	w.old.Inject(ask)
	e := w.engine()
	plan := w.plan(e, r)
	rows, err := w.execute(e, plan)
	if fault.ClassOf(err) != fault.Transient || fault.ReasonOf(err) != "old-registry-unavailable" {
		t.Errorf("%v (%s)", err, fault.ReasonOf(err))
	}
	got := make(map[string]copy.State)
	for _, i := range plan.Images {
		got[i.TargetTag] = i.State
	}
	for tag, state := range map[string]copy.State{"secret": copy.Failed, "t3": copy.Failed, "multi": copy.Failed, "contested": copy.Failed, "t0": copy.Planned} {
		if got[tag] != state {
			t.Errorf("%s: %s, want %s", tag, got[tag], state)
		}
	}
	want(t, rows, map[string]string{
		"group/secret:1": "failed: registry-denied", "group/app:multi": "failed: " + lost.Digest(), "group/app:t1": "copied", "group/app:t19": "copied",
	})
	if len(w.tags()) != 19 {
		t.Errorf("%d tags at the target: %v", len(w.tags()), w.tags())
	}

	// When the storage can be read again, the rest follows; only the refusal stays.
	w.old.Inject(func(r *http.Request) (int, string, bool) {
		if strings.Contains(r.URL.Path, "group/secret/") {
			return ask(r)
		}
		return 0, "", false
	})
	e = w.engine()
	plan = w.plan(e, r)
	if _, err = w.execute(e, plan); fault.ClassOf(err) != fault.Attention {
		t.Errorf("%v (%s)", err, fault.ReasonOf(err))
	}
	w.same("multi", oci.Index(amd, lost))
	if len(w.tags()) != 21 { // what is contested stays so
		t.Errorf("%d tags at the target: %v", len(w.tags()), w.tags())
	}
}

// A registry that is down is not asked for each of thousands of images.
func TestPairsOfARegistryThatIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var tags []string
	for n := range 500 {
		tags = append(tags, fmt.Sprint("t", n))
	}
	asked := 0
	w.old.Inject(func(*http.Request) (int, string, bool) {
		w.mu.Lock()
		defer w.mu.Unlock()
		asked++
		return 503, "", true
	})
	plan := w.plan(w.engine(), pairs(tags...))
	if plan.Err() == nil || plan.Forecast.Count[copy.Failed] != len(tags) {
		t.Errorf("%v, %v", plan.Err(), plan.Forecast.Count)
	}
	if asked > 200 {
		t.Errorf("asked %d times", asked)
	}
}

// What goes to the target by digest and is there costs nothing but the look.
func TestPairsByDigestThatAreThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := copy.Request{Target: target, Trust: true, Soon: true}
	for n := range 5 {
		image := w.push("group/app", fmt.Sprint("t", n), number(n))
		r.Pairs = append(r.Pairs, copy.Pair{Repository: "group/app", Digest: image.Digest()})
	}
	w.run(w.engine(), r)
	plan := w.plan(w.engine(), r)
	if plan.Forecast.Count[copy.Present] != 5 || len(w.requests)+len(w.written) > 0 {
		t.Errorf("%v, asked %v and %v", plan.Forecast.Count, w.requests, w.written)
	}
}

// A referrers API that fails for one image fails that image: its signatures
// would not be asked for again.
func TestReferrersThatCannotBeFoundOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for n := range 5 {
		w.push("group/app", fmt.Sprint("t", n), number(n))
	}
	w.old.Inject(func(r *http.Request) (int, string, bool) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/referrers/"+number(3).Digest()):
			return 500, "", true
		case strings.Contains(r.URL.Path, "/referrers/"):
			return 200, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`, true
		}
		return 0, "", false
	})
	e := w.engine()
	rows, err := w.execute(e, w.plan(e, pairs("t0", "t1", "t2", "t3", "t4")))
	if fault.ClassOf(err) != fault.Transient {
		t.Errorf("%v", err)
	}
	want(t, rows, map[string]string{"group/app:t0": "copied", "group/app:t3": "failed: referrers", "group/app:t4": "copied"})
}

// A registry that answers every address with a page of its own has no API for
// referrers.
func TestAPageInsteadOfReferrers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push("group/app", "1", number(1))
	w.answer("GET", "/referrers/"+number(1).Digest(), 200, "<!doctype html><title>Registry</title>")
	want(t, w.run(w.engine(), pairs("1")), map[string]string{"group/app:1": "copied"})
	w.answer("GET", "/referrers/"+number(1).Digest(), 200, string(number(1).Manifest))
	if _, err := w.options().Source.Referrers(t.Context(), "group/app", number(1).Digest()); !errors.Is(err, registry.ErrNoReferrers) {
		t.Errorf("%v", err)
	}
}
