package store

import (
	"context"
	"encoding/json"
	"time"
)

// RunKind is what a run was asked to enqueue. It is also the Origin of migrations.
type RunKind string

// The kinds of run.
const (
	KindAll     RunKind = "all"
	KindProject RunKind = "project"
	KindFailed  RunKind = "failed"
	// KindRollback is the origin of rollbacks; no run is of this kind.
	KindRollback RunKind = "rollback"
)

// RunState says how far a run is.
type RunState string

// The states of a run: queued, walking while projects are being listed,
// enqueued when every chosen project has its migration, failed.
const (
	RunQueued   RunState = "queued"
	RunWalking  RunState = "walking"
	RunEnqueued RunState = "enqueued"
	RunFailed   RunState = "failed"
)

// Run is one order: somebody asked for projects to be migrated.
type Run struct {
	ID    int64   `db:"id"`
	Kind  RunKind `db:"kind"`
	Actor string  `db:"actor"`
	Note  string  `db:"note"`
	// Wave is the name that the order was given; several runs may share it.
	Wave string `db:"wave"`
	// Budget is how many failures it may have before the intake pauses.
	Budget Budget `db:"budget"`
	// Selection says which projects were asked for, normally a Selection as JSON.
	Selection json.RawMessage `db:"selection"`
	// Policy holds the choices that each migration of the run starts with.
	Policy  json.RawMessage `db:"policy"`
	State   RunState        `db:"state"`
	Message string          `db:"message"`
	// Seen, Enrolled and LeftOut count projects.
	Seen       int        `db:"seen"`
	Enrolled   int        `db:"enrolled"`
	LeftOut    int        `db:"left_out"`
	CreatedAt  time.Time  `db:"created_at"`
	FinishedAt *time.Time `db:"finished_at"`
}

// CreateRun stores a new run in state queued. Kind and Actor are required;
// Note, Wave, Budget, Selection and Policy are kept, everything else is ignored.
func (s *Store) CreateRun(ctx context.Context, r Run) (Run, error) {
	created, err := one[Run](ctx, s.db, `
		INSERT INTO ferry.runs (kind, actor, note, selection, policy, wave, budget)
		VALUES ($1, $2, $3, coalesce($4, '{}'::jsonb), coalesce($5, '{}'::jsonb), $6, $7)
		RETURNING id, kind, actor, note, wave, budget, selection, policy, state, message,
		          seen, enrolled, left_out, created_at, finished_at`,
		r.Kind, r.Actor, r.Note, r.Selection, r.Policy, r.Wave, r.Budget)
	return created, wrap(err, "creating run")
}

// UpdateRun stores state, message and counts of the run with r's ID and returns
// it as it is now. The run is finished when its state is enqueued or failed.
func (s *Store) UpdateRun(ctx context.Context, r Run) (Run, error) {
	updated, err := one[Run](ctx, s.db, `
		UPDATE ferry.runs
		   SET state = $2, message = $3, seen = $4, enrolled = $5, left_out = $6,
		       finished_at = CASE WHEN $2 IN ('enqueued', 'failed') THEN coalesce(finished_at, now()) END
		 WHERE id = $1
		RETURNING id, kind, actor, note, wave, budget, selection, policy, state, message,
		          seen, enrolled, left_out, created_at, finished_at`,
		r.ID, r.State, r.Message, r.Seen, r.Enrolled, r.LeftOut)
	return updated, wrap(err, "updating run %d", r.ID)
}

// Run returns a run, or ErrNotFound.
func (s *Store) Run(ctx context.Context, id int64) (Run, error) {
	r, err := one[Run](ctx, s.db, `
		SELECT id, kind, actor, note, wave, budget, selection, policy, state, message,
		       seen, enrolled, left_out, created_at, finished_at
		  FROM ferry.runs
		 WHERE id = $1`, id)
	return r, wrap(err, "run %d", id)
}

// LatestRun returns the run that was created last, or ErrNotFound.
func (s *Store) LatestRun(ctx context.Context) (Run, error) {
	r, err := one[Run](ctx, s.db, `
		SELECT id, kind, actor, note, wave, budget, selection, policy, state, message,
		       seen, enrolled, left_out, created_at, finished_at
		  FROM ferry.runs
		 ORDER BY id DESC
		 LIMIT 1`)
	return r, wrap(err, "latest run")
}
