package store

import (
	"context"
	"fmt"
	"time"
)

// Worker is a worker process and what it is at.
type Worker struct {
	ID        string    `db:"id"`
	StartedAt time.Time `db:"started_at"`
	SeenAt    time.Time `db:"seen_at"`
	Running   int       `db:"running"` // tries
}

// Workers returns the workers that have signed on and not off, dead ones
// included until they are declared dead.
func (s *Store) Workers(ctx context.Context) ([]Worker, error) {
	ws, err := many[Worker](ctx, s.db, `
		SELECT w.id, w.started_at, w.seen_at,
		       (SELECT count(*)::int FROM ferry.steps WHERE worker = w.id AND outcome = 'running') AS running
		  FROM ferry.workers w
		 ORDER BY w.started_at, w.id`)
	return ws, wrap(err, "listing workers")
}

// PipelineStarts counts the pipelines that were started within the last hour,
// and says when the oldest of them stops to count.
func (s *Store) PipelineStarts(ctx context.Context) (count int, free *time.Time, err error) {
	err = s.db.QueryRow(ctx, `
		SELECT count(*), min(at) + interval '1 hour'
		  FROM ferry.pipeline_starts
		 WHERE at > clock_timestamp() - interval '1 hour'`).Scan(&count, &free)
	return count, free, wrap(err, "counting pipelines")
}

// Pulse returns a text that changes whenever something happens to a project, or
// to any when the id is 0: cheap enough to be asked every second.
func (s *Store) Pulse(ctx context.Context, projectID int64) (string, error) {
	var event, step int64
	var migrated *time.Time
	var workers int
	var err error
	if projectID == 0 {
		err = s.db.QueryRow(ctx, `
			SELECT (SELECT coalesce(max(id), 0) FROM ferry.events),
			       (SELECT coalesce(max(id), 0) FROM ferry.steps),
			       greatest((SELECT max(updated_at) FROM ferry.migrations), (SELECT max(updated_at) FROM ferry.copies WHERE ended_at IS NULL)),
			       (SELECT count(*) FROM ferry.workers)`).Scan(&event, &step, &migrated, &workers)
	} else {
		err = s.db.QueryRow(ctx, `
			SELECT (SELECT coalesce(max(id), 0) FROM ferry.events WHERE project_id = $1),
			       greatest(coalesce(max(m.updated_at), 'epoch'), max(c.updated_at))
			  FROM ferry.migrations m LEFT JOIN ferry.copies c ON c.migration_id = m.id
			 WHERE m.project_id = $1`, projectID).Scan(&event, &migrated)
	}
	if err != nil {
		return "", wrap(err, "the pulse of project %d", projectID)
	}
	at := int64(0)
	if migrated != nil {
		at = migrated.UnixMicro()
	}
	return fmt.Sprintf("%d-%d-%d-%d", event, step, at, workers), nil
}

// Changes returns the files that a migration changed, by path: what each held
// before and after.
func (s *Store) Changes(ctx context.Context, migrationID int64) ([]Inverse, error) {
	is, err := many[Inverse](ctx, s.db, `
		SELECT path, before, after
		  FROM ferry.inverses
		 WHERE migration_id = $1
		 ORDER BY path`, migrationID)
	return is, wrap(err, "the changes of migration %d", migrationID)
}
