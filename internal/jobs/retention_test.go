package jobs

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"gitlab.sikt.no/platon/ecrferry/internal/calendar"
	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
	"gitlab.sikt.no/platon/ecrferry/reports"
)

// TestRetention lets River's own maintenance delete the jobs of projects that
// ended, as it does after a day, and reads their whole story afterwards; then
// they are enqueued again.
func TestRetention(t *testing.T) {
	t.Parallel()
	l := newLine(t, 3)
	l.led = true
	looks := 0
	l.start(calendar.Calendar{}, map[store.StepName]stepFunc{
		store.StepPipeline: func(_ context.Context, t *Task) (Outcome, error) {
			switch t.Project.Path {
			case "kurs/p02":
				return Outcome{}, fault.New(fault.Permanent, "push-not-authorized", "it may not push")
			case "kurs/p03":
				if looks++; looks < 3 {
					return Wait("its pipeline", time.Hour), nil
				}
			}
			return Done("passed"), nil
		},
	})
	run := l.enqueue(store.Run{})
	over := func(rows []store.Status) bool {
		return isDone(rows[0]) && rows[1].State == store.StateFailed && isDone(rows[2])
	}
	l.await("the projects to end", over)
	read := func() (story []reports.Story, report reports.Report, shown string) {
		t.Helper()
		var text bytes.Buffer
		for n := range 3 {
			s, err := reports.GatherStory(t.Context(), l.store, fmt.Sprintf("kurs/p%02d", n+1))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Text(&text); err != nil {
				t.Fatal(err)
			}
			story = append(story, s)
		}
		report, err := reports.Gather(t.Context(), l.store, store.Selection{RunID: run.ID})
		if err != nil {
			t.Fatal(err)
		}
		return story, report, text.String()
	}
	before, fleet, shown := read()
	if len(before[2].Steps) < 8 || before[1].Project.Reason != "push-not-authorized" {
		t.Fatalf("the stories are thin: %s", shown)
	}

	workers := river.NewWorkers()
	river.AddWorker(workers, river.WorkFunc(func(context.Context, *river.Job[InventoryArgs]) error { return nil }))
	maintenance, err := river.NewClient(riverpgxv5.New(l.pool), &river.Config{
		Schema: Schema, Logger: slog.New(slog.DiscardHandler), Workers: workers, SkipUnknownJobCheck: true,
		Queues:                      map[string]river.QueueConfig{"none": {MaxWorkers: 1}},
		CompletedJobRetentionPeriod: time.Millisecond, CancelledJobRetentionPeriod: time.Millisecond, DiscardedJobRetentionPeriod: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := maintenance.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_ = maintenance.StopAndCancel(ctx)
	})
	left := -1 // without the snapshots of what ended, which nobody takes here
	for end := time.Now().Add(time.Minute); left != 0; time.Sleep(20 * time.Millisecond) {
		if err := l.pool.QueryRow(t.Context(), `SELECT count(*) FROM river.river_job WHERE kind <> 'snapshot'`).Scan(&left); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(end) {
			t.Fatalf("River has not cleaned up: %d jobs are left", left)
		}
	}
	after, later, _ := read()
	clock := cmpopts.IgnoreFields(reports.Story{}, "At")
	if d := cmp.Diff(before, after, clock); d != "" {
		t.Errorf("the stories differ without River's rows (-before +after):\n%s", d)
	}
	if d := cmp.Diff(fleet, later, cmpopts.IgnoreFields(reports.Report{}, "At")); d != "" {
		t.Errorf("the report differs without River's rows (-before +after):\n%s", d)
	}
	c, err := l.enqueuer.Failed(t.Context(), l.order(""), store.Project{ID: 2, Path: "kurs/p02"}, "")
	if err != nil || c.Step != store.StepPipeline || c.Attempt != 2 {
		t.Errorf("enqueued again: %+v, %v", c, err)
	}
}
