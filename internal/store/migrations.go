package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// State says where a migration stands.
type State string

// The states of a migration. The first three are active, the others have ended.
const (
	StateQueued  State = "queued"
	StateRunning State = "running"
	StateWaiting State = "waiting"

	StateDone       State = "done"
	StateExceptions State = "exceptions" // done, with a list of what was not
	StateSkipped    State = "skipped"    // there was nothing to do
	StateAttention  State = "attention"  // a human must act, then it is enqueued again
	StateFailed     State = "failed"
	StateCancelled  State = "cancelled"

	// StateNone appears only in Status and Progress: never enqueued.
	StateNone State = "none"
)

// Active says whether a migration in this state still goes on by itself.
func (s State) Active() bool {
	return s == StateQueued || s == StateRunning || s == StateWaiting
}

// StepName names a step of a migration.
type StepName string

// The steps, in their order. StepDone is where a migration is when all are behind it.
const (
	StepDiscover  StepName = "discover"
	StepConfigure StepName = "configure"
	StepCopy      StepName = "copy"
	StepRewrite   StepName = "rewrite"
	StepRestore   StepName = "restore" // of a rollback only
	StepPipeline  StepName = "pipeline"
	StepVerify    StepName = "verify"
	StepDone      StepName = "done"
)

// StepOrder holds the steps in the order in which they run, without StepDone.
var StepOrder = []StepName{StepDiscover, StepConfigure, StepCopy, StepRewrite, StepPipeline, StepVerify}

// RollbackOrder holds the steps of a rollback in their order, without StepDone.
var RollbackOrder = []StepName{StepRestore, StepPipeline, StepVerify}

// Kind says which way a migration goes.
type Kind string

// The kinds of migration.
const (
	Migrate  Kind = "migrate"  // to ECR
	Rollback Kind = "rollback" // back to what was before
)

// Order returns the steps of a migration of this kind.
func (k Kind) Order() []StepName {
	if k == Rollback {
		return RollbackOrder
	}
	return StepOrder
}

// Migration is one attempt to migrate a project, or to take that back.
type Migration struct {
	ID        int64 `db:"id"`
	ProjectID int64 `db:"project_id"`
	// RunID is the order it came from; 0 for none.
	RunID int64 `db:"run_id"`
	// Attempt counts the project's attempts from 1.
	Attempt int      `db:"attempt"`
	Origin  RunKind  `db:"origin"`
	Kind    Kind     `db:"kind"`
	State   State    `db:"state"`
	Step    StepName `db:"step"`
	// Since is when State, Step or WaitingFor last changed; set by the store.
	Since time.Time `db:"since"`
	// Reason is a short stable code, ErrorClass a class of package fault.
	Reason     string `db:"reason"`
	ErrorClass string `db:"error_class"`
	// Message says why it is where it is, NextAction what a human should do next.
	Message    string `db:"message"`
	NextAction string `db:"next_action"`
	// WaitingFor is required in StateWaiting. A nil DeadlineAt is a wait without end.
	WaitingFor string          `db:"waiting_for"`
	NextLookAt *time.Time      `db:"next_look_at"`
	DeadlineAt *time.Time      `db:"deadline_at"`
	Policy     json.RawMessage `db:"policy"`
	// Repository is the ECR repository's name, RepositoryURI what images are called by.
	Repository    string `db:"repository"`
	RepositoryURI string `db:"repository_uri"`
	Branch        string `db:"branch"`
	BaseSHA       string `db:"base_sha"`
	CommitSHA     string `db:"commit_sha"`
	// MergeRequestIID and PipelineID are 0 for none.
	MergeRequestIID int64  `db:"merge_request_iid"`
	MergeRequestURL string `db:"merge_request_url"`
	PipelineID      int64  `db:"pipeline_id"`
	PipelineURL     string `db:"pipeline_url"`
	// Baseline is what the project's pipeline and deployments were before we came.
	Baseline json.RawMessage `db:"baseline"`
	// The times are set by the store.
	CreatedAt  time.Time  `db:"created_at"`
	StartedAt  *time.Time `db:"started_at"`
	UpdatedAt  time.Time  `db:"updated_at"`
	FinishedAt *time.Time `db:"finished_at"`
}

