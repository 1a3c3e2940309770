package copy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"gitlab.sikt.no/platon/ecrferry/internal/copy"
	"gitlab.sikt.no/platon/ecrferry/internal/ecr"
	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/pace"
	"gitlab.sikt.no/platon/ecrferry/internal/registry"
	standin "gitlab.sikt.no/platon/ecrferry/internal/sandbox/ecr"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oldregistry"
)

func TestQuotaOfTenASecond(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, nil)
	for n := range 25 {
		// All on the same blobs, so that all manifests are ready at once.
		w.push("group/app", fmt.Sprint("t", n), oci.Build(oci.Spec{Annotations: map[string]string{"n": fmt.Sprint(n)}}))
	}
	o := w.options(paced("PutImage", pace.NewFixed(100))) // ten times too fast
	rows := w.run(copy.New(o), request())
	for k, r := range rows {
		if r.State != copy.Copied {
			t.Errorf("%s: %s (%s)", k, r.State, r.Reason)
		}
	}
	if len(w.tags()) != 25 {
		t.Errorf("%d tags", len(w.tags()))
	}
	if w.wrote("PUT manifests 429") == 0 {
		t.Error("the quota was never met: this test shows nothing")
	}
}

func TestThePaceKeepsWithinTheQuota(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, map[string]standin.Rate{"PutImage": {PerSecond: 10, Burst: 5}})
	for n := range 12 {
		w.push("group/app", fmt.Sprint("t", n), number(n))
	}
	o := w.options(paced("PutImage", pace.NewFixed(pace.PutImageQuota*0.98)))
	w.run(copy.New(o), request())
	if n := w.wrote("PUT manifests 429"); n > 0 || len(w.tags()) != 12 {
		t.Errorf("%d refusals, %d tags", n, len(w.tags()))
	}
}

func TestTokenExpiresMidCopy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for n := range 20 {
		w.push("group/app", fmt.Sprint("t", n), number(n))
	}
	e := w.engine()
	plan := w.plan(e, request())
	// Logins end again and again, faster than a wave of all streams goes through:
	// some blobs are refused several times in a row.
	var expiries atomic.Int32
	w.ecr.Inject(func(r *http.Request) (int, string, bool) {
		n := expiries.Load()
		if r.Method == http.MethodPut && w.wrote("PUT blobs/uploads/put 201") >= 8*int(n) && expiries.CompareAndSwap(n, n+1) {
			w.ecr.Expire()
		}
		return 0, "", false
	})
	rows, err := w.execute(e, plan)
	if err != nil {
		t.Fatal(err)
	}
	for k, r := range rows {
		if r.State != copy.Copied {
			t.Errorf("%s: %s (%s)", k, r.State, r.Reason)
		}
	}
	if n := w.ecr.Requests()["GetAuthorizationToken"]; n < 2 || n > 1+int(expiries.Load()) {
		t.Errorf("%d tokens for %d expiries", n, expiries.Load())
	}
	if expiries.Load() < 4 {
		t.Errorf("only %d expiries: this test shows little", expiries.Load())
	}
}

// A registry that lets an upload begin and then calls each login expired is
// given up, and the error says what it said.
func TestNoLoginIsGoodEnough(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push("group/app", "t", number(1))
	e := w.engine()
	plan := w.plan(e, request())
	var refusals atomic.Int32
	w.ecr.Inject(func(r *http.Request) (int, string, bool) {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/blobs/uploads/") {
			refusals.Add(1)
			w.ecr.Expire()
		}
		return 0, "", false
	})
	rows, err := w.execute(e, plan)
	if err == nil {
		for k, r := range rows {
			t.Errorf("%s: %s (%s)", k, r.State, r.Reason)
		}
	} else if fault.ReasonOf(err) != "ecr-token-expired" {
		t.Error(err)
	}
	if n := int(refusals.Load()); n > 30*plan.Forecast.Blobs {
		t.Errorf("%d refusals for %d blobs", n, plan.Forecast.Blobs)
	}
}

