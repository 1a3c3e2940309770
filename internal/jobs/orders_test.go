package jobs

import (
	"errors"
	"log/slog"
	"testing"

	"gitlab.sikt.no/platon/ecrferry/internal/postgres/postgrestest"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// TestPromoteDuringALook orders production while the step that waits for it looks
// again. An operator cannot see that instant, so the order counts.
func TestPromoteDuringALook(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	ctx := t.Context()
	st := store.New(pool)
	client, err := NewInserter(pool, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	p := store.Project{ID: 1, Path: "a/looking"}
	if err := st.UpsertProjects(ctx, []store.Project{p}); err != nil {
		t.Fatal(err)
	}
	m, err := st.CreateMigration(ctx, store.NewMigration{ProjectID: p.ID, Origin: store.KindProject})
	if err != nil {
		t.Fatal(err)
	}
	job, err := client.Insert(ctx, VerifyArgs{Ref{m.ID}}, insertOpts(string(store.StepVerify)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(ctx, `UPDATE river.river_job SET state = 'running' WHERE id = $1`, job.Job.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := st.StartStep(ctx, store.NewStep{MigrationID: m.ID, Name: store.StepVerify, JobID: job.Job.ID, Worker: "w"}); err != nil {
		t.Fatal(err)
	}
	m.Step, m.State, m.Reason = store.StepVerify, store.StateRunning, ""
	if m, err = st.SaveMigration(ctx, m); err != nil {
		t.Fatal(err)
	}
	e := &Enqueuer{Store: st, River: client}
	if _, err := e.Promote(ctx, Order{Actor: "kari"}, p); !errors.Is(err, ErrNotWaiting) {
		t.Fatalf("it has not waited for production yet: %v, want ErrNotWaiting", err)
	}
	m.Reason = waitsForProduction
	if _, err = st.SaveMigration(ctx, m); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Promote(ctx, Order{Actor: "kari"}, p); err != nil {
		t.Fatal(err)
	}
	orders, err := st.Events(ctx, store.EventFilter{MigrationID: m.ID, Kind: promoted, Limit: 2})
	if err != nil || len(orders) != 1 {
		t.Fatalf("%d orders, %v; want 1", len(orders), err)
	}
}