// NewMigration is what it takes to start an attempt.
type NewMigration struct {
	ProjectID int64
	RunID     int64 // 0 for none
	Origin    RunKind
	Kind      Kind     // "" is Migrate
	Step      StepName // where it starts; "" is the first of its kind
	Policy    json.RawMessage
}

// ActiveError says that the project already has an active migration.
type ActiveError struct{ Migration Migration }

func (e *ActiveError) Error() string {
	m := e.Migration
	return fmt.Sprintf("project %d already has an active migration: %d, attempt %d, %s at step %s",
		m.ProjectID, m.ID, m.Attempt, m.State, m.Step)
}

// migrationColumns are the columns of a Migration, in queries that differ only
// in how they find it.
const migrationColumns = `
	id, project_id, coalesce(run_id, 0) AS run_id, attempt, origin, kind, state, step, since,
	reason, error_class, message, next_action, waiting_for, next_look_at, deadline_at,
	policy, repository, repository_uri, branch, base_sha, commit_sha,
	coalesce(merge_request_iid, 0) AS merge_request_iid, merge_request_url,
	coalesce(pipeline_id, 0) AS pipeline_id, pipeline_url, baseline,
	created_at, started_at, updated_at, finished_at`

// CreateMigration starts the project's next attempt, in state queued. If the
// project has an active one, the error is an *ActiveError that holds it, and a
// surrounding transaction stays usable. The database decides, so of many
// callers at once one wins. An unknown project is ErrNotFound.
func (s *Store) CreateMigration(ctx context.Context, n NewMigration) (Migration, error) {
	if n.Kind == "" {
		n.Kind = Migrate
	}
	if n.Step == "" {
		n.Step = n.Kind.Order()[0]
	}
	var m Migration
	err := s.InTx(ctx, func(ctx context.Context, tx *Store) error {
		// The lock serialises the counting of attempts; the partial unique index
		// migrations_one_active would decide without it, too.
		locked, err := tx.db.Exec(ctx, `
			SELECT 1 FROM ferry.projects WHERE id = $1 FOR NO KEY UPDATE`, n.ProjectID)
		if err != nil {
			return err
		}
		if locked.RowsAffected() == 0 {
			return ErrNotFound
		}
		m, err = one[Migration](ctx, tx.db, `
			INSERT INTO ferry.migrations (project_id, run_id, attempt, origin, step, policy, kind)
			SELECT $1, nullif($2::bigint, 0), coalesce(max(attempt), 0) + 1, $3, $4, coalesce($5, '{}'::jsonb), $6
			  FROM ferry.migrations
			 WHERE project_id = $1
			ON CONFLICT (project_id) WHERE state IN ('queued', 'running', 'waiting') DO NOTHING
			RETURNING `+migrationColumns,
			n.ProjectID, n.RunID, n.Origin, n.Step, n.Policy, n.Kind)
		if !errors.Is(err, ErrNotFound) {
			return err
		}
		active, err := tx.ActiveMigration(ctx, n.ProjectID)
		if err != nil {
			return err
		}
		return &ActiveError{Migration: active}
	})
	return m, wrap(err, "creating migration of project %d", n.ProjectID)
}

// MigrationByID returns a migration, or ErrNotFound.
func (s *Store) MigrationByID(ctx context.Context, id int64) (Migration, error) {
	m, err := one[Migration](ctx, s.db, `
		SELECT `+migrationColumns+`
		  FROM ferry.migrations
		 WHERE id = $1`, id)
	return m, wrap(err, "migration %d", id)
}

// LockMigration returns a migration and locks its row until the surrounding
// transaction ends, or returns ErrNotFound. It makes sense only within InTx.
func (s *Store) LockMigration(ctx context.Context, id int64) (Migration, error) {
	if s.tx == nil {
		return Migration{}, fmt.Errorf("locking migration %d: not in a transaction", id)
	}
	m, err := one[Migration](ctx, s.db, `
		SELECT `+migrationColumns+`
		  FROM ferry.migrations
		 WHERE id = $1
		   FOR UPDATE`, id)
	return m, wrap(err, "locking migration %d", id)
}

