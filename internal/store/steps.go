package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Outcome says how a try of a step ended.
type Outcome string

// The outcomes of a step.
const (
	OutcomeRunning   Outcome = "running"
	OutcomeDone      Outcome = "done"
	OutcomeWaiting   Outcome = "waiting" // asks again later
	OutcomeAttention Outcome = "attention"
	OutcomeRetry     Outcome = "retry" // failed and will be tried again
	OutcomeFailed    Outcome = "failed"
	OutcomeLost      Outcome = "lost" // its worker vanished
	OutcomeCancelled Outcome = "cancelled"
)

// Step is one try of a step of a migration.
type Step struct {
	ID          int64    `db:"id"`
	MigrationID int64    `db:"migration_id"`
	Name        StepName `db:"name"`
	// Try counts the tries of this step of this migration from 1.
	Try int `db:"try"`
	// JobID is River's id of the job that ran it, Worker the process.
	JobID  int64  `db:"job_id"`
	Worker string `db:"worker"`
	// Request is the id of the try in logs, and X-Request-Id in its requests to
	// systems outside; empty in rows of versions that did not keep it.
	Request    string     `db:"request"`
	StartedAt  time.Time  `db:"started_at"`
	FinishedAt *time.Time `db:"finished_at"`
	// Duration is nil while it runs.
	Duration   *time.Duration  `db:"duration"`
	Outcome    Outcome         `db:"outcome"`
	Error      string          `db:"error"`
	ErrorClass string          `db:"error_class"`
	Reason     string          `db:"reason"`
	Result     json.RawMessage `db:"result"`
}

// NewStep is what it takes to start a step.
type NewStep struct {
	MigrationID int64
	Name        StepName
	JobID       int64
	Worker      string
	Request     string
}

// Finish is how a step ended. Outcome is required and not running.
type Finish struct {
	Outcome    Outcome
	Error      string
	ErrorClass string
	Reason     string
	Result     json.RawMessage
}

// RunningError says that another job is at work on the migration.
type RunningError struct{ Step Step }

func (e *RunningError) Error() string {
	return fmt.Sprintf("step %s of migration %d is running already: job %d in %s, since %s",
		e.Step.Name, e.Step.MigrationID, e.Step.JobID, e.Step.Worker, e.Step.StartedAt.Format(time.RFC3339))
}

// stepColumns are the columns of a Step.
const stepColumns = `
	id, migration_id, name, try, job_id, worker, request, started_at, finished_at,
	duration, outcome, error, error_class, reason, result`

// StartStep begins the next try of a step. A running one of the same job is
// what a vanished worker left behind and is marked lost first; River never runs
// one job twice knowingly, and if the earlier worker is alive after all, it is
// fenced off: its FinishStep says false. A running one of another
// job is a *RunningError, and a surrounding transaction stays usable.
func (s *Store) StartStep(ctx context.Context, n NewStep) (Step, error) {
	var st Step
	err := s.InTx(ctx, func(ctx context.Context, tx *Store) error {
		// The lock serialises the counting of tries.
		locked, err := tx.db.Exec(ctx, `
			SELECT 1 FROM ferry.migrations WHERE id = $1 FOR NO KEY UPDATE`, n.MigrationID)
		if err != nil {
			return err
		}
		if locked.RowsAffected() == 0 {
			return ErrNotFound
		}
		_, err = tx.db.Exec(ctx, `
			UPDATE ferry.steps
			   SET outcome = 'lost', finished_at = clock_timestamp(),
			       error = 'its job was started again', error_class = 'transient', reason = 'worker-lost'
			 WHERE migration_id = $1 AND job_id = $2 AND outcome = 'running'`, n.MigrationID, n.JobID)
		if err != nil {
			return err
		}
		st, err = one[Step](ctx, tx.db, `
			INSERT INTO ferry.steps (migration_id, name, job_id, worker, request, try)
			SELECT $1, $2, $3, $4, $5, coalesce(max(try), 0) + 1
			  FROM ferry.steps
			 WHERE migration_id = $1 AND name = $2
			ON CONFLICT (migration_id) WHERE outcome = 'running' DO NOTHING
			RETURNING `+stepColumns, n.MigrationID, n.Name, n.JobID, n.Worker, n.Request)
		if !errors.Is(err, ErrNotFound) {
			return err
		}
		running, err := one[Step](ctx, tx.db, `
			SELECT `+stepColumns+`
			  FROM ferry.steps
			 WHERE migration_id = $1 AND outcome = 'running'`, n.MigrationID)
		if err != nil {
			return err
		}
		return &RunningError{Step: running}
	})
	return st, wrap(err, "starting step %s of migration %d", n.Name, n.MigrationID)
}

// FinishStep records how a step ended. It returns false, and changes nothing,
// when the step is not running any more; the caller must then roll back what
// else it was about to write.
func (s *Store) FinishStep(ctx context.Context, stepID int64, f Finish) (bool, error) {
	if f.Outcome == OutcomeRunning || f.Outcome == "" {
		return false, fmt.Errorf("finishing step %d: outcome %q is no end", stepID, f.Outcome)
	}
	tag, err := s.db.Exec(ctx, `
		UPDATE ferry.steps
		   SET outcome = $2, error = $3, error_class = $4, reason = $5,
		       result = coalesce($6, '{}'::jsonb), finished_at = clock_timestamp()
		 WHERE id = $1 AND outcome = 'running'`,
		stepID, f.Outcome, f.Error, f.ErrorClass, f.Reason, f.Result)
	return tag.RowsAffected() == 1, wrap(err, "finishing step %d", stepID)
}

// Steps returns the tries of a migration's steps, in the order they began.
func (s *Store) Steps(ctx context.Context, migrationID int64) ([]Step, error) {
	steps, err := many[Step](ctx, s.db, `
		SELECT `+stepColumns+`
		  FROM ferry.steps
		 WHERE migration_id = $1
		 ORDER BY id`, migrationID)
	return steps, wrap(err, "steps of migration %d", migrationID)
}
