package store

import "context"

// Severity says what a finding holds up.
type Severity string

// The severities: a blocking finding stops before anything is written to the project.
const (
	Blocking Severity = "blocking"
	Warning  Severity = "warning"
	Note     Severity = "note"
)

// Finding is something that a step could not do safely, or that its owner should know.
type Finding struct {
	ID          int64    `db:"id"`
	MigrationID int64    `db:"migration_id"`
	Step        StepName `db:"step"`
	Code        string   `db:"code"`
	Severity    Severity `db:"severity"`
	File        string   `db:"file"`
	// Line and Column count from 1; 0 when the finding is not about a place.
	Line    int    `db:"line"`
	Column  int    `db:"col"`
	Text    string `db:"text"`
	Message string `db:"message"`
	Remedy  string `db:"remedy"`
	Owner   string `db:"owner"`
	// Retry says of a failed job what trying again is good for: never, job-once,
	// after-remedy, later. "" for what is no failure.
	Retry string `db:"retry"`
}

// ReplaceFindings stores what a step of a migration found, in place of what it
// found before. What an earlier step had found alike is one finding, the later
// step's. Step and MigrationID of the findings are set.
func (s *Store) ReplaceFindings(ctx context.Context, migrationID int64, step StepName, fs []Finding) error {
	err := s.InTx(ctx, func(ctx context.Context, tx *Store) error {
		b := newBatch()
		b.Queue(`DELETE FROM ferry.findings WHERE migration_id = $1 AND step = $2`, migrationID, step)
		for _, f := range fs {
			b.Queue(`
				DELETE FROM ferry.findings
				 WHERE migration_id = $1 AND code = $2 AND file = $3 AND line = $4 AND col = $5 AND text = $6 AND message = $7`,
				migrationID, f.Code, f.File, f.Line, f.Column, f.Text, f.Message)
			b.Queue(`
				INSERT INTO ferry.findings (migration_id, step, code, severity, file, line, col,
				       text, message, remedy, owner, retry)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
				migrationID, step, f.Code, f.Severity, f.File, f.Line, f.Column,
				f.Text, f.Message, f.Remedy, f.Owner, f.Retry)
		}
		return b.send(ctx, tx.db)
	})
	return wrap(err, "replacing findings of step %s of migration %d", step, migrationID)
}

// Findings returns a migration's findings: blocking ones first, then by file and line.
func (s *Store) Findings(ctx context.Context, migrationID int64) ([]Finding, error) {
	fs, err := many[Finding](ctx, s.db, `
		SELECT id, migration_id, step, code, severity, file, line, col, text, message, remedy, owner, retry
		  FROM ferry.findings
		 WHERE migration_id = $1
		 ORDER BY array_position(ARRAY['blocking', 'warning', 'note'], severity), file, line, col, id`,
		migrationID)
	return fs, wrap(err, "findings of migration %d", migrationID)
}
