package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// settings is the server's configuration, written anew at each start. Only the
// port is given on the command line.
const settings = `# Written by ecrferry at each start.
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
max_connections = 200
shared_buffers = 128MB
log_min_messages = warning
log_line_prefix = '%m [%p] %a '
timezone = 'UTC'
log_timezone = 'UTC'
`

// careless is added where a crash of the machine may cost the data.
const careless = `fsync = off
full_page_writes = off
max_connections = 400
`

// ensureCluster makes the cluster and its password if there is none yet. The
// caller holds the lock.
func (s *server) ensureCluster(ctx context.Context) error {
	data := s.path("data")
	if _, err := os.Stat(filepath.Join(data, "PG_VERSION")); err == nil {
		if err := s.checkVersion(); err != nil {
			return err
		}
		return s.readPassword()
	}
	s.password = rand.Text()
	if err := os.WriteFile(s.path("password"), []byte(s.password+"\n"), 0o600); err != nil {
		return err
	}
	// initdb reads the password as the server's user, who may not read ours.
	handed := s.path("password.initdb")
	defer os.Remove(handed) //nolint:errcheck // gone already is fine
	if err := os.WriteFile(handed, []byte(s.password+"\n"), 0o600); err != nil {
		return err
	}
	if err := s.user.own(handed); err != nil {
		return err
	}
	// A half-made cluster must not look like one: it gets its name when it is whole.
	fresh := s.path("data.new")
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	args := []string{"--pgdata", fresh, "--username", role, "--auth", "scram-sha-256",
		"--pwfile", handed, "--encoding", "UTF8", "--locale", "C"}
	if s.noSync {
		args = append(args, "--no-sync")
	}
	if err := s.run(ctx, "initdb", args...); err != nil {
		return err
	}
	if err := os.Rename(fresh, data); err != nil {
		return err
	}
	s.log.Info("embedded PostgreSQL cluster made", "dir", s.dir, "bin", s.bin)
	return nil
}

// checkVersion refuses binaries of another major version than the cluster's.
func (s *server) checkVersion() error {
	text, err := os.ReadFile(filepath.Join(s.path("data"), "PG_VERSION"))
	if err != nil {
		return err
	}
	want := strings.TrimSpace(string(text))
	if got := majorOf(s.bin); got != "" && got != want {
		return fmt.Errorf("the data were written by PostgreSQL %s, but %s holds PostgreSQL %s; "+
			"install postgresql-%s, or name another place in ECRFERRY_DATA_DIR", want, s.bin, got, want)
	}
	return nil
}

func (s *server) readPassword() error {
	text, err := os.ReadFile(s.path("password"))
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: the embedded server belongs to another user; "+
			"run as that user, or name another place in ECRFERRY_DATA_DIR", err)
	}
	if err != nil {
		return err
	}
	s.password = strings.TrimSpace(string(text))
	return nil
}

// configure writes the server's configuration.
func (s *server) configure() error {
	text := settings
	if s.noSync {
		text += careless
	}
	path := filepath.Join(s.path("data"), "postgresql.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	return s.user.own(path)
}

// ensureDatabase makes our database in the running server if there is none yet.
// The caller holds the lock.
func (s *server) ensureDatabase(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ctx) // nothing is left to be said
	}()
	var there bool
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, database).Scan(&there)
	if err != nil || there {
		return err
	}
	_, err = conn.Exec(ctx, `CREATE DATABASE `+database)
	return err
}
