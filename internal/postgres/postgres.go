// Package postgres gives the program its database: it connects to a server that
// somebody runs, or starts an embedded one, and brings the schemas up to date.
//
// The embedded server is a real PostgreSQL on a private data directory: the
// machine's own binaries, or a download when there are none. It is a process of
// its own, shared by all programs that name the same directory. It survives the
// one that started it, even a SIGKILL, and the next one takes it over; whoever
// closes last stops it. What follows from a directory is kept in it:
//
//	DIR/postgres/data       the cluster
//	DIR/postgres/password   of the one role, 0600, made when the cluster is
//	DIR/postgres/port       a free one, chosen at the first start and kept
//	DIR/postgres/lock       held while a server is started or stopped
//	DIR/postgres/users      held, shared, by everybody who has it open
//	DIR/postgres/log        what the server says
//
// Schema ferry holds our tables, schema river those of the job queue. No query
// relies on search_path.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// appName begins the application_name of every session of ours; the embedded
// server is not stopped while it sees one.
const appName = "ecrferry"

// minVersion is the oldest server that River's own tests cover, as
// server_version_num counts.
const minVersion = 140000

// Options says which database to open.
type Options struct {
	// URL names a server. Empty starts the embedded one.
	URL string
	// DataDir is where the embedded server lives; required without URL.
	DataDir string
	// Log hears of starts and stops. Nil is silence.
	Log *slog.Logger
	// MaxConns bounds the pool; 0 is 10, and never less than 4.
	MaxConns int
	// AppName shows in pg_stat_activity; "worker" becomes "ecrferry worker".
	AppName string
	// NoSync lets the embedded server lose data when the machine crashes, and be
	// quicker for it. It is for tests, and counts when the server is started.
	NoSync bool
}

// DB is an open database.
type DB struct {
	Pool *pgxpool.Pool
	// URL is how others reach it. It holds a password.
	URL string

	server *server // nil unless embedded
}

// Open connects to a database, starting the embedded server if need be. The
// errors say what to do.
func Open(ctx context.Context, o Options) (*DB, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.URL != "" {
		pool, err := connect(ctx, o, o.URL)
		if err != nil {
			return nil, fmt.Errorf("opening the database named by DATABASE_URL: %w; "+
				"check the address, the password and that the server is up, "+
				"or unset it to use the embedded server", err)
		}
		return &DB{Pool: pool, URL: o.URL}, nil
	}
	if o.DataDir == "" {
		return nil, errors.New("neither a database URL nor a data directory: set DATABASE_URL or ECRFERRY_DATA_DIR")
	}
	srv, err := openServer(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("starting the embedded PostgreSQL in %s: %w", o.DataDir, err)
	}
	pool, err := connect(ctx, o, srv.url(database))
	if err != nil {
		_ = srv.close(o.Log) // the first error tells more
		return nil, fmt.Errorf("connecting to the embedded PostgreSQL in %s: %w; see %s", srv.dir, err, srv.path("log"))
	}
	return &DB{Pool: pool, URL: srv.url(database), server: srv}, nil
}

// Close closes the pool. It stops the embedded server unless somebody else of
// ours uses it.
func (db *DB) Close() error {
	db.Pool.Close()
	if db.server == nil {
		return nil
	}
	srv := db.server
	db.server = nil
	if err := srv.close(srv.log); err != nil {
		return fmt.Errorf("stopping the embedded PostgreSQL in %s: %w", srv.dir, err)
	}
	return nil
}

// Dir returns where the embedded server lives, or "" when there is none. It
// differs from what was asked for when root asked for a place that the
// unprivileged user of the server cannot reach.
func (db *DB) Dir() string {
	if db.server == nil {
		return ""
	}
	return db.server.dir
}

// connect opens a pool and makes sure that it works.
func connect(ctx context.Context, o Options, url string) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err // pgx leaves the password out
	}
	cfg.MaxConns = max(4, int32(o.MaxConns)) //nolint:gosec // a handful
	if o.MaxConns == 0 {
		cfg.MaxConns = 10
	}
	// One session is always there to be seen by whoever thinks of stopping the server.
	cfg.MinConns = 1
	cfg.MaxConnIdleTime = 5 * time.Minute
	cfg.ConnConfig.RuntimeParams["application_name"] = strings.TrimSpace(appName + " " + o.AppName)
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = 10 * time.Second
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	var version int
	err = pool.QueryRow(ctx, `SELECT current_setting('server_version_num')::int`).Scan(&version)
	if err == nil && version < minVersion {
		err = fmt.Errorf("it is PostgreSQL %d, and 14 is the oldest that works; upgrade it", version/10000)
	}
	if err != nil {
		pool.Close()
		return nil, err
	}
	return pool, nil
}