// ActiveMigration returns the project's active migration, or ErrNotFound.
func (s *Store) ActiveMigration(ctx context.Context, projectID int64) (Migration, error) {
	m, err := one[Migration](ctx, s.db, `
		SELECT `+migrationColumns+`
		  FROM ferry.migrations
		 WHERE project_id = $1 AND state IN ('queued', 'running', 'waiting')`, projectID)
	return m, wrap(err, "active migration of project %d", projectID)
}

// LatestMigration returns the project's latest attempt, or ErrNotFound.
func (s *Store) LatestMigration(ctx context.Context, projectID int64) (Migration, error) {
	m, err := one[Migration](ctx, s.db, `
		SELECT `+migrationColumns+`
		  FROM ferry.migrations
		 WHERE project_id = $1
		 ORDER BY attempt DESC
		 LIMIT 1`, projectID)
	return m, wrap(err, "latest migration of project %d", projectID)
}

// Migrations returns all attempts of a project, the latest first.
func (s *Store) Migrations(ctx context.Context, projectID int64) ([]Migration, error) {
	ms, err := many[Migration](ctx, s.db, `
		SELECT `+migrationColumns+`
		  FROM ferry.migrations
		 WHERE project_id = $1
		 ORDER BY attempt DESC`, projectID)
	return ms, wrap(err, "migrations of project %d", projectID)
}

// SaveMigration stores everything of m that may change, and returns it as it is
// now. What may not change is its project, run, attempt, origin, kind and policy.
// The store sets the times: Since when state, step or waiting_for change,
// StartedAt with the first state running, FinishedAt with the end. Ending also
// clears WaitingFor, NextLookAt and DeadlineAt. An *ActiveError says that it
// was to become active again while another attempt is.
func (s *Store) SaveMigration(ctx context.Context, m Migration) (Migration, error) {
	if !m.State.Active() {
		m.WaitingFor, m.NextLookAt, m.DeadlineAt = "", nil, nil
	}
	var saved Migration
	err := s.InTx(ctx, func(ctx context.Context, tx *Store) error {
		var err error
		saved, err = one[Migration](ctx, tx.db, `
			UPDATE ferry.migrations
			   SET since = CASE WHEN (state, step, waiting_for) IS DISTINCT FROM ($2, $3, $8)
			                    THEN clock_timestamp() ELSE since END,
			       started_at = CASE WHEN $2 = 'running' THEN coalesce(started_at, clock_timestamp())
			                         ELSE started_at END,
			       finished_at = CASE WHEN $2 NOT IN ('queued', 'running', 'waiting')
			                          THEN coalesce(finished_at, clock_timestamp()) END,
			       updated_at = clock_timestamp(),
			       state = $2, step = $3, reason = $4, error_class = $5, message = $6,
			       next_action = $7, waiting_for = $8, next_look_at = $9, deadline_at = $10,
			       repository = $11, repository_uri = $12, branch = $13, base_sha = $14, commit_sha = $15,
			       merge_request_iid = nullif($16::bigint, 0), merge_request_url = $17,
			       pipeline_id = nullif($18::bigint, 0), pipeline_url = $19,
			       baseline = coalesce($20, '{}'::jsonb)
			 WHERE id = $1
			RETURNING `+migrationColumns,
			m.ID, m.State, m.Step, m.Reason, m.ErrorClass, m.Message,
			m.NextAction, m.WaitingFor, m.NextLookAt, m.DeadlineAt,
			m.Repository, m.RepositoryURI, m.Branch, m.BaseSHA, m.CommitSHA,
			m.MergeRequestIID, m.MergeRequestURL, m.PipelineID, m.PipelineURL, m.Baseline)
		return err
	})
	if violates(err, "migrations_one_active") {
		active, lookErr := s.ActiveMigration(ctx, m.ProjectID)
		if lookErr == nil {
			err = &ActiveError{Migration: active}
		}
	}
	return saved, wrap(err, "saving migration %d", m.ID)
}
