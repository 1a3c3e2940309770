// Package store holds all SQL over schema ferry: what there is to move
// (projects, repositories), who asked (runs), how far each project is
// (migrations, steps), what came of it (images, findings, evidence) and the
// log of it all (events).
//
// The rules live in the tables: one active migration a project, one running
// step a migration, states as checked strings. Methods turn the refusals of
// those constraints into errors that mean something: *ActiveError,
// *RunningError, *TagTakenError, ErrNotFound. Every time that is stored or
// compared is Postgres' time, so the clocks of several workers do not matter.
//
// A Store works on a pool or, within InTx, on one transaction. Zero values mean
// "none" in Go where the table has NULL: a RunID of 0, a nil *time.Time.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrNotFound says that no row answers the question.
var ErrNotFound = errors.New("not found")

// querier is what a pool and a transaction have in common.
type querier interface {
	Begin(ctx context.Context) (pgx.Tx, error)
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// Store reads and writes schema ferry. It is safe for concurrent use, except
// the one that InTx hands out, which belongs to one goroutine.
type Store struct {
	db querier
	tx pgx.Tx // nil outside InTx
}

// New returns a store on pool, whose database has been migrated.
func New(pool *pgxpool.Pool) *Store { return &Store{db: pool} }

// InTx runs f in a transaction that is committed if f returns nil and rolled
// back otherwise. Within a transaction it opens a savepoint, so that f may fail
// without spoiling what surrounds it.
func (s *Store) InTx(ctx context.Context, f func(ctx context.Context, tx *Store) error) error {
	return pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		return f(ctx, &Store{db: tx, tx: tx})
	})
}

// Tx returns the transaction of a store that InTx handed out, for inserting and
// completing jobs in the same transaction. It is nil on other stores.
func (s *Store) Tx() pgx.Tx { return s.tx }

// Now returns Postgres' time.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	var now time.Time
	err := s.db.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now)
	return now, wrap(err, "asking for the time")
}

// Ping asks whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.Now(ctx)
	return err
}

// one collects exactly one row into T; no row is ErrNotFound.
func one[T any](ctx context.Context, db querier, sql string, args ...any) (T, error) {
	rows, _ := db.Query(ctx, sql, args...) // the error comes out of CollectExactlyOneRow
	v, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[T])
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNotFound
	}
	return v, err
}

// many collects all rows into a slice of T.
func many[T any](ctx context.Context, db querier, sql string, args ...any) ([]T, error) {
	rows, _ := db.Query(ctx, sql, args...) // the error comes out of CollectRows
	return pgx.CollectRows(rows, pgx.RowToStructByName[T])
}

// wrap puts what was being done in front of an error that is not nil.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
}

// violates says whether err is the refusal of the named constraint.
func violates(err error, constraint string) bool {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	return ok && refused.ConstraintName == constraint
}
