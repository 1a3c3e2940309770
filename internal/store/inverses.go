package store

import "context"

// Inverse is a file that a migration changed: what it held before and after.
type Inverse struct {
	Path   string `db:"path"`
	Before []byte `db:"before"`
	After  []byte `db:"after"`
}

// ReplaceInverses stores what a migration is about to write, in place of what
// it had meant to write before.
func (s *Store) ReplaceInverses(ctx context.Context, migrationID int64, inverses []Inverse) error {
	err := s.InTx(ctx, func(ctx context.Context, tx *Store) error {
		b := newBatch()
		b.Queue(`DELETE FROM ferry.inverses WHERE migration_id = $1`, migrationID)
		for _, i := range inverses {
			b.Queue(`
				INSERT INTO ferry.inverses (migration_id, path, before, after)
				VALUES ($1, $2, $3, $4)`, migrationID, i.Path, notNil(i.Before), notNil(i.After))
		}
		return b.send(ctx, tx.db)
	})
	return wrap(err, "storing the inverse of migration %d", migrationID)
}

func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// Inverses returns what the project's migrations to ECR changed since its last
// finished rollback, by path: what a file held before the first of them and
// after the last.
func (s *Store) Inverses(ctx context.Context, projectID int64) ([]Inverse, error) {
	is, err := many[Inverse](ctx, s.db, `
		SELECT path,
		       (array_agg(i.before ORDER BY m.attempt))[1] AS before,
		       (array_agg(i.after ORDER BY m.attempt DESC))[1] AS after
		  FROM ferry.inverses i
		  JOIN ferry.migrations m ON m.id = i.migration_id
		 WHERE m.project_id = $1 AND m.kind = 'migrate' AND m.attempt > `+lastRollback+`
		 GROUP BY path
		 ORDER BY path`, projectID)
	return is, wrap(err, "the inverse of project %d", projectID)
}

// Written says whether the project's migrations wrote anything that a rollback
// would take back: files or variables, since its last finished rollback.
func (s *Store) Written(ctx context.Context, projectID int64) (bool, error) {
	files, err := s.Inverses(ctx, projectID)
	if err != nil || len(files) > 0 {
		return len(files) > 0, err
	}
	variables, err := s.Variables(ctx, projectID)
	return len(variables) > 0, err
}

// lastRollback is the attempt that took everything back last; 0 for none.
const lastRollback = `(
		       SELECT coalesce(max(attempt), 0)
		         FROM ferry.migrations
		        WHERE project_id = $1 AND kind = 'rollback' AND state IN ('done', 'exceptions'))`

// Variable is a CI/CD variable of the project as it was before a migration.
type Variable struct {
	Key string `db:"key"`
	// Existed is false when the project had no such variable of its own.
	Existed   bool   `db:"existed"`
	Value     string `db:"value"`
	Protected bool   `db:"protected"`
	Raw       bool   `db:"raw"`
}

// KeepVariables stores variables as they are before a migration changes them.
// Those that it has stored already stay: a second try sees changed ones.
func (s *Store) KeepVariables(ctx context.Context, migrationID int64, vs []Variable) error {
	b := newBatch()
	for _, v := range vs {
		b.Queue(`
			INSERT INTO ferry.variables (migration_id, key, existed, value, protected, raw)
			VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (migration_id, key) DO NOTHING`,
			migrationID, v.Key, v.Existed, v.Value, v.Protected, v.Raw)
	}
	return wrap(b.send(ctx, s.db), "keeping the variables of migration %d", migrationID)
}

// Variables returns the variables as they were before the first migration to
// ECR since the project's last finished rollback, by key.
func (s *Store) Variables(ctx context.Context, projectID int64) ([]Variable, error) {
	vs, err := many[Variable](ctx, s.db, `
		SELECT DISTINCT ON (v.key) v.key, v.existed, v.value, v.protected, v.raw
		  FROM ferry.variables v
		  JOIN ferry.migrations m ON m.id = v.migration_id
		 WHERE m.project_id = $1 AND m.kind = 'migrate' AND m.attempt > `+lastRollback+`
		 ORDER BY v.key, m.attempt`, projectID)
	return vs, wrap(err, "the former variables of project %d", projectID)
}
