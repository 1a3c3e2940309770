package registry_test

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

	"golang.org/x/time/rate"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/pace"
	"gitlab.sikt.no/platon/ecrferry/internal/registry"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
)

// turns keeps which actions have asked for a turn.
type turns struct {
	mu    sync.Mutex
	taken map[string]int
}

type turn struct {
	of     *turns
	action string
}

func (t turn) Wait(context.Context, time.Duration) error {
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	t.of.taken[t.action]++
	return nil
}

func (turn) Passed() {}

func (turn) Refused(time.Time, time.Duration) {}

// TestEveryRequestHasALimiter sends each kind of request, and sees which action's
// turn it took: at ECR's door those of the API, else those of the protocol.
func TestEveryRequestHasALimiter(t *testing.T) {
	t.Parallel()
	body, d := content(10)
	image := oci.Build(oci.Spec{})
	for name, want := range map[string][]string{
		ecrName:  {"BatchGetImage", "BatchGetImage", "CompleteLayerUpload", "DescribeRepositories", "GetDownloadUrlForLayer", "InitiateLayerUpload", "ListImageReferrers", "ListImages", "PutImage"},
		"old.no": {"_catalog", "blobs", "blobs/uploads", "blobs/uploads/put", "manifests", "manifests", "manifests", "referrers", "tags/list", "token"},
	} {
		took := &turns{taken: map[string]int{}}
		o := pace.OldRegistry()
		o.Pacers = map[string]pace.Pacer{}
		for _, action := range want {
			o.Pacers[action] = turn{took, action}
		}
		challenged := name != "old.no"
		var url string
		url = serve(t, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case !challenged:
				challenged = true
				w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token"`, url))
				w.WriteHeader(401)
			case r.URL.Path == "/token":
				fmt.Fprint(w, `{"token":"x"}`)
			case r.Method == http.MethodPost:
				w.Header().Set("Location", "/v2/g/p/blobs/uploads/1")
				w.WriteHeader(202)
			case r.Method == http.MethodPut:
				w.WriteHeader(201)
			case strings.Contains(r.URL.Path, "/blobs/"):
				_, _ = w.Write(body)
			case strings.Contains(r.URL.Path, "/manifests/"):
				w.Header().Set("Content-Type", image.MediaType)
				w.Header().Set("Docker-Content-Digest", image.Digest())
				if r.Method == http.MethodGet {
					_, _ = w.Write(image.Manifest)
				}
			case strings.Contains(r.URL.Path, "/referrers/"):
				fmt.Fprint(w, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
			default:
				fmt.Fprint(w, `{}`)
			}
		})
		c := client(t, registry.Options{Name: name, URL: url, Limits: pace.New(o)})
		_, err := c.Tags(t.Context(), "g/p")
		_, err2 := c.Head(t.Context(), "g/p", "1")
		_, err3 := c.Manifest(t.Context(), "g/p", "1")
		_, err4 := c.Referrers(t.Context(), "g/p", d.Digest)
		_, err5 := c.Small(t.Context(), "g/p", d, 100)
		for _, e := range c.Repositories(t.Context()) {
			err = errors.Join(err, e)
		}
		m := registry.ParseManifest(image.MediaType, image.Manifest)
		err = errors.Join(err, err2, err3, err4, err5, c.PushBlob(t.Context(), "g/p", d, bytes.NewReader(body)), c.PutManifest(t.Context(), "g/p", "1", m))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for action, n := range took.taken {
			got = append(got, slices.Repeat([]string{action}, n)...)
		}
		slices.Sort(got)
		if name == "old.no" {
			// The token of another scope is asked for where it is needed.
			got = slices.DeleteFunc(got, func(a string) bool { return a == "token" })
			want = slices.DeleteFunc(want, func(a string) bool { return a == "token" })
			if took.taken["token"] == 0 {
				t.Error("tokens are not paced")
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: turns of %v, want %v", name, got, want)
		}
	}
}

