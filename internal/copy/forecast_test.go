package copy_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"gitlab.sikt.no/platon/ecrferry/internal/copy"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
)

// asked is what the two stand-ins have counted so far.
func (w *world) asked() copy.Requests {
	old, aws := w.old.Requests(), w.ecr.Requests()
	return copy.Requests{
		SourceTokens: old["GET token"], SourceTags: old["GET tags/list"], SourceManifests: old["GET manifests"], SourceHeads: old["HEAD manifests"] + old["HEAD blobs"],
		SourceReferrers: old["GET referrers"], BlobReads: old["GET blobs"],
		GetAuthorizationToken: aws["GetAuthorizationToken"], GetAccountSetting: aws["GetAccountSetting"], DescribeImages: aws["DescribeImages"],
		BatchCheckLayerAvailability: aws["BatchCheckLayerAvailability"],
		InitiateLayerUpload:         aws["InitiateLayerUpload"], CompleteLayerUpload: aws["CompleteLayerUpload"], PutImage: aws["PutImage"],
	}
}

// total is every request of both, of whatever kind.
func (w *world) total() (n int) {
	for _, counts := range []map[string]int{w.old.Requests(), w.ecr.Requests()} {
		for _, c := range counts {
			n += c
		}
	}
	return n
}

func sum(a, b copy.Requests, sign int) copy.Requests {
	return copy.Requests{
		SourceTokens: a.SourceTokens + sign*b.SourceTokens, SourceTags: a.SourceTags + sign*b.SourceTags, SourceManifests: a.SourceManifests + sign*b.SourceManifests,
		SourceHeads: a.SourceHeads + sign*b.SourceHeads, SourceReferrers: a.SourceReferrers + sign*b.SourceReferrers, BlobReads: a.BlobReads + sign*b.BlobReads,
		GetAuthorizationToken: a.GetAuthorizationToken + sign*b.GetAuthorizationToken, GetAccountSetting: a.GetAccountSetting + sign*b.GetAccountSetting,
		DescribeImages: a.DescribeImages + sign*b.DescribeImages, BatchCheckLayerAvailability: a.BatchCheckLayerAvailability + sign*b.BatchCheckLayerAvailability,
		InitiateLayerUpload: a.InitiateLayerUpload + sign*b.InitiateLayerUpload, CompleteLayerUpload: a.CompleteLayerUpload + sign*b.CompleteLayerUpload, PutImage: a.PutImage + sign*b.PutImage,
	}
}

// bargain plans and executes, and holds what the forecast says against what the
// stand-ins have counted, to the last request and byte. There is no kind of request
// that is not in it.
func (w *world) bargain(what string, e *copy.Engine, moved *atomic.Int64, r copy.Request) copy.Plan {
	w.t.Helper()
	before, all := w.asked(), w.total()
	moved.Store(0)
	plan := w.plan(e, r)
	f := plan.Forecast
	if got := sum(w.asked(), before, -1); !r.Soon && got != f.Planning {
		w.t.Errorf("%s: planning says that it made\n%+v\nand made\n%+v", what, f.Planning, got)
	}
	if _, err := w.execute(e, plan); err != nil {
		w.t.Fatalf("%s: %v", what, err)
	}
	if got, want := sum(w.asked(), before, -1), sum(f.Planning, f.Requests, 1); got != want {
		w.t.Errorf("%s: planned\n%+v\nand made\n%+v", what, want, got)
	}
	if got, want := w.total()-all, f.Planning.Source()+f.Planning.Target()+f.Requests.Source()+f.Requests.Target(); got != want {
		w.t.Errorf("%s: %d requests of all kinds, planned were %d: %v %v", what, got, want, w.old.Requests(), w.ecr.Requests())
	}
	if got := moved.Load(); got != f.Bytes {
		w.t.Errorf("%s: %d bytes moved, %d planned", what, got, f.Bytes)
	}
	return plan
}

