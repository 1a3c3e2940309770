package store_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

func TestStepFromStartToFinish(t *testing.T) {
	b := open(t)
	b.projects(1)
	m := b.migration(1)
	start := func(name store.StepName, job int64) store.Step {
		t.Helper()
		st, err := b.StartStep(b.ctx, store.NewStep{MigrationID: m.ID, Name: name, JobID: job, Worker: "w"})
		b.must(err)
		return st
	}
	first := start(store.StepCopy, 10)
	if _, err := b.FinishStep(b.ctx, first.ID, store.Finish{}); err == nil {
		t.Error("a step was finished without an outcome")
	}
	ok, err := b.FinishStep(b.ctx, first.ID, store.Finish{
		Outcome: store.OutcomeRetry, Error: "e", ErrorClass: "transient", Reason: "r", Result: []byte(`{"n": 1}`),
	})
	b.must(err)
	if !ok {
		t.Error("the finish was refused")
	}
	second := start(store.StepCopy, 10)
	ok, err = b.FinishStep(b.ctx, second.ID, store.Finish{Outcome: store.OutcomeDone})
	b.must(err)
	if !ok || second.Try != 2 {
		t.Errorf("second try is %d, finished %v", second.Try, ok)
	}
	if third := start(store.StepRewrite, 11); third.Try != 1 {
		t.Errorf("another step begins with try %d", third.Try)
	}
	all, err := b.Steps(b.ctx, m.ID)
	b.must(err)
	want := []store.Step{
		{MigrationID: m.ID, Name: store.StepCopy, Try: 1, JobID: 10, Worker: "w", Outcome: store.OutcomeRetry,
			Error: "e", ErrorClass: "transient", Reason: "r", Result: []byte(`{"n": 1}`)},
		{MigrationID: m.ID, Name: store.StepCopy, Try: 2, JobID: 10, Worker: "w", Outcome: store.OutcomeDone, Result: []byte(`{}`)},
		{MigrationID: m.ID, Name: store.StepRewrite, Try: 1, JobID: 11, Worker: "w", Outcome: store.OutcomeRunning, Result: []byte(`{}`)},
	}
	times := cmpopts.IgnoreFields(store.Step{}, "ID", "StartedAt", "FinishedAt", "Duration")
	if diff := cmp.Diff(want, all, times); diff != "" {
		t.Error(diff)
	}
	if d := all[0].Duration; d == nil || *d != all[0].FinishedAt.Sub(all[0].StartedAt) || all[2].Duration != nil {
		t.Errorf("durations %v and %v", d, all[2].Duration)
	}
}

// A worker that was taken for dead may still be alive. It must not write.
func TestFencing(t *testing.T) {
	b := open(t)
	b.projects(1)
	m := b.migration(1)
	step := store.NewStep{MigrationID: m.ID, Name: store.StepCopy, JobID: 10, Worker: "old"}
	old, err := b.StartStep(b.ctx, step)
	b.must(err)

	// Another job may not step in.
	step.JobID, step.Worker = 11, "other"
	_, err = b.StartStep(b.ctx, step)
	if running, ok := errors.AsType[*store.RunningError](err); !ok || running.Step.ID != old.ID {
		t.Errorf("a second running step: %v", err)
	}

	// The same job may: River gave it to a new worker.
	step.JobID, step.Worker = 10, "new"
	fresh, err := b.StartStep(b.ctx, step)
	b.must(err)
	if fresh.Try != 2 {
		t.Errorf("try %d, want 2", fresh.Try)
	}
	ok, err := b.FinishStep(b.ctx, old.ID, store.Finish{Outcome: store.OutcomeDone})
	b.must(err)
	if ok {
		t.Error("the old worker may finish")
	}
	all, err := b.Steps(b.ctx, m.ID)
	b.must(err)
	if all[0].Outcome != store.OutcomeLost || all[0].Reason != "worker-lost" || all[1].Outcome != store.OutcomeRunning {
		t.Errorf("outcomes %s (%s), %s", all[0].Outcome, all[0].Reason, all[1].Outcome)
	}
}

func TestStartStepAtOnce(t *testing.T) {
	b := open(t)
	b.projects(1)
	m := b.migration(1)
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		started int
	)
	for job := range int64(8) {
		wg.Go(func() {
			_, err := b.StartStep(b.ctx, store.NewStep{MigrationID: m.ID, Name: store.StepCopy, JobID: job + 1})
			if _, ok := errors.AsType[*store.RunningError](err); ok {
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			started++
			mu.Unlock()
		})
	}
	wg.Wait()
	if started != 1 {
		t.Errorf("%d of 8 jobs started the step, want 1", started)
	}
}
