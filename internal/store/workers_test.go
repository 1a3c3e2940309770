package store_test

import (
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

func TestWorkers(t *testing.T) {
	b := open(t)
	sign := func(id string) bool {
		t.Helper()
		known, err := b.WorkerAlive(b.ctx, id)
		b.must(err)
		return known
	}
	for i := range 20 { // two readings of the clock would differ now and then
		if sign("w" + string(rune('a'+i))) {
			t.Fatalf("the first sign of worker %d is of a known one", i)
		}
	}
	if !sign("wa") {
		t.Error("the second sign is of an unknown one")
	}
	dead, err := b.DeclareDead(b.ctx, "wa", time.Minute)
	b.must(err)
	if dead {
		t.Error("a worker that was just heard of is dead")
	}
	_, err = b.pool.Exec(b.ctx, `UPDATE ferry.workers SET seen_at = seen_at - interval '1 hour' WHERE id = 'wa'`)
	b.must(err)
	if living, err := b.LivingWorkers(b.ctx, time.Minute); err != nil || living["wa"] || !living["wb"] {
		t.Errorf("living: %v, %v", living, err)
	}
	dead, err = b.DeclareDead(b.ctx, "wa", time.Minute)
	b.must(err)
	if !dead || sign("wa") {
		t.Errorf("silent for an hour: dead %v; and its next sign must be a first", dead)
	}
	b.must(b.WorkerGone(b.ctx, "wb"))
	if dead, err := b.DeclareDead(b.ctx, "wb", time.Minute); err != nil || !dead {
		t.Errorf("a worker that signed off is not dead: %v, %v", dead, err)
	}
}

func TestLoseSteps(t *testing.T) {
	b := open(t)
	b.projects(1)
	m := b.migration(1)
	st, err := b.StartStep(b.ctx, store.NewStep{MigrationID: m.ID, Name: store.StepCopy, JobID: 5, Worker: "w"})
	b.must(err)
	for _, tt := range []struct {
		job  int64
		want store.Outcome
	}{{6, store.OutcomeRunning}, {5, store.OutcomeLost}} {
		b.must(b.LoseSteps(b.ctx, tt.job))
		steps, err := b.Steps(b.ctx, m.ID)
		b.must(err)
		if steps[0].Outcome != tt.want {
			t.Errorf("after losing job %d: %s, want %s", tt.job, steps[0].Outcome, tt.want)
		}
	}
	if ok, err := b.FinishStep(b.ctx, st.ID, store.Finish{Outcome: store.OutcomeDone}); ok || err != nil {
		t.Errorf("a lost step was finished: %v, %v", ok, err)
	}
}
