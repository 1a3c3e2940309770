package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"gitlab.sikt.no/platon/ecrferry/internal/postgres/postgrestest"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// bench is a store on a database of its own.
type bench struct {
	*testing.T
	*store.Store
	pool *pgxpool.Pool
	ctx  context.Context
}

func open(t *testing.T) *bench {
	t.Helper()
	t.Parallel()
	pool := postgrestest.New(t)
	return &bench{T: t, Store: store.New(pool), pool: pool, ctx: context.Background()}
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// projects stores projects with the given ids at group/p<id>.
func (b *bench) projects(ids ...int64) {
	b.Helper()
	var ps []store.Project
	for _, id := range ids {
		ps = append(ps, store.Project{ID: id, Path: fmt.Sprintf("group/p%d", id), CIEnabled: true})
	}
	b.must(b.UpsertProjects(b.ctx, ps))
}

// migration starts a migration of a project.
func (b *bench) migration(project int64) store.Migration {
	b.Helper()
	m, err := b.CreateMigration(b.ctx, store.NewMigration{ProjectID: project, Origin: store.KindProject})
	b.must(err)
	return m
}

// end brings a migration to a state.
func (b *bench) end(m store.Migration, state store.State, reason string) store.Migration {
	b.Helper()
	m.State, m.Reason, m.Message = state, reason, "because of "+reason
	m, err := b.SaveMigration(b.ctx, m)
	b.must(err)
	return m
}

func TestInTx(t *testing.T) {
	b := open(t)
	if b.Tx() != nil {
		t.Error("a store on a pool has a transaction")
	}
	stop := errors.New("stop")
	err := b.InTx(b.ctx, func(ctx context.Context, tx *store.Store) error {
		if tx.Tx() == nil {
			t.Error("no transaction within InTx")
		}
		b.must(tx.UpsertProjects(ctx, []store.Project{{ID: 1, Path: "a/b"}}))
		// A failed inner part does not spoil the outer one.
		err := tx.InTx(ctx, func(ctx context.Context, inner *store.Store) error {
			b.must(inner.UpsertProjects(ctx, []store.Project{{ID: 2, Path: "a/c"}}))
			return stop
		})
		if !errors.Is(err, stop) {
			t.Errorf("the inner error is lost: %v", err)
		}
		_, err = tx.ProjectByID(ctx, 1)
		return err
	})
	b.must(err)
	if _, err := b.ProjectByID(b.ctx, 2); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the inner part was not rolled back: %v", err)
	}
	err = b.InTx(b.ctx, func(ctx context.Context, tx *store.Store) error {
		b.must(tx.UpsertProjects(ctx, []store.Project{{ID: 3, Path: "a/d"}}))
		return stop
	})
	if !errors.Is(err, stop) {
		t.Errorf("the error is lost: %v", err)
	}
	if _, err := b.ProjectByID(b.ctx, 3); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("not rolled back: %v", err)
	}
}

func TestRuns(t *testing.T) {
	b := open(t)
	if _, err := b.LatestRun(b.ctx); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("latest of none: %v", err)
	}
	r, err := b.CreateRun(b.ctx, store.Run{Kind: store.KindAll, Actor: "ola@host", Selection: []byte(`{"group": "g"}`)})
	b.must(err)
	if r.State != store.RunQueued || string(r.Policy) != "{}" || string(r.Selection) != `{"group": "g"}` || r.FinishedAt != nil {
		t.Errorf("created %+v", r)
	}
	r.State, r.Seen, r.Enrolled, r.LeftOut = store.RunEnqueued, 5, 3, 2
	r, err = b.UpdateRun(b.ctx, r)
	b.must(err)
	latest, err := b.LatestRun(b.ctx)
	b.must(err)
	if latest.ID != r.ID || latest.FinishedAt == nil || latest.Seen != 5 || latest.Enrolled != 3 || latest.LeftOut != 2 {
		t.Errorf("latest %+v", latest)
	}
	if _, err := b.UpdateRun(b.ctx, store.Run{ID: 99, State: store.RunFailed}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("updating an unknown run: %v", err)
	}
}

