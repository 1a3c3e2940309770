package store

import (
	"context"
	"time"
)

// Answer is what the outside said to a question.
type Answer string

// The answers. Not being able to ask is unknown, which is neither yes nor no.
const (
	Yes     Answer = "yes"
	No      Answer = "no"
	Unknown Answer = "unknown"
)

// Evidence is a question that was asked to prove a migration, and its answer.
type Evidence struct {
	ID          int64    `db:"id"`
	MigrationID int64    `db:"migration_id"`
	Step        StepName `db:"step"`
	// Name is the question as a short stable code, Subject what it was asked about.
	Name        string `db:"name"`
	Environment string `db:"environment"`
	Subject     string `db:"subject"`
	Result      Answer `db:"result"`
	Detail      string `db:"detail"`
	// ObservedAt is set by the store.
	ObservedAt time.Time `db:"observed_at"`
}

// ReplaceEvidence stores what a step of a migration saw, in place of what it saw before.
func (s *Store) ReplaceEvidence(ctx context.Context, migrationID int64, step StepName, es []Evidence) error {
	err := s.InTx(ctx, func(ctx context.Context, tx *Store) error {
		b := newBatch()
		b.Queue(`DELETE FROM ferry.evidence WHERE migration_id = $1 AND step = $2`, migrationID, step)
		for _, e := range es {
			b.Queue(`
				INSERT INTO ferry.evidence (migration_id, step, name, environment, subject, result, detail)
				VALUES ($1, $2, $3, $4, $5, $6, $7)`,
				migrationID, step, e.Name, e.Environment, e.Subject, e.Result, e.Detail)
		}
		return b.send(ctx, tx.db)
	})
	return wrap(err, "replacing evidence of step %s of migration %d", step, migrationID)
}

// Evidence returns a migration's evidence in the order it was given.
func (s *Store) Evidence(ctx context.Context, migrationID int64) ([]Evidence, error) {
	es, err := many[Evidence](ctx, s.db, `
		SELECT id, migration_id, step, name, environment, subject, result, detail, observed_at
		  FROM ferry.evidence
		 WHERE migration_id = $1
		 ORDER BY id`, migrationID)
	return es, wrap(err, "evidence of migration %d", migrationID)
}
