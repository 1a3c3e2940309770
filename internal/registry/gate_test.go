package registry_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"gitlab.sikt.no/platon/ecrferry/internal/registry"
)

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
	c := client(t, registry.Options{Name: "old.no", URL: url, Delay: 50 * time.Millisecond})
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
	c := client(t, registry.Options{Name: "old.no", URL: url, Delay: time.Millisecond})
	if _, err := c.Tags(t.Context(), "g/p"); err == nil || n.Load() > 12 {
		t.Errorf("%v after %d requests", err, n.Load())
	}
}