// counting is an engine as a freshly started worker has it, and the bytes it moved.
func (w *world) counting() (*copy.Engine, *atomic.Int64) {
	o := w.options()
	moved := &atomic.Int64{}
	o.Moved = func(n int64) { moved.Add(n) }
	return copy.New(o), moved
}

// fill pushes a project with everything that has a price of its own.
func (w *world) fill() {
	w.t.Helper()
	base := oci.Layer{"base": "the same for all"}
	for n := range 52 {
		w.push("group/app", fmt.Sprint("v", n), number(n))
	}
	w.push("group/app", "alias", number(3))
	w.push("group/app-api", "also", number(3)) // the same image under another name
	amd := number(201)
	arm := oci.Build(oci.Spec{Platform: "linux/arm64", Layers: []oci.Layer{base, {"n": "arm"}}})
	w.push("group/app-api", "multi", oci.Index(amd, arm, oci.Attestation(amd)))
	tag, signature := oci.Signature(number(3))
	w.push("group/app", tag, signature)
	tag, signature = oci.Signature(arm)
	w.push("group/app-api", tag, signature)
	tag, signature = oci.Signature(number(999)) // of nothing
	w.push("group/app", tag, signature)
	w.push("group/app-api", oci.DigestTag(number(4), ""), oci.Index(oci.Referrer(number(4), "application/spdx+json", []byte(`{"spdx":1}`))))
}

func TestForecastIsRight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fill()
	e, moved := w.counting()
	plan := w.bargain("first copy", e, moved, request())
	if f := plan.Forecast; f.Blobs == 0 || f.Requests.GetAuthorizationToken != 1 || f.Planning.SourceManifests == 0 || f.Planning.BatchCheckLayerAvailability < 2 {
		t.Errorf("this test shows nothing: %+v", f)
	}
	e, moved = w.counting()
	plan = w.bargain("nothing to do, all compared", e, moved, request())
	if f := plan.Forecast; f.Requests != (copy.Requests{}) || f.Planning.SourceHeads == 0 || f.Bytes != 0 {
		t.Errorf("nothing to do: %+v", f)
	}
	trusting := request()
	trusting.Trust = true
	e, moved = w.counting()
	if f := w.bargain("nothing to do, trusting", e, moved, trusting).Forecast; f.Requests != (copy.Requests{}) || f.Planning.SourceHeads != 0 {
		t.Errorf("nothing to do: %+v", f)
	}
	for n := range 5 {
		w.push("group/app", fmt.Sprint("new", n), number(300+n))
	}
	w.push("group/app", "old-by-new-name", number(5))
	w.push("group/app", "v2", number(400)) // moves: a conflict
	e, moved = w.counting()
	if f := w.bargain("some new", e, moved, request()).Forecast; f.Count[copy.Conflict] != 1 || f.Manifests != 6 {
		t.Errorf("some new: %+v", f)
	}
	// The same engine knows its logins, and that there is no referrers API.
	w.push("group/app-api", "newer", number(500))
	if f := w.bargain("a second time", e, moved, trusting).Forecast; f.Planning.SourceReferrers != 0 || f.Requests.GetAuthorizationToken != 0 || f.Manifests != 1 {
		t.Errorf("a second time: %+v", f)
	}
}

func TestForecastOfBlobsSentAhead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fill()
	r := request()
	r.Soon = true
	e, moved := w.counting()
	w.bargain("first copy", e, moved, r)
	e, moved = w.counting()
	w.bargain("nothing to do", e, moved, r)
	for n := range 45 {
		w.push("group/app", fmt.Sprint("new", n), number(300+n))
	}
	e, moved = w.counting()
	w.bargain("some new", e, moved, r)
}

