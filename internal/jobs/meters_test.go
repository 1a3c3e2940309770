package jobs_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/metrics"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// arrivals are the requests of the worker that the stand-ins have seen, by
// system: how many of them, and how many with the id of the try behind them.
type arrivals struct {
	mu        sync.Mutex
	all, tied map[string]int
}

// arrive counts what arrives, and lets the first request that system gets for a
// project's variables find it busy.
func (b *bench) arrive() *arrivals {
	a := &arrivals{all: map[string]int{}, tied: map[string]int{}}
	see := func(system string, r *http.Request) (first bool) {
		agent := r.Header.Get("User-Agent")
		if !strings.HasPrefix(agent, "ecrferry") && !strings.HasPrefix(agent, "aws-sdk-go") {
			return false // a pipeline's
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.all[system]++
		if len(r.Header.Get("X-Request-Id")) >= 20 {
			a.tied[system]++
		}
		return a.all[system] == 10
	}
	b.world.GitLab.Inject(func(r *http.Request) (int, string, bool) {
		return http.StatusTooManyRequests, "slow down", see("gitlab", r)
	})
	b.world.Old.Inject(func(r *http.Request) (int, string, bool) { see("old-registry", r); return 0, "", false })
	b.world.ECR.Inject(func(r *http.Request) (int, string, bool) {
		system := "ecr"
		if strings.HasPrefix(r.URL.Path, "/v2/") {
			system = "ecr-registry"
		}
		see(system, r)
		return 0, "", false
	})
	// Nobody but the worker asks the cluster's API and the console.
	tied := func(system string) func(*http.Request) {
		return func(r *http.Request) {
			a.mu.Lock()
			defer a.mu.Unlock()
			if a.all[system]++; len(r.Header.Get("X-Request-Id")) >= 20 {
				a.tied[system]++
			}
		}
	}
	b.world.PaaS.Watch(tied("cluster"))
	b.world.Console.Watch(tied("console"))
	return a
}

// metered makes a crew tell the bench's metrics, as the worker does.
func (b *bench) metered(o *jobs.Options) {
	o.Observe = func(step store.StepName, outcome store.Outcome, d time.Duration) {
		b.meters.Step(string(step), string(outcome), d)
	}
	o.Retried = func(step store.StepName, reason string) { b.meters.Retried(string(step), reason) }
	o.Waited = b.meters.Waited
}

// checkMeters compares what a walk over all samples counted with what was seen
// on the other side and stands in the database.
func checkMeters(b *bench, a *arrivals) {
	b.Helper()
	got := scrape(b.meters)
	a.mu.Lock()
	defer a.mu.Unlock()
	for system, least := range map[string]int{"gitlab": 300, "old-registry": 50, "ecr": 30, "ecr-registry": 50} {
		// One is the login by which the worker learns its registry's name.
		if a.all[system] < least || a.all[system]-a.tied[system] > 1 {
			b.Errorf("%s: %d of %d requests of the worker carry an id; want all of at least %d", system, a.tied[system], a.all[system], least)
		}
		if got["ecrferry_transfer_bytes_total"][system] < 1000 || got["ecrferry_request_seconds_count"][system] < float64(least) {
			b.Errorf("%s: %v bytes in %v requests are counted", system, got["ecrferry_transfer_bytes_total"][system], got["ecrferry_request_seconds_count"][system])
		}
	}
	for _, system := range []string{"cluster", "console"} {
		if a.all[system] < 5 || a.tied[system] != a.all[system] {
			b.Errorf("%s: %d of %d requests of the worker carry an id; want all of at least 5", system, a.tied[system], a.all[system])
		}
		if got["ecrferry_request_seconds_count"][system] == 0 || got["ecrferry_transfer_bytes_total"][system] == 0 {
			b.Errorf("nothing of %s is counted", system)
		}
	}
	var tries, ids int
	b.must(b.pool.QueryRow(b.Context(), `SELECT count(*), count(DISTINCT request) FILTER (WHERE request <> '') FROM ferry.steps`).Scan(&tries, &ids))
	if tries == 0 || ids != tries {
		b.Errorf("%d tries have %d ids", tries, ids)
	}
	var bytes float64
	b.must(b.pool.QueryRow(b.Context(), `SELECT sum(bytes_done)::float8 FROM ferry.copies`).Scan(&bytes))
	// Blobs that were mounted stand in the rows and move nothing.
	if copied := got["ecrferry_copied_bytes_total"][""]; copied == 0 || copied > bytes {
		b.Errorf("%v bytes are counted as copied; the copies' rows say %v", copied, bytes)
	}
	if got["ecrferry_rate_limit_wait_seconds_sum"]["gitlab"] == 0 {
		b.Error("the wait after GitLab's 429 is not counted")
	}
	if got["ecrferry_rate_limit_wait_seconds_count"]["ecr PutImage"] == 0 {
		b.Error("no wait for a turn at PutImage is counted")
	}
}

var sample = regexp.MustCompile(`(?m)^(ecrferry_[a-z_]+)(?:\{(.*)\})? (\S+)$`)

// scrape reads /metrics and sums it up by name and by system or limiter.
func scrape(m *metrics.Metrics) map[string]map[string]float64 {
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	label := regexp.MustCompile(`(?:system|limiter)="([^"]*)"`)
	out := map[string]map[string]float64{}
	for _, line := range sample.FindAllStringSubmatch(answer.Body.String(), -1) {
		if out[line[1]] == nil {
			out[line[1]] = map[string]float64{}
		}
		which := ""
		if l := label.FindStringSubmatch(line[2]); l != nil {
			which = l[1]
		}
		v, _ := strconv.ParseFloat(line[3], 64)
		out[line[1]][which] += v
	}
	return out
}
