package store

import (
	"context"
	"time"
)

// Copying is how far the latest copy of a migration is.
type Copying struct {
	MigrationID int64      `db:"migration_id" json:"migration_id"`
	Images      int        `db:"images" json:"images"` // to copy
	ImagesDone  int        `db:"images_done" json:"images_done"`
	Blobs       int        `db:"blobs" json:"blobs"`
	BlobsDone   int        `db:"blobs_done" json:"blobs_done"`
	Bytes       int64      `db:"bytes" json:"bytes"` // of blobs
	BytesDone   int64      `db:"bytes_done" json:"bytes_done"`
	Writes      int        `db:"writes" json:"writes"` // of manifests and tags
	WritesDone  int        `db:"writes_done" json:"writes_done"`
	Rate        float64    `db:"rate" json:"rate"`                 // bytes a second
	EndsAt      *time.Time `db:"ends_at" json:"ends_at,omitempty"` // estimate
	StartedAt   time.Time  `db:"started_at" json:"started_at"`
	UpdatedAt   time.Time  `db:"updated_at" json:"updated_at"`
	EndedAt     *time.Time `db:"ended_at" json:"ended_at,omitempty"`
}

// SaveCopying writes how far a copy is: begun for its first row, ended for its
// last. left estimates how long it takes yet, 0 if that is not known. The times
// of c are set by the store.
func (s *Store) SaveCopying(ctx context.Context, c Copying, left time.Duration, begun, ended bool) error {
	_, err := s.db.Exec(ctx, `
		INSERT INTO ferry.copies AS c (migration_id, images, images_done, blobs, blobs_done, bytes, bytes_done,
		       writes, writes_done, rate, ends_at, ended_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
		        clock_timestamp() + nullif($11::interval, '0'), CASE WHEN $13 THEN clock_timestamp() END)
		ON CONFLICT (migration_id) DO UPDATE
		   SET images = excluded.images, images_done = excluded.images_done,
		       blobs = excluded.blobs, blobs_done = excluded.blobs_done,
		       bytes = excluded.bytes, bytes_done = excluded.bytes_done,
		       writes = excluded.writes, writes_done = excluded.writes_done,
		       rate = excluded.rate, ends_at = excluded.ends_at, ended_at = excluded.ended_at,
		       started_at = CASE WHEN $12 THEN clock_timestamp() ELSE c.started_at END,
		       updated_at = clock_timestamp()`,
		c.MigrationID, c.Images, c.ImagesDone, c.Blobs, c.BlobsDone, c.Bytes, c.BytesDone, c.Writes, c.WritesDone, c.Rate,
		left, begun, ended)
	return wrap(err, "saving how far the copy of migration %d is", c.MigrationID)
}

// Copying returns how far the latest copy of a migration is; ErrNotFound if it
// has not copied anything.
func (s *Store) Copying(ctx context.Context, migrationID int64) (Copying, error) {
	c, err := one[Copying](ctx, s.db, `
		SELECT migration_id, images, images_done, blobs, blobs_done, bytes, bytes_done, writes, writes_done,
		       rate, ends_at, started_at, updated_at, ended_at
		  FROM ferry.copies
		 WHERE migration_id = $1`, migrationID)
	return c, wrap(err, "how far the copy of migration %d is", migrationID)
}

// Copies returns the copies that run, the oldest first. One whose worker has
// died stays in the list until another goes on with it: see UpdatedAt.
func (s *Store) Copies(ctx context.Context) ([]Copying, error) {
	list, err := many[Copying](ctx, s.db, `
		SELECT migration_id, images, images_done, blobs, blobs_done, bytes, bytes_done, writes, writes_done,
		       rate, ends_at, started_at, updated_at, ended_at
		  FROM ferry.copies
		 WHERE ended_at IS NULL
		 ORDER BY started_at`)
	return list, wrap(err, "running copies")
}

// RunningCopy is a copy that runs, and the project that it is of.
type RunningCopy struct {
	Copying
	Path string `db:"path" json:"path"`
}

// RunningCopies returns Copies with their projects, the one with the most bytes
// to come first.
func (s *Store) RunningCopies(ctx context.Context) ([]RunningCopy, error) {
	list, err := many[RunningCopy](ctx, s.db, `
		SELECT c.migration_id, c.images, c.images_done, c.blobs, c.blobs_done, c.bytes, c.bytes_done, c.writes, c.writes_done,
		       c.rate, c.ends_at, c.started_at, c.updated_at, c.ended_at, p.path
		  FROM ferry.copies c
		  JOIN ferry.migrations m ON m.id = c.migration_id
		  JOIN ferry.projects p ON p.id = m.project_id
		 WHERE c.ended_at IS NULL
		   AND m.state IN ('queued', 'running', 'waiting')
		 ORDER BY c.bytes - c.bytes_done DESC, p.path`)
	return list, wrap(err, "running copies and their projects")
}
