package store

import "context"

// Unheeded returns the River jobs of migrations that wait for this reason
// although an event of this kind, an order, has come since their last look
// began, and whose next look is not due by itself.
func (s *Store) Unheeded(ctx context.Context, reason, order string) ([]int64, error) {
	type row struct {
		JobID int64 `db:"job_id"`
	}
	rows, err := many[row](ctx, s.db, `
		SELECT look.job_id
		  FROM ferry.migrations m
		  JOIN LATERAL (SELECT job_id, started_at
		                  FROM ferry.steps
		                 WHERE migration_id = m.id
		                 ORDER BY id DESC
		                 LIMIT 1) look ON true
		 WHERE m.state = 'waiting'
		   AND m.reason = $1
		   AND m.next_look_at > now()
		   AND EXISTS (SELECT 1
		                 FROM ferry.events e
		                WHERE e.migration_id = m.id
		                  AND e.kind = $2
		                  AND e.at > look.started_at)`, reason, order)
	if err != nil {
		return nil, wrap(err, "looking for unheeded orders")
	}
	var jobs []int64
	for _, r := range rows {
		jobs = append(jobs, r.JobID)
	}
	return jobs, nil
}
