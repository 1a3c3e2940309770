package postgres

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"gitlab.sikt.no/platon/ecrferry/migrations"
)

// The schemas. RiverSchema is what River's clients name in Config.Schema.
const (
	Schema      = "ferry"
	RiverSchema = "river"
)

// versionTable is where goose remembers what has been applied.
const versionTable = Schema + ".goose_migrations"

// lockID is the advisory lock under which migrations run. The value means nothing.
const lockID = 7_208_431_905

// Migrate brings River's tables and then ours up to date. Any number of
// processes may do so at once: one does, the others wait for it. Code of an
// older version goes on working on what it leaves.
func Migrate(ctx context.Context, db *DB) error {
	err := underLock(ctx, db, func(river *rivermigrate.Migrator[pgx.Tx], ours *goose.Provider) error {
		if _, err := river.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
			return fmt.Errorf("river's tables: %w", err)
		}
		_, err := ours.Up(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("migrating the database: %w", err)
	}
	return nil
}

// MigrateDown takes everything away again: our tables with all they hold,
// River's, and both schemas. What a Down part forgot to drop is an error.
func MigrateDown(ctx context.Context, db *DB) error {
	err := underLock(ctx, db, func(river *rivermigrate.Migrator[pgx.Tx], ours *goose.Provider) error {
		if _, err := ours.DownTo(ctx, 0); err != nil {
			return err
		}
		_, err := river.Migrate(ctx, rivermigrate.DirectionDown, &rivermigrate.MigrateOpts{TargetVersion: -1})
		if err != nil {
			return fmt.Errorf("river's tables: %w", err)
		}
		_, err = db.Pool.Exec(ctx, `DROP TABLE `+versionTable)
		if err != nil {
			return err
		}
		_, err = db.Pool.Exec(ctx, `DROP SCHEMA ferry; DROP SCHEMA river`)
		return err
	})
	if err != nil {
		return fmt.Errorf("migrating the database down: %w", err)
	}
	return nil
}

// underLock makes the schemas and calls f with both migrators, all of it under
// an advisory lock. The lock is polled for, not waited for: a waiting session
// would hold a snapshot that CREATE INDEX CONCURRENTLY then waits for in turn.
func underLock(ctx context.Context, db *DB, f func(*rivermigrate.Migrator[pgx.Tx], *goose.Provider) error) (err error) {
	std := stdlib.OpenDBFromPool(db.Pool)
	defer std.Close() //nolint:errcheck // the pool stays open
	conn, err := std.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // back to the pool
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(lockID), lock.WithLockTimeout(1, 600))
	if err != nil {
		return err
	}
	if err := locker.SessionLock(ctx, conn); err != nil {
		return fmt.Errorf("waiting for another process that is migrating: %w", err)
	}
	defer func() {
		err = errors.Join(err, locker.SessionUnlock(context.WithoutCancel(ctx), conn))
	}()
	if _, err := conn.ExecContext(ctx, `CREATE SCHEMA IF NOT EXISTS ferry; CREATE SCHEMA IF NOT EXISTS river`); err != nil {
		return err
	}
	river, err := rivermigrate.New(riverpgxv5.New(db.Pool), &rivermigrate.Config{Schema: RiverSchema, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	ours, err := provider(std)
	if err != nil {
		return err
	}
	return f(river, ours)
}

// Fingerprint names the schema that Migrate makes: it changes whenever a
// migration of ours or of River's is added or edited.
func Fingerprint() (string, error) {
	hash := sha256.New()
	err := fs.WalkDir(migrations.FS, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(migrations.FS, path)
		fmt.Fprintf(hash, "%s %d\n%s", path, len(text), text) //nolint:errcheck // a hash takes all
		return err
	})
	if err != nil {
		return "", err
	}
	river, err := rivermigrate.New(riverpgxv5.New(nil), &rivermigrate.Config{Schema: RiverSchema})
	if err != nil {
		return "", err
	}
	for _, v := range river.AllVersions() {
		fmt.Fprintf(hash, "%d %s\n%s", v.Version, v.Name, v.SQLUp) //nolint:errcheck // a hash takes all
	}
	return hex.EncodeToString(hash.Sum(nil))[:16], nil
}

func provider(std *sql.DB) (*goose.Provider, error) {
	return goose.NewProvider(goose.DialectPostgres, std, migrations.FS,
		goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true))
}