// TestOneRefusalHoldsAll: the readers of a registry that asks for a pause all
// keep it, also those that were not refused themselves.
func TestOneRefusalHoldsAll(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	asked := 0
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if asked++; asked == 1 {
			w.Header().Set("Retry-After", "2")
			w.WriteHeader(429)
			return
		}
		fmt.Fprint(w, `{"tags":["1"]}`)
	})
	refused := make(chan struct{})
	c := client(t, registry.Options{Name: "old.no", URL: url, Tries: 1, Observe: func(_, _ string, status int, _ time.Duration) {
		if status == 429 {
			close(refused)
		}
	}})
	read := func() {
		if tags, err := c.Tags(t.Context(), "g/p"); err != nil || len(tags) != 1 {
			t.Errorf("%v, %v", tags, err)
		}
	}
	var wait sync.WaitGroup
	wait.Go(read)
	<-refused
	start := time.Now()
	time.Sleep(100 * time.Millisecond) // until the limiter has heard of it
	for range 50 {
		wait.Go(read)
	}
	time.Sleep(500 * time.Millisecond)
	mu.Lock()
	if asked > 1 && time.Since(start) < 2*time.Second {
		t.Errorf("%d requests in the pause", asked-1)
	}
	mu.Unlock()
	wait.Wait()
	if asked != 52 {
		t.Errorf("%d requests, want 51 and the one that was refused", asked)
	}
}

// TestRefusedTokensAreNotRefusedManifests: it is the server of tokens that asks
// for a long pause, so a manifest of another repository, whose token is there, is
// still read.
func TestRefusedTokensAreNotRefusedManifests(t *testing.T) {
	t.Parallel()
	image := oci.Build(oci.Spec{})
	var url string
	url = serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token" && strings.Contains(r.URL.Query().Get("scope"), "busy"):
			w.Header().Set("Retry-After", "600")
			w.WriteHeader(429)
		case r.URL.Path == "/token":
			fmt.Fprint(w, `{"token":"x"}`)
		case r.Header.Get("Authorization") == "":
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token"`, url))
			w.WriteHeader(401)
		default:
			w.Header().Set("Content-Type", image.MediaType)
			_, _ = w.Write(image.Manifest)
		}
	})
	c := client(t, registry.Options{Name: "old.no", URL: url})
	if _, err := c.Manifest(t.Context(), "g/p", "1"); err != nil {
		t.Fatal(err)
	}
	_, err := c.Manifest(t.Context(), "g/busy", "1")
	if !errors.Is(err, pace.ErrThrottled) || fault.RetryAfter(err) != 10*time.Minute || fault.ReasonOf(err) != "old-registry-throttled" || !strings.Contains(err.Error(), "token") {
		t.Errorf("%v, again in %v", err, fault.RetryAfter(err))
	}
	if _, err := c.Manifest(t.Context(), "g/p", "1"); err != nil {
		t.Errorf("manifests are held back for tokens: %v", err)
	}
}

// A registry that lets fewer requests through than there are goroutines serves
// all of them in the end, at the rate that it gives, and is not asked in vain
// much more often than that.
func TestReadsKeepToTheRateTheyAreGiven(t *testing.T) {
	t.Parallel()
	const perSecond, reads = 100, 150
	given := rate.NewLimiter(perSecond, 10)
	var refused atomic.Int64
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if !given.Allow() {
			refused.Add(1)
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		fmt.Fprint(w, `{"tags":["1"]}`)
	})
	c := client(t, registry.Options{Name: "old.no", URL: url})
	start := time.Now()
	var wait sync.WaitGroup
	queue := make(chan struct{}, reads)
	for range reads {
		queue <- struct{}{}
	}
	close(queue)
	for range 32 {
		wait.Go(func() {
			for range queue {
				if _, err := c.Tags(t.Context(), "g/p"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	if n := refused.Load(); n == 0 || n > reads {
		t.Errorf("%d refusals for %d reads", n, reads)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("%d reads at %d a second took %v", reads, perSecond, took)
	}
	t.Logf("%d refusals, %v", refused.Load(), time.Since(start))
}

// One that refuses everything is given up after a few pauses.
func TestARegistryThatRefusesEverything(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		n.Add(1)
		w.WriteHeader(http.StatusTooManyRequests)
	})
	limits := pace.OldRegistry()
	limits.Patience = 2 * time.Second
	c := client(t, registry.Options{Name: "old.no", URL: url, Limits: pace.New(limits)})
	if _, err := c.Tags(t.Context(), "g/p"); err == nil || n.Load() > 12 {
		t.Errorf("%v after %d requests", err, n.Load())
	}
}
