package store

import (
	"context"
	"time"
)

// Project is a GitLab project as the latest look saw it.
type Project struct {
	// ID is GitLab's own: it stays when the project moves to another path.
	ID             int64      `db:"id"`
	Path           string     `db:"path"`
	Name           string     `db:"name"`
	DefaultBranch  string     `db:"default_branch"`
	WebURL         string     `db:"web_url"`
	Archived       bool       `db:"archived"`
	Empty          bool       `db:"empty"`
	CIEnabled      bool       `db:"ci_enabled"`
	CIConfigPath   string     `db:"ci_config_path"`
	Topics         []string   `db:"topics"`
	LastActivityAt *time.Time `db:"last_activity_at"`
	// SeenAt and GoneAt are set by the store.
	SeenAt time.Time  `db:"seen_at"`
	GoneAt *time.Time `db:"gone_at"`
}

// projectColumns are the columns of a Project p.
const projectColumns = `
	p.id, p.path, p.name, p.default_branch, p.web_url, p.archived, p.empty, p.ci_enabled,
	p.ci_config_path, p.topics, p.last_activity_at, p.seen_at, p.gone_at`

// UpsertProjects stores what GitLab said about projects, all seen now. Each ID
// and each path may occur once in ps. A project whose path now belongs to
// another one (it was moved or deleted meanwhile) gives it up.
func (s *Store) UpsertProjects(ctx context.Context, ps []Project) error {
	ids, paths := make([]int64, len(ps)), make([]string, len(ps))
	for i, p := range ps {
		ids[i], paths[i] = p.ID, p.Path
	}
	err := s.InTx(ctx, func(ctx context.Context, tx *Store) error {
		// '#' cannot occur in a GitLab path, so the parked path is free.
		_, err := tx.db.Exec(ctx, `
			UPDATE ferry.projects p
			   SET path = p.path || '#' || p.id, gone_at = coalesce(p.gone_at, now())
			  FROM unnest($1::bigint[], $2::text[]) AS n (id, path)
			 WHERE lower(p.path) = lower(n.path) AND p.id <> n.id`, ids, paths)
		if err != nil {
			return err
		}
		return tx.upsertProjects(ctx, ps)
	})
	return wrap(err, "storing %d projects", len(ps))
}

func (s *Store) upsertProjects(ctx context.Context, ps []Project) error {
	b := newBatch()
	for _, p := range ps {
		b.Queue(`
			INSERT INTO ferry.projects (id, path, name, default_branch, web_url, archived, empty,
			       ci_enabled, ci_config_path, topics, last_activity_at, seen_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, coalesce($10, '{}'::text[]), $11, clock_timestamp())
			ON CONFLICT (id) DO UPDATE
			   SET path = excluded.path, name = excluded.name,
			       default_branch = excluded.default_branch, web_url = excluded.web_url,
			       archived = excluded.archived, empty = excluded.empty,
			       ci_enabled = excluded.ci_enabled, ci_config_path = excluded.ci_config_path,
			       topics = excluded.topics,
			       last_activity_at = excluded.last_activity_at,
			       seen_at = excluded.seen_at, gone_at = NULL`,
			p.ID, p.Path, p.Name, p.DefaultBranch, p.WebURL, p.Archived, p.Empty,
			p.CIEnabled, p.CIConfigPath, p.Topics, p.LastActivityAt)
	}
	return b.send(ctx, s.db)
}

// Project returns the project at a path, in any case, or ErrNotFound.
func (s *Store) Project(ctx context.Context, path string) (Project, error) {
	p, err := one[Project](ctx, s.db, `
		SELECT `+projectColumns+`
		  FROM ferry.projects p
		 WHERE lower(path) = lower($1)`, path)
	return p, wrap(err, "project %s", path)
}

// ProjectByID returns a project by GitLab's id, or ErrNotFound.
func (s *Store) ProjectByID(ctx context.Context, id int64) (Project, error) {
	p, err := one[Project](ctx, s.db, `
		SELECT `+projectColumns+`
		  FROM ferry.projects p
		 WHERE id = $1`, id)
	return p, wrap(err, "project %d", id)
}

// ProjectPaths returns the paths of all projects that GitLab still has.
func (s *Store) ProjectPaths(ctx context.Context) ([]string, error) {
	type row struct {
		Path string `db:"path"`
	}
	rows, err := many[row](ctx, s.db, `
		SELECT path
		  FROM ferry.projects
		 WHERE gone_at IS NULL
		 ORDER BY path`)
	paths := make([]string, len(rows))
	for i, r := range rows {
		paths[i] = r.Path
	}
	return paths, wrap(err, "listing project paths")
}

// MarkGone marks projects that GitLab has not listed since before, which is the
// time (from Now) at which a complete listing began. It returns how many.
func (s *Store) MarkGone(ctx context.Context, before time.Time) (int64, error) {
	tag, err := s.db.Exec(ctx, `
		UPDATE ferry.projects
		   SET gone_at = now()
		 WHERE gone_at IS NULL AND seen_at < $1`, before)
	return tag.RowsAffected(), wrap(err, "marking projects that are gone")
}
