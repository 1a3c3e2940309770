package store_test

import (
	"sync"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

func TestBudget(t *testing.T) {
	b := open(t)
	b.projects(1)
	m := b.migration(1)
	var wg sync.WaitGroup
	var mu sync.Mutex
	granted := 0
	for _, cause := range []string{"a", "b", "c", "d", "e", "f"} {
		wg.Go(func() {
			ok, wait, err := b.StartPipeline(b.ctx, m.ID, cause, 4)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				t.Error(err)
			case ok:
				granted++
			case wait <= 0 || wait > time.Hour:
				t.Errorf("refused %s, to be asked again in %v", cause, wait)
			}
		})
	}
	wg.Wait()
	if granted != 4 {
		t.Errorf("%d pipelines granted, want 4", granted)
	}
	again := 0
	for _, cause := range []string{"a", "b", "c", "d", "e", "f"} {
		if ok, _, _ := b.StartPipeline(b.ctx, m.ID, cause, 4); ok {
			again++
		}
	}
	if again != 4 {
		t.Errorf("asking again grants %d, want those 4 that were granted", again)
	}
	if ok, _, err := b.StartPipeline(b.ctx, m.ID, "g", 0); !ok || err != nil {
		t.Errorf("without a budget: %v, %v", ok, err)
	}
}

func TestInverses(t *testing.T) {
	b := open(t)
	b.projects(1)
	first := b.migration(1)
	b.must(b.ReplaceInverses(b.ctx, first.ID, []store.Inverse{{Path: "x", Before: []byte("1"), After: []byte("2")}}))
	b.must(b.KeepVariables(b.ctx, first.ID, []store.Variable{{Key: "K", Existed: true, Value: "old"}}))
	b.must(b.KeepVariables(b.ctx, first.ID, []store.Variable{{Key: "K", Existed: true, Value: "new"}}))
	b.end(first, store.StateFailed, "broken")
	second := b.migration(1)
	b.must(b.ReplaceInverses(b.ctx, second.ID, []store.Inverse{{Path: "x", Before: []byte("2"), After: []byte("3")}, {Path: "empty"}}))
	got, err := b.Inverses(b.ctx, 1)
	b.must(err)
	if len(got) != 2 || string(got[1].Before) != "1" || string(got[1].After) != "3" {
		t.Errorf("inverses %q, want x from 1 to 3 over both attempts", got)
	}
	vars, err := b.Variables(b.ctx, 1)
	b.must(err)
	if len(vars) != 1 || vars[0].Value != "old" {
		t.Errorf("variables %+v, want the first value", vars)
	}
	b.end(second, store.StateFailed, "broken")
	back, err := b.CreateMigration(b.ctx, store.NewMigration{ProjectID: 1, Origin: store.KindRollback, Kind: store.Rollback})
	b.must(err)
	if back.Step != store.StepRestore {
		t.Errorf("a rollback begins at %s", back.Step)
	}
	b.end(back, store.StateDone, "rolled-back")
	if got, err = b.Inverses(b.ctx, 1); err != nil || len(got) != 0 {
		t.Errorf("after the rollback: %q, %v; want nothing left to take back", got, err)
	}
}
