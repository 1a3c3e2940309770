package store

import (
	"context"
	"errors"
	"time"
)

// budgetLock serialises the counting of pipelines over all processes. The value
// means nothing.
const budgetLock = 7_304_115_529

// StartPipeline asks the budget of the whole fleet for one more pipeline: at
// most perHour within an hour, 0 for any number. The same cause of the same
// migration counts once, so a step may ask again after an interruption. When
// the budget is used up it answers false and how long it takes until it is not.
func (s *Store) StartPipeline(ctx context.Context, migrationID int64, cause string, perHour int) (ok bool, wait time.Duration, err error) {
	type look struct {
		Mine  bool           `db:"mine"`
		Count int            `db:"count"`
		Free  *time.Duration `db:"free"`
	}
	err = s.InTx(ctx, func(ctx context.Context, tx *Store) error {
		if perHour > 0 {
			if _, err := tx.db.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(budgetLock)); err != nil {
				return err
			}
		}
		now, err := one[look](ctx, tx.db, `
			SELECT EXISTS (SELECT 1 FROM ferry.pipeline_starts WHERE migration_id = $1 AND cause = $2) AS mine,
			       count(*)::int AS count,
			       (array_agg(at + interval '1 hour' - clock_timestamp() ORDER BY at DESC))[nullif($3::int, 0)] AS free
			  FROM ferry.pipeline_starts
			 WHERE at > clock_timestamp() - interval '1 hour'`, migrationID, cause, perHour)
		if err != nil {
			return err
		}
		if now.Mine {
			ok = true
			return nil
		}
		if perHour > 0 && now.Count >= perHour {
			if now.Free == nil {
				return errors.New("a full budget without a start")
			}
			wait = *now.Free
			return nil
		}
		_, err = tx.db.Exec(ctx, `
			INSERT INTO ferry.pipeline_starts (migration_id, cause)
			VALUES ($1, $2)
			ON CONFLICT DO NOTHING`, migrationID, cause)
		ok = err == nil
		return err
	})
	return ok, wait, wrap(err, "asking the budget of pipelines")
}
