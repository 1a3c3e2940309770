// Package postgrestest gives each test a migrated database of its own.
//
// The first test of a process opens a throwaway server below the temporary
// directory, shared by all test processes of this user on this machine, or
// takes the one that DATABASE_URL names. A template is migrated once and named
// by a hash of the migrations, so an edited file means a new template; each
// test gets a copy, dropped afterwards, or kept and named in the log if the
// test failed.
//
// Nothing is left running: a small child waits for the end of the test process,
// whatever ended it, and then stops the server unless others use it.
package postgrestest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"gitlab.sikt.no/platon/ecrferry/internal/postgres"
)

// patience bounds what is done to the server for one test.
const patience = 2 * time.Minute

// host is the server, opened once a process.
type host struct {
	admin    *postgres.DB // on the maintenance database
	template string
}

var theHost = sync.OnceValues(func() (*host, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	admin, err := openHost(ctx)
	if err != nil {
		return nil, err
	}
	sum, err := postgres.Fingerprint()
	if err != nil {
		return nil, err
	}
	h := &host{admin: admin, template: "ecrferry_template_" + sum}
	if err := h.sweep(ctx); err != nil {
		return nil, err
	}
	return h, h.ensureTemplate(ctx)
})

// openHost opens the server to make databases on.
func openHost(ctx context.Context) (*postgres.DB, error) {
	if url := os.Getenv("DATABASE_URL"); url != "" {
		return postgres.Open(ctx, postgres.Options{URL: url, MaxConns: 4, AppName: "tests"})
	}
	dir := Dir()
	if err := watch(dir); err != nil {
		return nil, err
	}
	o := postgres.Options{DataDir: dir, MaxConns: 4, AppName: "tests", NoSync: true}
	db, err := postgres.Open(ctx, o)
	if err == nil {
		return db, nil
	}
	// Without fsync, a crash of the machine may leave ruins. Nothing in there is
	// worth more than a new beginning; a server that runs is not touched.
	if down, stopErr := postgres.StopIdle(ctx, dir); stopErr != nil || !down {
		return nil, err
	}
	if os.Rename(dir, fmt.Sprintf("%s-broken-%d", dir, time.Now().Unix())) != nil {
		return nil, err
	}
	return postgres.Open(ctx, o)
}

// Dir is where the throwaway server lives.
func Dir() string {
	return filepath.Join(os.TempDir(), "ecrferry-tests-"+strconv.Itoa(os.Getuid()))
}

// New returns a pool on a migrated database that belongs to this test alone.
func New(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return Open(t).Pool
}

// Open is New for those who want to know the URL, too.
func Open(t testing.TB) *postgres.DB {
	t.Helper()
	h := mustHost(t)
	return h.database(t, h.template)
}

// Empty returns a database without any schema of ours.
func Empty(t testing.TB) *postgres.DB {
	t.Helper()
	return mustHost(t).database(t, "template1")
}

func mustHost(t testing.TB) *host {
	t.Helper()
	h, err := theHost()
	if err != nil {
		t.Fatalf("no PostgreSQL for tests: %v", err)
	}
	return h
}

// serial tells the databases of one process apart.
var serial atomic.Int64

// database makes a copy of a template for a test.
func (h *host) database(t testing.TB, template string) *postgres.DB {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	// The name says whose it is, so that others know when nobody needs it any more.
	name := fmt.Sprintf("ecrferry_test_%d_%d_%d", os.Getpid(), time.Now().Unix(), serial.Add(1))
	if _, err := h.admin.Pool.Exec(ctx, `CREATE DATABASE `+name+` TEMPLATE `+template); err != nil {
		t.Fatalf("making a database: %v", err)
	}
	db, err := postgres.Open(ctx, postgres.Options{URL: h.url(name), MaxConns: 10, AppName: "tests"})
	if err != nil {
		t.Fatalf("opening a database: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if t.Failed() {
			kept := strings.Replace(name, "_test_", "_kept_", 1)
			closePool(db.Pool)
			if _, err := h.admin.Pool.Exec(ctx, `ALTER DATABASE `+name+` RENAME TO `+kept); err != nil {
				kept = name
			}
			t.Logf("the test's database is kept for a day: psql '%s'%s", h.url(kept), h.howToStart())
			return
		}
		closePool(db.Pool)
		if _, err := h.admin.Pool.Exec(ctx, `DROP DATABASE IF EXISTS `+name+` WITH (FORCE)`); err != nil {
			t.Errorf("dropping the test's database: %v", err)
		}
	})
	return db
}

