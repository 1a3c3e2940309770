package store

import (
	"context"
	"encoding/json"
	"slices"
	"time"
)

// Event is an entry of the log: an order, a turn of a migration, or a write to
// the outside. It never changes.
type Event struct {
	ID int64     `db:"id"`
	At time.Time `db:"at"` // set by the store
	// Actor and Kind are required.
	Actor string `db:"actor"`
	Kind  string `db:"kind"`
	// System is the system written to; "" for what happened within.
	System string `db:"system"`
	// ProjectID and MigrationID are 0 for none.
	ProjectID   int64           `db:"project_id"`
	MigrationID int64           `db:"migration_id"`
	Detail      string          `db:"detail"`
	URL         string          `db:"url"`
	Data        json.RawMessage `db:"data"`
}

// EventFilter chooses events; what is zero does not matter.
type EventFilter struct {
	ProjectID   int64
	MigrationID int64
	Kind        string
	System      string
	// After is the ID of the last event that is known already.
	After int64
	// Limit keeps the latest so many; 0 keeps all.
	Limit int
}

// AddEvents appends to the log. An event of a migration is one of its project, too.
func (s *Store) AddEvents(ctx context.Context, events ...Event) error {
	b := newBatch()
	for _, e := range events {
		b.Queue(`
			INSERT INTO ferry.events (actor, kind, system, project_id, migration_id, detail, url, data)
			VALUES ($1, $2, $3,
			       coalesce(nullif($4::bigint, 0), (SELECT project_id FROM ferry.migrations WHERE id = $5)),
			       nullif($5::bigint, 0), $6, $7, coalesce($8, '{}'::jsonb))`,
			e.Actor, e.Kind, e.System, e.ProjectID, e.MigrationID, e.Detail, e.URL, e.Data)
	}
	return wrap(b.send(ctx, s.db), "adding %d events", len(events))
}

// Events returns the chosen events in the order they were added.
func (s *Store) Events(ctx context.Context, f EventFilter) ([]Event, error) {
	es, err := many[Event](ctx, s.db, `
		SELECT id, at, actor, kind, system, coalesce(project_id, 0) AS project_id,
		       coalesce(migration_id, 0) AS migration_id, detail, url, data
		  FROM ferry.events
		 WHERE ($1::bigint = 0 OR project_id = $1)
		   AND ($2::bigint = 0 OR migration_id = $2)
		   AND ($3 = '' OR kind = $3)
		   AND ($4 = '' OR system = $4)
		   AND id > $5
		 ORDER BY id DESC
		 LIMIT nullif($6::bigint, 0)`,
		f.ProjectID, f.MigrationID, f.Kind, f.System, f.After, f.Limit)
	slices.Reverse(es)
	return es, wrap(err, "events")
}