func TestKilledAndResumed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for n := range 20 {
		w.push("group/app", fmt.Sprint("t", n), number(n))
	}
	o := w.options()
	o.Streams = 4
	e := copy.New(o)
	plan := w.plan(e, request())
	ctx, cancel := context.WithCancel(t.Context())
	copied := 0
	err := e.Execute(ctx, plan, func(i copy.Image) {
		if copied++; copied == 3 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("killed: %v", err)
	}
	first := w.wrote("PUT blobs/uploads/put 201")
	if first == plan.Forecast.Blobs {
		t.Fatal("everything was there before the kill: this test shows nothing")
	}
	e = w.engine()
	rest := w.plan(e, request())
	if rest.Forecast.Blobs > plan.Forecast.Blobs-first || rest.Forecast.Blobs == 0 {
		t.Errorf("%d of %d blobs are planned again after %d had arrived", rest.Forecast.Blobs, plan.Forecast.Blobs, first)
	}
	rows, err := w.execute(e, rest)
	if err != nil {
		t.Fatal(err)
	}
	for k, r := range rows {
		if r.State != copy.Copied && r.State != copy.Present {
			t.Errorf("%s: %s (%s)", k, r.State, r.Reason)
		}
	}
	if n := w.wrote("PUT blobs/uploads/put 201"); n != rest.Forecast.Blobs {
		t.Errorf("%d blobs sent again, %d planned", n, rest.Forecast.Blobs)
	}
	if len(w.tags()) != 20 {
		t.Errorf("%d tags", len(w.tags()))
	}
}

func TestTwoWorkersAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for n := range 15 {
		w.push("group/app", fmt.Sprint("t", n), number(n))
	}
	var wait sync.WaitGroup
	for range 2 {
		e := copy.New(w.options())
		plan := w.plan(e, request())
		wait.Go(func() {
			rows, err := w.execute(e, plan)
			if err != nil {
				t.Error(err)
			}
			for k, r := range rows {
				if r.State != copy.Copied && r.State != copy.Present {
					t.Errorf("%s: %s (%s)", k, r.State, r.Reason)
				}
			}
		})
	}
	wait.Wait()
	for n := range 15 {
		w.same(fmt.Sprint("t", n), number(n))
	}
}

func TestWorldMovesOnAfterThePlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for n := range 4 {
		w.push("group/app", fmt.Sprint("t", n), number(n))
	}
	e := w.engine()
	plan := w.plan(e, request())
	w.push("group/app", "t0", number(100)) // the tag moves
	w.pushTarget("t1", number(1))          // somebody copies it before us
	w.pushTarget("t2", number(200))        // a pipeline takes the tag
	rows, err := w.execute(e, plan)
	if err != nil {
		t.Fatal(err)
	}
	want(t, rows, map[string]string{
		"group/app:t0": "copied", "group/app:t1": "present",
		"group/app:t2": "conflict: " + number(200).Digest(), "group/app:t3": "copied",
	})
	w.same("t0", number(0)) // what the plan said
	w.same("t2", number(200))
}

func TestLayerVanishesAtTheTarget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	image := w.push("group/app", "1", number(1))
	e := w.engine()
	plan := w.plan(e, request())
	for i := range plan.Blobs {
		plan.Blobs[i].There = true // was seen, and has been cleaned up since
	}
	rows, err := w.execute(e, plan)
	if err != nil {
		t.Fatal(err)
	}
	want(t, rows, map[string]string{"group/app:1": "copied"})
	w.same("1", image)
}

func TestSourceLies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bad := w.push("group/app", "bad", number(1))
	lost := w.push("group/app", "lost", number(3))
	w.push("group/app", "good", number(2))
	e := w.engine()
	plan := w.plan(e, request())
	own := func(image oci.Image) string {
		for _, m := range plan.Manifests {
			for _, b := range plan.Blobs {
				if m.Digest == image.Digest() && b.Shared == 1 && slices.Contains(m.Blobs, b.Digest) {
					return b.Digest
				}
			}
		}
		t.Fatal("no blob of its own")
		return ""
	}
	spoilt, gone := own(bad), own(lost)
	damaged := bytes.Clone(bad.Blobs[spoilt])
	damaged[len(damaged)/2] ^= 1
	w.old.Inject(func(r *http.Request) (int, string, bool) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/blobs/"+spoilt):
			return 200, string(damaged), true
		case strings.HasSuffix(r.URL.Path, "/blobs/"+gone):
			return 404, `{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown to registry"}]}`, true
		}
		return 0, "", false
	})
	rows, err := w.execute(e, plan)
	if err != nil {
		t.Fatal(err)
	}
	want(t, rows, map[string]string{
		"group/app:bad": "invalid: blob-corrupt", "group/app:lost": "invalid: blob-unknown", "group/app:good": "copied",
	})
	if got := w.tags(); len(got) != 1 {
		t.Errorf("an incomplete image is visible: %v", got)
	}
}

func TestWrongCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push("group/app", "1", number(1))

	o := w.options()
	o.Source, _ = registry.New(registry.Options{Name: w.old.Name, URL: w.old.URL, User: "worker", Password: "wrong"})
	_, err := copy.New(o).Plan(t.Context(), request())
	if fault.ReasonOf(err) != "registry-denied" || fault.ClassOf(err) != fault.Attention {
		t.Errorf("old registry: %v (%s)", err, fault.ReasonOf(err))
	}

	o = w.options()
	o.ECR, _ = ecr.New(t.Context(), ecr.Options{Region: "eu-north-1", Endpoint: w.ecr.URL, Credentials: credentials.NewStaticCredentialsProvider("AKIAWRONG", "wrong", "")})
	_, err = copy.New(o).Plan(t.Context(), request())
	if fault.ReasonOf(err) != "aws-credentials" || fault.ClassOf(err) != fault.Attention {
		t.Errorf("ECR: %v (%s)", err, fault.ReasonOf(err))
	}

	// A role that may look, but not push here.
	o = w.options()
	o.Target, _ = registry.New(registry.Options{Name: w.ecr.Registry, URL: w.ecr.URL, Credentials: func(context.Context) (string, string, error) {
		user, password := w.ecr.PipelineToken("group/else", "group/else")
		return user, password, nil
	}})
	e := copy.New(o)
	rows, err := w.execute(e, w.plan(e, request()))
	if fault.ReasonOf(err) != "registry-denied" || fault.ClassOf(err) != fault.Attention || !strings.Contains(err.Error(), "ecr:InitiateLayerUpload") {
		t.Errorf("door: %v (%s)", err, fault.ReasonOf(err))
	}
	want(t, rows, map[string]string{"group/app:1": "planned"})
}

func TestMissingRepository(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push("group/app", "1", number(1))
	r := request()
	r.Target = "group/none"
	e := w.engine()
	plan := w.plan(e, r) // looking ahead needs no repository
	want(t, byKey(plan.Images), map[string]string{"group/app:1": "planned"})
	rows, err := w.execute(e, plan)
	if fault.ReasonOf(err) != "ecr-repository-missing" || fault.ClassOf(err) != fault.Attention || fault.RemedyOf(err) == "" {
		t.Errorf("%v (%s)", err, fault.ReasonOf(err))
	}
	want(t, rows, map[string]string{"group/app:1": "planned"})
}

func TestTargetIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for n := range 30 {
		w.push("group/app", fmt.Sprint("t", n), number(n))
	}
	e := w.engine()
	plan := w.plan(e, request())
	w.ecr.Inject(func(*http.Request) (int, string, bool) { return 503, "", true })
	rows, err := w.execute(e, plan)
	if fault.ClassOf(err) != fault.Transient || fault.ReasonOf(err) != "ecr-unavailable" {
		t.Errorf("%v (%s)", err, fault.ReasonOf(err))
	}
	open := 0
	for _, r := range rows {
		if r.State == copy.Planned {
			open++
		}
	}
	if open < 20 {
		t.Errorf("only %d of 30 rows stay planned in an outage", open)
	}
	w.ecr.Inject(nil)
	for k, r := range w.run(w.engine(), request()) {
		if r.State != copy.Copied {
			t.Errorf("after the outage: %s is %s (%s)", k, r.State, r.Reason)
		}
	}
}

// TestListLagsBehind: ECR's list shows for a while what was before the writes.
func TestListLagsBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	image := w.push("group/app", "1", number(1))
	e := w.engine()
	plan := w.plan(e, request())
	var stale atomic.Int32
	w.ecr.Inject(func(r *http.Request) (int, string, bool) {
		old := strings.HasSuffix(r.Header.Get("X-Amz-Target"), "DescribeImages") && stale.Add(1) <= 2
		return 200, `{"imageDetails":[]}`, old
	})
	rows, err := w.execute(e, plan)
	if err != nil {
		t.Fatal(err)
	}
	want(t, rows, map[string]string{"group/app:1": "copied"})
	if stale.Load() != 3 {
		t.Errorf("%d looks, want two stale ones and a true one", stale.Load())
	}
	w.ecr.Inject(nil)
	w.same("1", image)
}

