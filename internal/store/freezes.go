package store

import (
	"context"
	"time"
)

// Freeze keeps the projects whose path matches from beginning.
type Freeze struct {
	Pattern string     `db:"pattern" json:"pattern"`
	Actor   string     `db:"actor" json:"actor"`
	Note    string     `db:"note" json:"note"` // why
	Since   time.Time  `db:"since" json:"since"`
	Until   *time.Time `db:"until" json:"until"` // nil: until somebody takes it off
}

// SetFreeze puts a pattern on the freeze list. One that stands there already is
// replaced, and is the answer's before.
func (s *Store) SetFreeze(ctx context.Context, f Freeze) (before *Freeze, err error) {
	err = s.InTx(ctx, func(ctx context.Context, tx *Store) error {
		all, err := tx.Freezes(ctx)
		if err != nil {
			return err
		}
		for i := range all {
			if all[i].Pattern == f.Pattern {
				before = &all[i]
			}
		}
		_, err = tx.db.Exec(ctx, `
			INSERT INTO ferry.freezes (pattern, actor, note, until)
			VALUES ($1, $2, $3, $4)
			ON CONFLICT (pattern) DO UPDATE
			   SET actor = excluded.actor, note = excluded.note, until = excluded.until, since = clock_timestamp()`,
			f.Pattern, f.Actor, f.Note, f.Until)
		return err
	})
	return before, wrap(err, "freezing %s", f.Pattern)
}

// DropFreeze takes a pattern off the freeze list. It says whether it stood there.
func (s *Store) DropFreeze(ctx context.Context, pattern string) (bool, error) {
	tag, err := s.db.Exec(ctx, `DELETE FROM ferry.freezes WHERE pattern = $1`, pattern)
	return tag.RowsAffected() > 0, wrap(err, "taking %s off the freeze list", pattern)
}

// Freezes returns what stands on the freeze list and has not ended, by pattern.
func (s *Store) Freezes(ctx context.Context) ([]Freeze, error) {
	fs, err := many[Freeze](ctx, s.db, `
		SELECT pattern, actor, note, since, until
		  FROM ferry.freezes
		 WHERE until IS NULL OR until > clock_timestamp()
		 ORDER BY pattern`)
	return fs, wrap(err, "reading the freeze list")
}