// The database refuses what must not be, whoever asks.
func TestConstraints(t *testing.T) {
	b := open(t)
	b.projects(1, 2)
	m := b.migration(1)
	for _, tt := range []struct{ name, constraint, sql string }{
		{"unknown state", "migrations_state", `UPDATE ferry.migrations SET state = 'happy', finished_at = now()`},
		{"unknown step", "migrations_step", `UPDATE ferry.migrations SET step = 'pray'`},
		{"ended without an end", "migrations_finished", `UPDATE ferry.migrations SET state = 'done'`},
		{"active with an end", "migrations_finished", `UPDATE ferry.migrations SET finished_at = now()`},
		{"waiting for nothing", "migrations_waiting_for", `UPDATE ferry.migrations SET state = 'waiting'`},
		{"failed without a reason", "migrations_explained", `UPDATE ferry.migrations SET state = 'failed', finished_at = now()`},
		{"unknown class", "migrations_error_class", `UPDATE ferry.migrations SET error_class = 'odd'`},
		{"second active one", "migrations_one_active", `INSERT INTO ferry.migrations (project_id, attempt, origin) VALUES (1, 2, 'all')`},
		{"same attempt", "migrations_attempt", `INSERT INTO ferry.migrations (project_id, attempt, origin, state, finished_at) VALUES (1, 1, 'all', 'done', now())`},
		{"no project", "migrations_project_id_fkey", `INSERT INTO ferry.migrations (project_id, attempt, origin) VALUES (77, 1, 'all')`},
		{"unknown origin", "migrations_origin", `INSERT INTO ferry.migrations (project_id, attempt, origin) VALUES (2, 1, 'me')`},
		{"project with history", "migrations_project_id_fkey", `DELETE FROM ferry.projects WHERE id = 1`},
		{"same path in another case", "projects_path", `UPDATE ferry.projects SET path = 'Group/P1' WHERE id = 2`},
		{"unknown kind", "runs_kind", `INSERT INTO ferry.runs (kind, actor) VALUES ('some', 'x')`},
		{"run by nobody", "runs_actor", `INSERT INTO ferry.runs (kind, actor) VALUES ('all', '')`},
		{"owned by nobody", "repositories_owner", `INSERT INTO ferry.repositories (name, ownership) VALUES ('a/b', 'owned')`},
		{"ambiguous between one", "repositories_candidates", `INSERT INTO ferry.repositories (name, ownership, candidates) VALUES ('a/b', 'ambiguous', '{a}')`},
		{"copied with another digest", "images_verified", `INSERT INTO ferry.images (migration_id, source_repository, source_tag, source_digest, target_digest, state) VALUES (1, 'a', '1', 'x', 'y', 'copied')`},
		{"copied without a digest", "images_verified", `INSERT INTO ferry.images (migration_id, source_repository, source_tag, state) VALUES (1, 'a', '1', 'present')`},
		{"left out without a reason", "images_explained", `INSERT INTO ferry.images (migration_id, source_repository, source_tag, state) VALUES (1, 'a', '1', 'left-out')`},
		{"unknown severity", "findings_severity", `INSERT INTO ferry.findings (migration_id, step, code, severity) VALUES (1, 'copy', 'c', 'bad')`},
		{"unknown answer", "evidence_result", `INSERT INTO ferry.evidence (migration_id, step, name, result) VALUES (1, 'verify', 'c', 'maybe')`},
		{"step done while running", "steps_finished", `INSERT INTO ferry.steps (migration_id, name, try, job_id, outcome) VALUES (1, 'copy', 1, 1, 'done')`},
		{"unknown outcome", "steps_outcome", `INSERT INTO ferry.steps (migration_id, name, try, job_id, outcome, finished_at) VALUES (1, 'copy', 1, 1, 'fine', now())`},
	} {
		_, err := b.pool.Exec(b.ctx, tt.sql)
		if got := constraintOf(err); got != tt.constraint {
			t.Errorf("%s: refused by %q (%v), want %s", tt.name, got, err, tt.constraint)
		}
	}
	if m.ID != 1 {
		t.Errorf("the migration has id %d, the statements above assume 1", m.ID)
	}
}

// constraintOf returns the constraint that refused, or "".
func constraintOf(err error) string {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return refused.ConstraintName
	}
	return ""
}
