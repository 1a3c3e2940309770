package jobs

import (
	"log/slog"
	"testing"
	"time"

	"github.com/riverqueue/river/rivertype"

	"gitlab.sikt.no/platon/ecrferry/internal/postgres/postgrestest"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// TestRescue puts the job of a silent worker back and leaves that of a living
// one alone.
func TestRescue(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	ctx := t.Context()
	st := store.New(pool)
	log := slog.New(slog.DiscardHandler)
	client, err := NewInserter(pool, log)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.UpsertProjects(ctx, []store.Project{{ID: 1, Path: "a/dead"}, {ID: 2, Path: "a/alive"}}); err != nil {
		t.Fatal(err)
	}
	jobOf := map[string]int64{}
	for id, owner := range map[int64]string{1: "dead", 2: "alive"} {
		m, err := st.CreateMigration(ctx, store.NewMigration{ProjectID: id, Origin: store.KindProject})
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Insert(ctx, DiscoverArgs{Ref{m.ID}}, insertOpts(string(store.StepDiscover)))
		if err != nil {
			t.Fatal(err)
		}
		jobOf[owner] = res.Job.ID
		if _, err := pool.Exec(ctx, `
			UPDATE river.river_job
			   SET state = 'running', attempt = 1, attempted_at = now() - interval '1 hour', attempted_by = ARRAY[$2]
			 WHERE id = $1`, res.Job.ID, owner); err != nil {
			t.Fatal(err)
		}
		if _, err := st.StartStep(ctx, store.NewStep{MigrationID: m.ID, Name: store.StepDiscover, JobID: res.Job.ID, Worker: owner}); err != nil {
			t.Fatal(err)
		}
		if _, err := st.WorkerAlive(ctx, owner); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := pool.Exec(ctx, `UPDATE ferry.workers SET seen_at = now() - interval '1 minute' WHERE id = 'dead'`); err != nil {
		t.Fatal(err)
	}
	lease := &Lease{Store: st, Worker: "alive", After: 30 * time.Second, Log: log}
	n, err := lease.rescueAll(ctx, client)
	if err != nil || n != 1 {
		t.Fatalf("rescued %d, %v; want 1", n, err)
	}
	for owner, want := range map[string]rivertype.JobState{"dead": rivertype.JobStateAvailable, "alive": rivertype.JobStateRunning} {
		job, err := client.JobGet(ctx, jobOf[owner])
		if err != nil {
			t.Fatal(err)
		}
		if job.State != want {
			t.Errorf("job of %s is %s, want %s", owner, job.State, want)
		}
	}
	for id, want := range map[int64]store.Outcome{1: store.OutcomeLost, 2: store.OutcomeRunning} {
		m, err := st.ActiveMigration(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		steps, err := st.Steps(ctx, m.ID)
		if err != nil || len(steps) != 1 || steps[0].Outcome != want {
			t.Errorf("tries of project %d: %+v, %v; want %s", id, steps, err, want)
		}
	}
	// The worker that slept comes back: it is told that it was given up.
	if known, err := st.WorkerAlive(ctx, "dead"); err != nil || known {
		t.Errorf("the returning worker is known = %v, %v; want false", known, err)
	}
	if n, err := lease.rescueAll(ctx, client); err != nil || n != 0 {
		t.Errorf("second look rescued %d, %v; want 0", n, err)
	}
}