func TestForecastOfPairs(t *testing.T) {
	t.Parallel()
	for _, soon := range []bool{false, true} {
		w := newWorld(t)
		w.fill()
		r := copy.Request{Target: target, Soon: soon, Pairs: []copy.Pair{
			{Repository: "group/app", Tag: "v1", TargetTag: "one"}, {Repository: "group/app", Tag: "v1", TargetTag: "uno"},
			{Repository: "group/app-api", Tag: "multi", TargetTag: "multi"}, {Repository: "group/app", Digest: number(3).Digest()},
			{Repository: "group/app", Tag: "v4", Digest: number(4).Digest(), TargetTag: "four"}, {Repository: "group/app", Tag: "none", TargetTag: "none"},
		}}
		e, moved := w.counting()
		w.bargain("pairs", e, moved, r)
		e, moved = w.counting()
		w.bargain("pairs again", e, moved, r)
	}
}

// TestForecastOfReferrers: the API of the old registry names them.
func TestForecastOfReferrers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	image := w.push("group/app", "1", number(1))
	w.push("group/app", "2", number(2))
	sbom := oci.Referrer(image, "application/spdx+json", []byte(`{}`))
	w.push("group/app", "", sbom)
	w.old.Inject(answering(map[string]string{
		"/referrers/" + image.Digest(): string(oci.Index(sbom).Manifest), "/referrers/": `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`,
	}))
	e, moved := w.counting()
	// What something refers to is written by digest before it gets its tag.
	if f := w.bargain("first copy", e, moved, request()).Forecast; f.Planning.SourceReferrers != 3 || f.Manifests != 4 {
		t.Errorf("%+v", f)
	}
	e, moved = w.counting()
	w.bargain("nothing to do", e, moved, request())
}

// TestForecastOfAPolicy: to rank images their configurations are read, which
// executing reads again.
func TestForecastOfAPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fill()
	r := request()
	r.Policy = copy.Policy{InUse: true, Newest: 5, Exclude: []string{"v3?"}}
	r.InUse = map[string]string{"group/app:v1": "runs", "group/app:lost": "runs", "group/app-api@" + number(201).Digest(): "runs"}
	r.Moving = func(tag string) string { return map[string]string{"v40": "moves"}[tag] }
	e, moved := w.counting()
	if f := w.bargain("ranked", e, moved, r).Forecast; f.Planning.BlobReads == 0 || f.Count[copy.LeftOut] == 0 || f.Count[copy.Gone] != 1 {
		t.Errorf("%+v", f)
	}
	r.Known = map[string]string{"group/app:v1": number(1).Digest()}
	e, moved = w.counting()
	w.bargain("ranked again", e, moved, r)
}

// TestForecastOfMounts: what another repository of ours has is taken over, where
// the account allows it, without a byte.
func TestForecastOfMounts(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"ENABLED", "DISABLED"} {
		for _, soon := range []bool{false, true} {
			w := newWorld(t)
			w.fill()
			w.set("BLOB_MOUNTING", value)
			if _, err := w.ecr.CreateRepository("group/other"); err != nil {
				t.Fatal(err)
			}
			e, moved := w.counting()
			w.bargain("first copy", e, moved, request())
			w.push("group/app", "more", number(600))
			r := request()
			r.Target, r.Soon = "group/other", soon
			f := w.bargain(fmt.Sprintf("to another repository, mounting %s, soon %v", value, soon), e, moved, r).Forecast
			// One layer and config are of no image that the first repository has.
			if f.Planning.GetAccountSetting != 1 || (value == "ENABLED") != (f.Mounts > 0) || value == "ENABLED" && f.Blobs != 2 {
				t.Errorf("mounting %s: %+v", value, f)
			}
		}
	}
}

// answering makes a function for Inject that answers GETs by the end or the middle
// of their paths, the longest match first.
func answering(bodies map[string]string) func(*http.Request) (int, string, bool) {
	return func(r *http.Request) (int, string, bool) {
		best := ""
		for part := range bodies {
			if strings.Contains(r.URL.Path, part) && len(part) > len(best) {
				best = part
			}
		}
		return 200, bodies[best], best != ""
	}
}
