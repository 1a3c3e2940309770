package store

import "context"

// QueueDepth is how many jobs of a queue are in one of River's states.
type QueueDepth struct {
	Queue string `db:"queue"`
	State string `db:"state"`
	Jobs  int    `db:"jobs"`
}

// QueueDepths counts the jobs that are not ended, by queue and state. Ended ones
// are left out: they say nothing of the load, and are most of the table.
func (s *Store) QueueDepths(ctx context.Context) ([]QueueDepth, error) {
	depths, err := many[QueueDepth](ctx, s.db, `
		SELECT queue, state::text AS state, count(*)::int AS jobs
		  FROM river.river_job
		 WHERE state IN ('available', 'pending', 'retryable', 'running', 'scheduled')
		 GROUP BY queue, state
		 ORDER BY queue, state
		 LIMIT 100`)
	return depths, wrap(err, "counting the jobs in the queues")
}