// TestSourceRestarts ends the old registry in the middle of a copy, which the
// engine sees as refused connections, and starts it again at the same address.
func TestSourceRestarts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWorldFrom(t, oldregistry.Options{Dir: dir}, unlimited())
	const images = 20
	for n := range images {
		w.push("group/app", fmt.Sprint("t", n), number(n))
	}
	w.old.Inject(func(r *http.Request) (int, string, bool) {
		if strings.Contains(r.URL.Path, "/blobs/") {
			time.Sleep(20 * time.Millisecond) // so that the end comes in the middle
		}
		return 0, "", false
	})
	o := w.options()
	o.Streams = 2
	e := copy.New(o)
	plan := w.plan(e, request())
	var once sync.Once
	var down sync.WaitGroup
	addr := strings.TrimPrefix(w.old.URL, "http://")
	err := e.Execute(t.Context(), plan, func(copy.Image) {
		once.Do(func() {
			down.Go(func() {
				_ = w.old.Close()
				if w.ecr.Writes()["layers"] >= plan.Forecast.Blobs {
					t.Error("all blobs were there before the end: this test shows nothing")
				}
				again, err := oldregistry.Start(oldregistry.Options{Dir: dir, Addr: addr})
				if err != nil {
					t.Error(err)
					return
				}
				t.Cleanup(func() { _ = again.Close() })
			})
		})
	})
	down.Wait()
	if err != nil && fault.ClassOf(err) != fault.Transient {
		t.Fatalf("%v (%s)", err, fault.ClassOf(err))
	}
	arrived := w.ecr.Writes()["layers"]
	t.Logf("the copy that was interrupted: %v, %d of %d blobs had arrived", err, arrived, plan.Forecast.Blobs)
	rest := w.plan(e, request())
	if rest.Forecast.Blobs > plan.Forecast.Blobs-arrived {
		t.Errorf("%d blobs planned again, %d of %d had arrived", rest.Forecast.Blobs, arrived, plan.Forecast.Blobs)
	}
	if _, err := w.execute(e, rest); err != nil {
		t.Fatal(err)
	}
	for n := range images {
		w.same(fmt.Sprint("t", n), number(n))
	}
	if n := w.ecr.Writes()["layers"]; n != plan.Forecast.Blobs {
		t.Errorf("%d blobs written, want each of %d once", n, plan.Forecast.Blobs)
	}
}

// listening is a pacer that keeps what it is told.
type listening struct {
	pace.Pacer
	mu   sync.Mutex
	told []time.Duration // of refusals
}

func (l *listening) Refused(sent time.Time, after time.Duration) {
	l.mu.Lock()
	l.told = append(l.told, after)
	l.mu.Unlock()
	l.Pacer.Refused(sent, after)
}

// full is a pacer that has no turn until it is opened, and says so when ready.
type full struct {
	pace.Pacer
	ready  <-chan struct{}
	opened atomic.Bool
}

func (f *full) Wait(ctx context.Context, hold time.Duration) error {
	if f.opened.Load() {
		return f.Pacer.Wait(ctx, hold)
	}
	<-f.ready
	return &pace.Later{In: time.Hour}
}

// A run ends because the quota of manifests is used up for the next hour. The
// blobs that it was sending are broken off, which is no refusal of blobs: the
// next run must not be kept from sending them.
func TestFullQuotaOfManifestsIsNotThatOfLayers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	there := w.push("group/app", "there", number(1))
	w.pushTarget("of-a-pipeline", there) // only a tag is missing: its turn comes at once
	w.push("group/app", "new", number(2))
	sending := make(chan struct{})
	var once sync.Once
	w.ecr.Inject(func(r *http.Request) (int, string, bool) {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/blobs/uploads/") {
			first := false
			if once.Do(func() { first = true }); first {
				close(sending)
				<-r.Context().Done()
			}
		}
		return 0, "", false
	})
	uploads := &listening{Pacer: pace.NewAdaptive(100)}
	manifests := &full{Pacer: pace.NewFixed(10_000), ready: sending}
	e := copy.New(w.options(paced("PutImage", manifests), paced("InitiateLayerUpload", uploads), paced("CompleteLayerUpload", uploads)))
	if _, err := w.execute(e, w.plan(e, request())); !errors.Is(err, pace.ErrThrottled) || fault.RetryAfter(err) != time.Hour {
		t.Fatalf("the run ended with %v, want it to say when there is a turn", err)
	}
	if len(uploads.told) > 0 {
		t.Errorf("the pacer of layers was told of refusals for %v; ECR refused none", uploads.told)
	}
	manifests.opened.Store(true)
	want(t, w.run(e, request()), map[string]string{"group/app:there": "copied", "group/app:new": "copied"})
}
