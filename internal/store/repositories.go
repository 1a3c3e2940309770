package store

import (
	"context"
	"time"
)

// Ownership says whose a repository of the old registry is.
type Ownership string

// The kinds of ownership.
const (
	Owned     Ownership = "owned"
	Nobody    Ownership = "nobody"
	Ambiguous Ownership = "ambiguous"
)

// Repository is a repository of the old registry and whose it is.
type Repository struct {
	Name string `db:"name"`
	// ProjectID is 0 unless the repository is owned.
	ProjectID int64 `db:"project_id"`
	// ImageName is the image's name within its project; "" is the root image.
	ImageName string    `db:"image_name"`
	Ownership Ownership `db:"ownership"`
	// Candidates are the project paths that an ambiguous repository may belong to.
	Candidates []string `db:"candidates"`
	// SeenAt is set by the store.
	SeenAt time.Time `db:"seen_at"`
}

// Inventory is a complete look at GitLab and the old registry.
type Inventory struct {
	ID         int64     `db:"id"`
	FinishedAt time.Time `db:"finished_at"`
	// Projects and Repositories count what there was then.
	Projects     int `db:"projects"`
	Repositories int `db:"repositories"`
}

// ReplaceRepositories stores the old registry's repositories in place of those
// known before, and records that an inventory is complete. It is one
// transaction: a reader sees the old inventory or the new one, never a part.
func (s *Store) ReplaceRepositories(ctx context.Context, rs []Repository) error {
	err := s.InTx(ctx, func(ctx context.Context, tx *Store) error {
		// Two inventories at once would insert each other's names twice.
		if _, err := tx.db.Exec(ctx, `LOCK TABLE ferry.repositories IN SHARE ROW EXCLUSIVE MODE`); err != nil {
			return err
		}
		if _, err := tx.db.Exec(ctx, `DELETE FROM ferry.repositories`); err != nil {
			return err
		}
		b := newBatch()
		for _, r := range rs {
			b.Queue(`
				INSERT INTO ferry.repositories (name, project_id, image_name, ownership, candidates)
				VALUES ($1, nullif($2::bigint, 0), $3, $4, coalesce($5::text[], '{}'))`,
				r.Name, r.ProjectID, r.ImageName, r.Ownership, r.Candidates)
		}
		if err := b.send(ctx, tx.db); err != nil {
			return err
		}
		_, err := tx.db.Exec(ctx, `
			INSERT INTO ferry.inventories (projects, repositories)
			SELECT (SELECT count(*) FROM ferry.projects WHERE gone_at IS NULL),
			       (SELECT count(*) FROM ferry.repositories)`)
		return err
	})
	return wrap(err, "replacing the inventory by %d repositories", len(rs))
}

// RepositoriesOf returns the repositories that a project owns, by name.
func (s *Store) RepositoriesOf(ctx context.Context, projectID int64) ([]Repository, error) {
	rs, err := many[Repository](ctx, s.db, `
		SELECT name, coalesce(project_id, 0) AS project_id, image_name, ownership, candidates, seen_at
		  FROM ferry.repositories
		 WHERE project_id = $1
		 ORDER BY name`, projectID)
	return rs, wrap(err, "repositories of project %d", projectID)
}

// Repositories returns all repositories of the old registry, by name.
func (s *Store) Repositories(ctx context.Context) ([]Repository, error) {
	rs, err := many[Repository](ctx, s.db, `
		SELECT name, coalesce(project_id, 0) AS project_id, image_name, ownership, candidates, seen_at
		  FROM ferry.repositories
		 ORDER BY name`)
	return rs, wrap(err, "repositories")
}

// AmbiguousRepositories returns the repositories that may be the project's, by name.
func (s *Store) AmbiguousRepositories(ctx context.Context, projectPath string) ([]Repository, error) {
	rs, err := many[Repository](ctx, s.db, `
		SELECT name, coalesce(project_id, 0) AS project_id, image_name, ownership, candidates, seen_at
		  FROM ferry.repositories
		 WHERE ownership = 'ambiguous' AND $1 = ANY (candidates)
		 ORDER BY name`, projectPath)
	return rs, wrap(err, "ambiguous repositories of %s", projectPath)
}

// LatestInventory returns the latest complete inventory, or ErrNotFound.
func (s *Store) LatestInventory(ctx context.Context) (Inventory, error) {
	i, err := one[Inventory](ctx, s.db, `
		SELECT id, finished_at, projects, repositories
		  FROM ferry.inventories
		 ORDER BY id DESC
		 LIMIT 1`)
	return i, wrap(err, "latest inventory")
}

// InventoryAt returns when the latest complete inventory was finished, or
// ErrNotFound when there was none yet.
func (s *Store) InventoryAt(ctx context.Context) (time.Time, error) {
	i, err := s.LatestInventory(ctx)
	return i.FinishedAt, err
}
