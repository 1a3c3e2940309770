package store

import (
	"context"
	"time"
)

// WorkerAlive records a sign of life of a worker process. It returns false when
// the worker was not known: this is its first sign, or others declared it dead.
func (s *Store) WorkerAlive(ctx context.Context, id string) (known bool, err error) {
	err = s.db.QueryRow(ctx, `
		INSERT INTO ferry.workers (id, started_at, seen_at)
		SELECT $1, t, t FROM clock_timestamp() AS t -- one reading: two would differ
		ON CONFLICT (id) DO UPDATE SET seen_at = clock_timestamp()
		RETURNING started_at <> seen_at`, id).Scan(&known)
	return known, wrap(err, "sign of life of worker %s", id)
}

// WorkerGone takes a worker off the list: it ended in good order.
func (s *Store) WorkerGone(ctx context.Context, id string) error {
	_, err := s.db.Exec(ctx, `DELETE FROM ferry.workers WHERE id = $1`, id)
	return wrap(err, "signing off worker %s", id)
}

// LivingWorkers returns the workers heard of within the given time.
func (s *Store) LivingWorkers(ctx context.Context, within time.Duration) (map[string]bool, error) {
	type row struct {
		ID string `db:"id"`
	}
	rows, err := many[row](ctx, s.db, `
		SELECT id FROM ferry.workers WHERE seen_at > clock_timestamp() - $1::interval`, within)
	alive := make(map[string]bool, len(rows))
	for _, r := range rows {
		alive[r.ID] = true
	}
	return alive, wrap(err, "listing living workers")
}

// DeclareDead takes a worker off the list if nothing was heard of it within the
// given time, and says whether it counts as dead now. A worker that is not on
// the list is dead.
func (s *Store) DeclareDead(ctx context.Context, id string, within time.Duration) (bool, error) {
	_, err := s.db.Exec(ctx, `
		DELETE FROM ferry.workers WHERE id = $1 AND seen_at <= clock_timestamp() - $2::interval`, id, within)
	if err != nil {
		return false, wrap(err, "declaring worker %s dead", id)
	}
	var there bool
	err = s.db.QueryRow(ctx, `SELECT EXISTS (SELECT FROM ferry.workers WHERE id = $1)`, id).Scan(&there)
	return !there, wrap(err, "declaring worker %s dead", id)
}

// LoseSteps marks the running try of a job as lost: its worker fell silent.
func (s *Store) LoseSteps(ctx context.Context, jobID int64) error {
	_, err := s.db.Exec(ctx, `
		UPDATE ferry.steps
		   SET outcome = 'lost', finished_at = clock_timestamp(),
		       error = 'its worker ' || worker || ' gave no sign of life',
		       error_class = 'transient', reason = 'worker-lost'
		 WHERE job_id = $1 AND outcome = 'running'`, jobID)
	return wrap(err, "marking the try of job %d as lost", jobID)
}
