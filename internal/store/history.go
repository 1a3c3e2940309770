package store

import (
	"context"
	"time"
)

// Band is a group of states, for pictures of the fleet over time.
type Band string

// The bands, in the order of a project's way.
const (
	BandNone      Band = "none"    // never enqueued, cancelled or rolled back
	BandActive    Band = "active"  // queued or running
	BandWaiting   Band = "waiting" // for something outside
	BandAttention Band = "attention"
	BandFailed    Band = "failed"
	BandDone      Band = "done" // done, exceptions, skipped
)

// BandOf returns the band of a state, StateRolledBack included.
func BandOf(s State) Band {
	switch s {
	case StateQueued, StateRunning:
		return BandActive
	case StateWaiting:
		return BandWaiting
	case StateDone, StateExceptions, StateSkipped:
		return BandDone
	case StateAttention:
		return BandAttention
	case StateFailed:
		return BandFailed
	}
	return BandNone
}

// Move says that in a slot of time so many projects went from one band to another.
type Move struct {
	Slot     time.Time `db:"slot"` // when it begins
	From     Band      `db:"before"`
	To       Band      `db:"band"`
	Projects int       `db:"projects"`
}

// Moves returns the moves since a time in slots of the given length; those
// before are put together in the slot that ends then. Nothing is sampled: it
// follows from when migrations began and ended and from their steps.
func (s *Store) Moves(ctx context.Context, since time.Time, slot time.Duration) ([]Move, error) {
	ms, err := many[Move](ctx, s.db, `
		WITH turns AS (
		     SELECT project_id, attempt, created_at AS at, 0 AS rank, 'active' AS band
		       FROM ferry.migrations
		     UNION ALL
		     -- A try that ends in waiting counts as waiting from its beginning: a
		     -- look that finds nothing new is no move.
		     SELECT m.project_id, m.attempt, s.started_at, 1,
		            CASE s.outcome WHEN 'waiting' THEN 'waiting' ELSE 'active' END
		       FROM ferry.steps s
		       JOIN ferry.migrations m ON m.id = s.migration_id
		     UNION ALL
		     SELECT project_id, attempt, finished_at, 2,
		            CASE WHEN kind = 'rollback' AND state IN ('done', 'exceptions', 'skipped') THEN 'none'
		                 WHEN state IN ('done', 'exceptions', 'skipped') THEN 'done'
		                 WHEN state = 'cancelled' THEN 'none'
		                 ELSE state END
		       FROM ferry.migrations
		      WHERE finished_at IS NOT NULL
		), moves AS (
		     SELECT at, band,
		            coalesce(lag(band) OVER (PARTITION BY project_id ORDER BY attempt, rank = 2, at, rank), 'none') AS before
		       FROM turns
		)
		SELECT date_bin($2::interval, greatest(at, $1::timestamptz - $2::interval), $1::timestamptz) AS slot,
		       before, band, count(*)::int AS projects
		  FROM moves
		 WHERE band <> before
		 GROUP BY 1, 2, 3
		 ORDER BY 1, 2, 3`, since, slot)
	return ms, wrap(err, "the fleet's history")
}

// Copied is what was copied within a slot of time.
type Copied struct {
	Slot   time.Time `db:"slot"`
	Images int       `db:"images"`
	Bytes  int64     `db:"bytes"`
}

// Copied returns what was copied since a time, in slots. Images that an attempt
// took over from the one before do not count again.
func (s *Store) Copied(ctx context.Context, since time.Time, slot time.Duration) ([]Copied, error) {
	cs, err := many[Copied](ctx, s.db, `
		SELECT date_bin($2::interval, i.updated_at, $1::timestamptz) AS slot,
		       count(*)::int AS images, coalesce(sum(i.bytes), 0)::bigint AS bytes
		  FROM ferry.images i
		 WHERE i.state = 'copied' AND i.updated_at >= $1
		   AND EXISTS (SELECT 1 FROM ferry.steps s WHERE s.migration_id = i.migration_id AND s.name = 'copy')
		 GROUP BY 1
		 ORDER BY 1`, since, slot)
	return cs, wrap(err, "what was copied over time")
}

// Began returns when the first migration was created, nil if there was none.
func (s *Store) Began(ctx context.Context) (*time.Time, error) {
	var at *time.Time
	err := s.db.QueryRow(ctx, `SELECT min(created_at) FROM ferry.migrations`).Scan(&at)
	return at, wrap(err, "the first migration")
}