// closePool closes a pool, but waits only so long for connections that the test
// has not given back: FORCE ends those.
func closePool(pool *pgxpool.Pool) {
	closed := make(chan struct{})
	go func() { pool.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(5 * time.Second):
	}
}

// url is how a database of the host is reached.
func (h *host) url(name string) string {
	u := *h.admin.Pool.Config().ConnConfig
	return databaseURL(&u, name)
}

// howToStart tells how to look at a database after the tests have ended.
func (h *host) howToStart() string {
	if h.admin.Dir() == "" {
		return ""
	}
	return fmt.Sprintf(" (%s=1 keeps its server, in %s, running)", keepVar, h.admin.Dir())
}

// ensureTemplate makes the migrated template if it is not there yet. An advisory
// lock keeps several test processes from doing so at once.
func (h *host) ensureTemplate(ctx context.Context) error {
	conn, err := h.admin.Pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock(hashtext('ecrferry_template'))`); err != nil {
		return err
	}
	defer conn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock(hashtext('ecrferry_template'))`) //nolint:errcheck // the session's end unlocks, too
	var there bool
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, h.template).Scan(&there)
	if err != nil || there {
		return err
	}
	// Under another name until it is whole.
	fresh := h.template + "_new"
	if _, err := conn.Exec(ctx, `DROP DATABASE IF EXISTS `+fresh+` WITH (FORCE)`); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, `CREATE DATABASE `+fresh); err != nil {
		return err
	}
	db, err := postgres.Open(ctx, postgres.Options{URL: h.url(fresh), AppName: "tests"})
	if err != nil {
		return err
	}
	err = postgres.Migrate(ctx, db)
	db.Pool.Close()
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, `ALTER DATABASE `+fresh+` RENAME TO `+h.template)
	return err
}

// sweep drops what earlier test processes left behind: databases of processes
// that have ended, kept ones older than a day, all but the newest templates.
func (h *host) sweep(ctx context.Context) error {
	rows, _ := h.admin.Pool.Query(ctx, `
		SELECT datname
		  FROM pg_database d
		 WHERE datname ~ '^ecrferry_(test|kept)_'
		   AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datid = d.oid)
		UNION ALL
		-- Templates of trees that nobody tests any more.
		(SELECT datname
		   FROM pg_database
		  WHERE datname ~ '^ecrferry_template_[0-9a-f]+$'
		  ORDER BY oid DESC
		 OFFSET 5)`)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range names {
		if !strings.Contains(name, "_template_") && needed(name, time.Now()) {
			continue
		}
		// Another process may sweep, too; what is gone or in use is fine.
		_, _ = h.admin.Pool.Exec(ctx, `DROP DATABASE IF EXISTS `+name)
	}
	return nil
}

// needed says whether a database that nobody is connected to may be needed
// still. Processes on other machines may share a DATABASE_URL, so a missing
// process counts only after an hour.
func needed(name string, now time.Time) bool {
	parts := strings.Split(name, "_") // ecrferry, test or kept, pid, time, serial
	if len(parts) != 5 {
		return true
	}
	pid, err1 := strconv.Atoi(parts[2])
	made, err2 := strconv.ParseInt(parts[3], 10, 64)
	if err1 != nil || err2 != nil {
		return true
	}
	age := now.Sub(time.Unix(made, 0))
	if parts[1] == "kept" {
		return age < 24*time.Hour
	}
	return age < time.Hour || exists(pid) && age < 24*time.Hour
}
