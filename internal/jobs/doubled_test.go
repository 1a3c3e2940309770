package jobs_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// TestTriedOnce breaks the runner under a job once, answers 502 after the retry
// was carried out, and lets the worker die between the acts of retrying and of
// playing production and their records: each was done once.
func TestTriedOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, "manual-production")
	const retried, played = "kurs/ustabil", "kurs/kalender"
	shaky := b.variant("one-image", retried, ciFile(more("shaky:\n  stage: test\n  script: [\"true\"]\n")))
	b.world.GitLab.InjectAfter(actedThen502(`POST .*/retry$`, `POST .*/play$`))
	var mu sync.Mutex
	broken := false
	b.world.BreakRunner(func(_, job string) error {
		mu.Lock()
		defer mu.Unlock()
		if job != "shaky" || broken {
			return nil
		}
		broken = true
		return errors.New("prepare environment: exit status 1")
	})
	deaths := map[string]bool{}
	b.start(func(o *jobs.Options) {
		o.Settings.ProductionPoll = time.Hour
		o.Crash = func(step store.StepName, m store.Migration) bool {
			path, kind := played, "job-played"
			if m.ProjectID == shaky {
				path, kind = retried, "pipeline-retried"
			}
			if b.events(path, kind) == 0 {
				return false
			}
			mu.Lock()
			defer mu.Unlock()
			was := deaths[path]
			deaths[path] = true
			return !was
		}
	})
	b.all(false)

	if r := b.status(retried); r.State != store.StateDone {
		t.Errorf("%s: %s %q: %s", retried, r.State, r.Reason, r.Why)
		story(b, r)
	}
	if n := b.runs(retried, "shaky"); n != 3 { // once before we came
		t.Errorf("the job that the runner failed ran %d times, want twice after the time before us", n)
	}
	promoteAtOnce(b, played)
	if n := b.runs(played, "production"); n != 2 { // once before we came
		t.Errorf("production ran %d times, want once after the time before us", n)
	}
	mu.Lock()
	defer mu.Unlock()
	if !deaths[retried] || !deaths[played] {
		t.Errorf("deaths %v, want one after each act", deaths)
	}
}

// promoteAtOnce orders production in the very instant of a look: the migration
// says that it waits, but River does not know yet that its job sleeps. The
// next look is an hour away; the order is heeded before.
func promoteAtOnce(b *bench, path string) {
	b.Helper()
	r := b.status(path)
	if r.Reason != "production" {
		b.Fatalf("%s: %s %q, want it to wait for production: %s", path, r.State, r.Reason, r.Why)
	}
	// The order as it lies when its waking met a running job.
	b.must(b.store.AddEvents(b.Context(), store.Event{Actor: "kari", Kind: "promote", ProjectID: r.ProjectID, MigrationID: r.MigrationID}))
	b.await("production to be proven", time.Minute, func() (bool, string) {
		r = b.status(path)
		return !r.State.Active(), string(r.State) + " " + r.Why
	})
	if r.State != store.StateDone || !strings.Contains(r.Why, "production") {
		b.Errorf("%s: %s %q: %s", path, r.State, r.Reason, r.Why)
		story(b, r)
	}
	if n := b.events(path, "job-played"); n > 2 {
		b.Errorf("%d intents to play, want one and one more after the death", n)
	}
}

// runs counts how often a job of a project was run, retries included.
func (b *bench) runs(path, job string) int {
	n := 0
	for _, p := range b.world.GitLab.Pipelines(path) {
		for _, j := range p.Jobs {
			if j.Name == job && (j.Status == "success" || j.Status == "failed") {
				n++
			}
		}
	}
	return n
}
