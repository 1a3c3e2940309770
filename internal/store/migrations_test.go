package store_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

func TestOneOfSixteenWins(t *testing.T) {
	b := open(t)
	b.projects(1)
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		won  []store.Migration
		lost []*store.ActiveError
	)
	for range 16 {
		wg.Go(func() {
			m, err := b.CreateMigration(b.ctx, store.NewMigration{ProjectID: 1, Origin: store.KindAll})
			mu.Lock()
			defer mu.Unlock()
			if active, ok := errors.AsType[*store.ActiveError](err); ok {
				lost = append(lost, active)
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			won = append(won, m)
		})
	}
	wg.Wait()
	if len(won) != 1 || len(lost) != 15 {
		t.Fatalf("%d won and %d lost, want 1 and 15", len(won), len(lost))
	}
	for _, l := range lost {
		if l.Migration.ID != won[0].ID {
			t.Errorf("a loser was told of migration %d, want %d", l.Migration.ID, won[0].ID)
		}
	}
}

func TestAttempts(t *testing.T) {
	b := open(t)
	b.projects(1)
	if _, err := b.CreateMigration(b.ctx, store.NewMigration{ProjectID: 9, Origin: store.KindAll}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("migration of an unknown project: %v", err)
	}
	run, err := b.CreateRun(b.ctx, store.Run{Kind: store.KindFailed, Actor: "me"})
	b.must(err)
	first := b.migration(1)
	b.end(first, store.StateFailed, "broken")
	second, err := b.CreateMigration(b.ctx, store.NewMigration{
		ProjectID: 1, RunID: run.ID, Origin: store.KindFailed, Step: store.StepPipeline, Policy: []byte(`{"images": "all"}`),
	})
	b.must(err)
	want := store.Migration{
		ProjectID: 1, RunID: run.ID, Attempt: 2, Origin: store.KindFailed, Kind: store.Migrate, State: store.StateQueued,
		Step: store.StepPipeline, Policy: []byte(`{"images": "all"}`), Baseline: []byte(`{}`),
	}
	times := cmpopts.IgnoreFields(store.Migration{}, "ID", "Since", "CreatedAt", "UpdatedAt")
	if diff := cmp.Diff(want, second, times); diff != "" {
		t.Error(diff)
	}
	all, err := b.Migrations(b.ctx, 1)
	b.must(err)
	if len(all) != 2 || all[0].ID != second.ID || all[1].State != store.StateFailed {
		t.Errorf("attempts: %+v", all)
	}
	latest, err := b.LatestMigration(b.ctx, 1)
	b.must(err)
	active, err := b.ActiveMigration(b.ctx, 1)
	b.must(err)
	if latest.ID != second.ID || active.ID != second.ID {
		t.Errorf("latest %d, active %d, want %d", latest.ID, active.ID, second.ID)
	}
	// The first may not come to life again beside the second.
	first.State = store.StateRunning
	_, err = b.SaveMigration(b.ctx, first)
	if a, ok := errors.AsType[*store.ActiveError](err); !ok || a.Migration.ID != second.ID {
		t.Errorf("a second active one: %v", err)
	}
	b.end(second, store.StateDone, "")
	if _, err := b.ActiveMigration(b.ctx, 1); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("active after the end: %v", err)
	}
}

// A walk over many projects goes on in its transaction when one is taken already.
func TestActiveErrorLeavesTheTransactionUsable(t *testing.T) {
	b := open(t)
	b.projects(1, 2)
	b.migration(1)
	err := b.InTx(b.ctx, func(ctx context.Context, tx *store.Store) error {
		_, err := tx.CreateMigration(ctx, store.NewMigration{ProjectID: 1, Origin: store.KindAll})
		if _, ok := errors.AsType[*store.ActiveError](err); !ok {
			t.Errorf("want an ActiveError, got %v", err)
		}
		_, err = tx.CreateMigration(ctx, store.NewMigration{ProjectID: 2, Origin: store.KindAll})
		return err
	})
	b.must(err)
}

func TestSaveMigration(t *testing.T) {
	b := open(t)
	b.projects(1)
	m := b.migration(1)
	created := m
	at := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	m.State, m.Step, m.WaitingFor = store.StateWaiting, store.StepPipeline, "pipeline 5"
	m.NextLookAt, m.DeadlineAt = &at, &at
	m.Reason, m.ErrorClass, m.Message, m.NextAction = "r", "transient", "m", "n"
	m.Repository, m.RepositoryURI, m.Branch, m.BaseSHA, m.CommitSHA = "a", "b", "c", "d", "e"
	m.MergeRequestIID, m.MergeRequestURL, m.PipelineID, m.PipelineURL = 3, "mr", 5, "p"
	m.Baseline = []byte(`{"pipeline": 4}`)
	m.Attempt, m.Policy = 99, []byte(`{"not": "stored"}`) // what may not change
	saved, err := b.SaveMigration(b.ctx, m)
	b.must(err)
	want := m
	want.Attempt, want.Policy = created.Attempt, created.Policy
	ignore := cmpopts.IgnoreFields(store.Migration{}, "Since", "UpdatedAt")
	if diff := cmp.Diff(want, saved, ignore, cmpopts.EquateApproxTime(0)); diff != "" {
		t.Error(diff)
	}
	if !saved.Since.After(created.Since) || saved.StartedAt != nil || saved.FinishedAt != nil {
		t.Errorf("since %v (created %v), started %v, finished %v", saved.Since, created.Since, saved.StartedAt, saved.FinishedAt)
	}
	read, err := b.MigrationByID(b.ctx, m.ID)
	b.must(err)
	if diff := cmp.Diff(saved, read); diff != "" {
		t.Errorf("read back: %s", diff)
	}

	// Looking again without news does not change since when it waits.
	later := at.Add(time.Minute)
	saved.NextLookAt = &later
	again, err := b.SaveMigration(b.ctx, saved)
	b.must(err)
	if !again.Since.Equal(saved.Since) || !again.UpdatedAt.After(saved.UpdatedAt) {
		t.Errorf("since %v, want %v; updated %v, before %v", again.Since, saved.Since, again.UpdatedAt, saved.UpdatedAt)
	}

	again.State = store.StateRunning
	running, err := b.SaveMigration(b.ctx, again)
	b.must(err)
	done := running
	done.State, done.Step = store.StateDone, store.StepDone
	done, err = b.SaveMigration(b.ctx, done)
	b.must(err)
	if running.StartedAt == nil || done.StartedAt == nil || !done.StartedAt.Equal(*running.StartedAt) || done.FinishedAt == nil {
		t.Errorf("started %v then %v, finished %v", running.StartedAt, done.StartedAt, done.FinishedAt)
	}
	if done.WaitingFor != "" || done.NextLookAt != nil || done.DeadlineAt != nil {
		t.Errorf("the end still waits: %+v", done)
	}
}

func TestLockMigration(t *testing.T) {
	b := open(t)
	b.projects(1)
	m := b.migration(1)
	if _, err := b.LockMigration(b.ctx, m.ID); err == nil {
		t.Error("a lock outside a transaction, which holds nothing")
	}
	b.must(b.InTx(b.ctx, func(ctx context.Context, tx *store.Store) error {
		if _, err := tx.LockMigration(ctx, m.ID); err != nil {
			return err
		}
		_, err := b.pool.Exec(ctx, `SELECT FROM ferry.migrations WHERE id = $1 FOR UPDATE NOWAIT`, m.ID)
		if err == nil {
			t.Error("the row is not locked")
		}
		return nil
	}))
}
