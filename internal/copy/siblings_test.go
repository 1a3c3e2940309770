package copy_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/copy"
	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/pace"
	"gitlab.sikt.no/platon/ecrferry/internal/registry"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
)

// What one side says, or one blob suffers, must not be taken for what the other
// side says, or for the trouble of all.

// layerOf is the blob of number(n) that no other image has, beside its config.
func layerOf(t *testing.T, n int) string {
	t.Helper()
	m, err := number(n).Parsed()
	if err != nil {
		t.Fatal(err)
	}
	return m.Layers[1].Digest
}

// held is a pacer that lets one manifest go, and the others when it is opened.
type held struct {
	pace.Pacer
	once   sync.Once
	opened chan struct{}
}

func (h *held) Wait(ctx context.Context, hold time.Duration) error {
	first := false
	if h.once.Do(func() { first = true }); !first {
		select {
		case <-h.opened:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return h.Pacer.Wait(ctx, hold)
}

// A storage that cannot read a few blobs any more answers with 500 for each,
// which is what an outage looks like. The other images are copied all the same,
// also those that are still waiting for a turn at the quota.
func TestAFewUnreadableBlobsAreNoOutage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const bad, good = 5, 20
	broken := make(map[string]int) // blob to the times it was asked for
	for n := range bad {
		w.push("group/app", fmt.Sprint("bad", n), number(n))
		broken[layerOf(t, n)] = 0
	}
	for n := range good {
		w.push("group/app", fmt.Sprint("good", n), number(bad+n))
	}
	turns := &held{Pacer: pace.NewFixed(10_000), opened: make(chan struct{})}
	e := copy.New(w.options(paced("PutImage", turns)))
	plan := w.plan(e, request())

	written := make(chan struct{})
	var mu sync.Mutex
	w.old.Inject(func(r *http.Request) (int, string, bool) {
		_, digest, _ := strings.Cut(r.URL.Path, "/blobs/")
		mu.Lock()
		n, ok := broken[digest]
		if ok {
			broken[digest]++
		}
		mu.Unlock()
		if ok && n > 0 {
			<-written
		}
		return http.StatusInternalServerError, `{"errors":[{"code":"UNKNOWN","message":"input/output error"}]}`, ok
	})
	var once sync.Once
	failed := 0
	rows := byKey(plan.Images)
	err := e.Execute(t.Context(), plan, func(i copy.Image) {
		rows[key(i)] = i
		switch i.State {
		case copy.Copied:
			once.Do(func() { close(written) })
		case copy.Failed:
			if failed++; failed == bad {
				close(turns.opened)
			}
		}
	})
	if err == nil || !strings.Contains(err.Error(), "input/output error") {
		t.Errorf("the copy that lacks images ended with %v", err)
	}
	for k, r := range rows {
		want := copy.Copied
		if strings.Contains(k, ":bad") {
			want = copy.Failed
		}
		if r.State != want {
			t.Errorf("%s: %s (%s), want %s", k, r.State, r.Reason, want)
		}
	}
	if n := len(w.tags()); n != good {
		t.Errorf("%d tags, want %d", n, good)
	}
}

// front is a registry whose answers a test changes on their way.
func front(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// The source breaks a download off and then asks for fewer requests: ECR has
// refused nothing. That holds also where the source itself is an ECR.
func TestRefusalsOfTheSourceAreNotThoseOfTheTarget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const tar = "application/vnd.oci.image.layer.v1.tar"
	layer := make([]byte, 3<<20)
	layer[0] = 1
	image := w.push("group/app", "1", artifact([]byte(`{"big":1}`), map[string][]byte{tar: layer}, tar))
	var mu sync.Mutex
	opened, refusals := 0, 0
	url := front(t, func(rw http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/blobs/"+oci.Digest(layer)) {
			w.old.ServeHTTP(rw, r)
			return
		}
		mu.Lock()
		again := r.Header.Get("Range") != ""
		if again && refusals < 3 {
			refusals++
		} else {
			opened, again = opened+1, false
		}
		cutting := opened == 1
		mu.Unlock()
		switch {
		case again:
			rw.WriteHeader(http.StatusTooManyRequests)
		case cutting:
			rw.Header().Set("Content-Length", fmt.Sprint(len(layer)))
			_, _ = rw.Write(layer[:1<<20])
			panic(http.ErrAbortHandler)
		default:
			w.old.ServeHTTP(rw, r)
		}
	})
	uploads := &listening{Pacer: pace.NewAdaptive(100)}
	o := w.options(paced("InitiateLayerUpload", uploads), paced("CompleteLayerUpload", uploads))
	user, password := w.old.Worker()
	var err error
	if o.Source, err = registry.New(registry.Options{Name: w.old.Name, URL: url, ECR: true, User: user, Password: password, Delay: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	want(t, w.run(copy.New(o), request()), map[string]string{"group/app:1": "copied"})
	w.same("1", image)
	if refusals != 3 || opened != 2 {
		t.Errorf("%d refusals, opened %d times: this test shows nothing", refusals, opened)
	}
	if len(uploads.told) > 0 {
		t.Errorf("the pacer of layers was told of refusals for %v; the target refused none", uploads.told)
	}
}

// A target that answers before it has read the body leaves the transport
// reading for a while: what that takes does not count, and progress ends at
// exactly what was planned.
func TestBytesOfAFailedTryDoNotCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const tar = "application/vnd.oci.image.layer.v1.tar"
	layer := make([]byte, 8<<20)
	layer[0] = 2
	w.push("group/app", "1", artifact([]byte(`{"big":2}`), map[string][]byte{tar: layer}, tar))
	var once sync.Once
	url := front(t, func(rw http.ResponseWriter, r *http.Request) {
		first := false
		if r.Method == http.MethodPut && r.ContentLength == int64(len(layer)) {
			once.Do(func() { first = true })
		}
		if !first {
			w.ecr.ServeHTTP(rw, r)
			return
		}
		_, _ = io.CopyN(io.Discard, r.Body, 1<<20)
		rw.WriteHeader(http.StatusInternalServerError)
	})
	o := w.options()
	var err error
	if o.Target, err = registry.New(registry.Options{Name: w.ecr.Registry, URL: url, Credentials: o.ECR.Credentials, Refused: o.ECR.Refused, Delay: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	e := copy.New(o)
	plan := w.plan(e, request())
	var last copy.Progress
	if err := e.Watch(t.Context(), plan, nil, func(p copy.Progress) { last = p }); err != nil {
		t.Fatal(err)
	}
	if last.BytesDone != plan.Forecast.Bytes || last.BlobsDone != plan.Forecast.Blobs {
		t.Errorf("%d of %d bytes, %d of %d blobs", last.BytesDone, plan.Forecast.Bytes, last.BlobsDone, plan.Forecast.Blobs)
	}
}

// A blob that the old registry refuses, or sends us elsewhere for, fails the
// images that need it and no others; what is refused for all ends the run.
func TestARefusedBlobIsNotAll(t *testing.T) {
	t.Parallel()
	for _, all := range []bool{false, true} {
		w := newWorld(t)
		for n := range 30 {
			w.push("group/app", fmt.Sprint("t", n), number(n))
		}
		bad := layerOf(t, 3)
		o := w.options()
		o.Streams = 4
		e := copy.New(o)
		plan := w.plan(e, request())
		w.old.Inject(func(r *http.Request) (int, string, bool) {
			if _, digest, blob := strings.Cut(r.URL.Path, "/blobs/"); blob && (all || digest == bad) {
				return 403, `{"errors":[{"code":"DENIED","message":"access forbidden"}]}`, true
			}
			return 0, "", false
		})
		rows, err := w.execute(e, plan)
		if fault.ClassOf(err) != fault.Attention || fault.ReasonOf(err) != "registry-denied" {
			t.Errorf("%v (%s)", err, fault.ReasonOf(err))
		}
		if n := w.read("GET blobs 403"); all && (len(w.tags()) > 0 || n > 15) {
			t.Errorf("asked for %d blobs that are all refused", n)
		}
		if !all && (len(w.tags()) != 29 || rows["group/app:t3"].State != copy.Failed) {
			t.Errorf("%d tags are there, and that of the refused blob is %s", len(w.tags()), rows["group/app:t3"].State)
		}
	}
}
