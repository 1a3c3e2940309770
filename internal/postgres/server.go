package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// role owns the embedded cluster, database is the one made in it.
const (
	role     = "ecrferry"
	database = "ecrferry"
)

// startPatience bounds the wait for a server to answer. Recovery after a crash
// of a busy server takes seconds, not minutes.
const startPatience = 60 * time.Second

// server is an embedded server that this process uses, and maybe started.
type server struct {
	dir      string // DIR/postgres
	bin      string // directory of postgres, pg_ctl, initdb
	user     user
	password string
	port     int
	noSync   bool
	users    *fileLock // shared, for as long as we use the server
	log      *slog.Logger
}

func (s *server) path(name string) string { return filepath.Join(s.dir, name) }

// url is how a database of the server is reached. Only loopback listens.
func (s *server) url(database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(role, s.password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// openServer makes sure that the server of a data directory runs, and registers
// this process as a user of it.
func openServer(ctx context.Context, o Options) (*server, error) {
	s, err := find(o)
	if err != nil {
		return nil, err
	}
	held, err := acquire(ctx, s.path("lock"), exclusive)
	if err != nil {
		return nil, err
	}
	defer held.release()

	if s.bin, err = binaries(s.dir, s.log); err != nil {
		return nil, err
	}
	if err := s.ensureCluster(ctx); err != nil {
		return nil, err
	}
	running, err := s.running(ctx)
	if err != nil {
		return nil, err
	}
	if !running {
		if err := s.start(ctx); err != nil {
			return nil, err
		}
		s.log.Info("embedded PostgreSQL started", "dir", s.dir, "port", s.port)
	}
	if err := s.ensureDatabase(ctx); err != nil {
		return nil, err
	}
	s.users, err = acquire(ctx, s.path("users"), shared)
	return s, err
}

// find settles where the server of a data directory lives and as whom it runs,
// and makes the place.
func find(o Options) (*server, error) {
	u, err := serverUser()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.DataDir, 0o755); err != nil {
		return nil, fmt.Errorf("%w; name another place in ECRFERRY_DATA_DIR", err)
	}
	dir, err := place(o.DataDir, u)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("%w; name another place in ECRFERRY_DATA_DIR", err)
	}
	if err := u.own(dir); err != nil {
		return nil, err
	}
	if u.drop && !u.reaches(dir) {
		return nil, fmt.Errorf("user %d, as whom PostgreSQL runs because root may not, cannot enter %s; "+
			"name another place in ECRFERRY_DATA_DIR, or use umask 022", u.uid, dir)
	}
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &server{dir: dir, user: u, noSync: o.NoSync, log: log}, nil
}

// starts is how often a start is tried on another port: between the look for a
// free one and the server's own listening, somebody else may take it.
const starts = 5

// start starts the server on its port, or on another free one if that is taken.
// The caller holds the lock.
func (s *server) start(ctx context.Context) error {
	if err := s.configure(); err != nil {
		return err
	}
	if err := s.disownPID(); err != nil {
		return err
	}
	return s.startOnOne(ctx, s.choosePort)
}

// startOnOne starts the server on the first port chosen that nobody else takes.
func (s *server) startOnOne(ctx context.Context, choose func() (int, error)) error {
	for try := 1; ; try++ {
		port, err := choose()
		if err != nil {
			return err
		}
		said, err := s.startOn(ctx, port)
		switch {
		case err == nil:
			s.port = port
			return os.WriteFile(s.path("port"), []byte(strconv.Itoa(port)+"\n"), 0o644) //nolint:gosec // no secret
		case try == starts || !strings.Contains(said, portTaken):
			return fmt.Errorf("%w\n%s", err, said)
		}
		s.log.Info("somebody took the port of the embedded PostgreSQL, trying another", "port", port)
	}
}

// portTaken is the server's last word when it cannot listen; its language is
// ours to choose. https://github.com/postgres/postgres/blob/master/src/backend/postmaster/postmaster.c
const portTaken = "could not create any TCP/IP sockets"

// startOn starts the server on a port, and returns what it said of it.
func (s *server) startOn(ctx context.Context, port int) (said string, err error) {
	before := size(s.path("log"))
	// pg_ctl puts the server into a session of its own, so that neither our
	// death nor a Ctrl-C in our terminal reaches it, and waits until it answers.
	err = s.run(ctx, "pg_ctl", "start", "--wait", "--silent",
		"--timeout", strconv.Itoa(int(startPatience.Seconds())),
		"--pgdata", s.path("data"), "--log", s.path("log"), "--options", "-p "+strconv.Itoa(port))
	return tail(s.path("log"), before), err
}

// choosePort returns the port that was used before if it is free, else a free one.
func (s *server) choosePort() (int, error) {
	kept := 0
	if text, err := os.ReadFile(s.path("port")); err == nil {
		kept, _ = strconv.Atoi(strings.TrimSpace(string(text))) // nonsense is 0: any port
	}
	listener, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(kept)))
	if err != nil && kept != 0 {
		listener, err = net.Listen("tcp4", "127.0.0.1:0")
	}
	if err != nil {
		return 0, fmt.Errorf("looking for a free port: %w", err)
	}
	defer listener.Close() //nolint:errcheck // nobody ever connected
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// running says whether the server runs, and if so waits until it answers and
// learns its port. The caller holds the lock, so nobody is starting or stopping
// it in an orderly way.
func (s *server) running(ctx context.Context) (bool, error) {
	pid, port := s.pidFile()
	if pid == 0 || !alive(pid) {
		return false, nil // the server itself sweeps up a pid file left by a crash
	}
	s.port = port
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.url("postgres"))
		if err == nil {
			return true, conn.Close(ctx)
		}
		if !alive(pid) {
			return false, nil
		}
		if refused, ok := errors.AsType[*pgconn.PgError](err); ok && strings.HasPrefix(refused.Code, "28") {
			return false, fmt.Errorf("the server on port %d does not take the password in %s: %w", s.port, s.path("password"), err)
		}
		select {
		case <-ctx.Done():
			return false, fmt.Errorf("process %d runs but does not answer on port %d: %w; see %s, "+
				"and end that process if it is no PostgreSQL", pid, port, err, s.path("log"))
		case <-time.After(50 * time.Millisecond):
			if _, p := s.pidFile(); p != 0 {
				s.port = p // the file is written in pieces while the server starts
			}
		}
	}
}

// pidFile returns the process id and port in the server's lock file, or zeros.
// Format: https://www.postgresql.org/docs/current/storage-file-layout.html
func (s *server) pidFile() (pid, port int) {
	text, err := os.ReadFile(filepath.Join(s.path("data"), "postmaster.pid"))
	if err != nil {
		return 0, 0
	}
	lines := strings.Split(string(text), "\n")
	pid, _ = strconv.Atoi(strings.TrimSpace(lines[0]))
	if len(lines) > 3 {
		port, _ = strconv.Atoi(strings.TrimSpace(lines[3]))
	}
	return pid, port
}

// nobodysPID is above every system's limit of process ids.
const nobodysPID = math.MaxInt32 - 1

// disownPID corrects a lock file that a crash left behind and whose process id
// belongs to another program by now, as is usual after the restart of a
// container: the server would believe that program to be itself. The rest of
// the file stays, since by it the server finds out whether backends of the
// crashed one are still at work. The caller knows that the server does not run.
func (s *server) disownPID() error {
	pid, _ := s.pidFile()
	if pid == 0 || syscall.Kill(pid, 0) != nil {
		return nil
	}
	path := filepath.Join(s.path("data"), "postmaster.pid")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(string(text), "\n")
	return os.WriteFile(path, fmt.Appendf(nil, "%d\n%s", nobodysPID, rest), 0o600)
}

// close stops being a user of the server, and stops it if there is no other.
func (s *server) close(log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	held, err := acquire(ctx, s.path("lock"), exclusive)
	if err != nil {
		return err
	}
	defer held.release()
	if s.users != nil {
		s.users.release()
	}
	_, err = s.stopIdle(ctx, log)
	return err
}

// stopIdle stops the server unless somebody uses it, and says whether it is down
// now. The caller holds the lock, so nobody becomes a user meanwhile. Those who have the data directory open
// hold users, those who only know the URL have a session.
func (s *server) stopIdle(ctx context.Context, log *slog.Logger) (bool, error) {
	users, err := try(s.path("users"), exclusive)
	if errors.Is(err, errHeld) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer users.release()
	if pid, port := s.pidFile(); pid == 0 || !alive(pid) {
		return true, nil
	} else if s.port = port; s.sessions(ctx) > 0 {
		return false, nil
	}
	if err := s.run(ctx, "pg_ctl", "stop", "--wait", "--silent", "--mode", "fast", "--pgdata", s.path("data")); err != nil {
		return false, err
	}
	log.Info("embedded PostgreSQL stopped", "dir", s.dir)
	return true, nil
}

// sessions counts the sessions of ours on the server. One that cannot be asked has none.
func (s *server) sessions(ctx context.Context) int {
	conn, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		return 0
	}
	defer conn.Close(ctx) //nolint:errcheck // the answer is here
	// Our own pool's backends may take a moment to vanish after it was closed.
	var n int
	for range 20 {
		err = conn.QueryRow(ctx, `
			SELECT count(*)
			  FROM pg_stat_activity
			 WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
			   AND application_name LIKE $1 || '%'`, appName).Scan(&n)
		if err != nil || n == 0 {
			return 0
		}
		time.Sleep(25 * time.Millisecond)
	}
	return n
}

// StopIdle stops the embedded server of a data directory unless somebody uses
// it, and says whether it is down now. It is for those who watch over a process
// that may die without Close.
func StopIdle(ctx context.Context, dataDir string) (down bool, err error) {
	s, err := find(Options{DataDir: dataDir})
	if err != nil {
		return false, err
	}
	held, err := acquire(ctx, s.path("lock"), exclusive)
	if err != nil {
		return false, err
	}
	defer held.release()
	if pid, _ := s.pidFile(); pid == 0 || !alive(pid) {
		return true, nil
	}
	if s.bin, err = binaries(s.dir, s.log); err != nil {
		return false, err
	}
	if err := s.readPassword(); err != nil {
		return false, err
	}
	return s.stopIdle(ctx, s.log)
}

// run runs one of the server's programs as the server's user.
func (s *server) run(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, name), args...) //nolint:gosec // our own words
	cmd.Dir = s.dir
	// Nothing of our surroundings: PGPORT and the like would change what is meant.
	cmd.Env = []string{"PATH=" + s.bin + ":/usr/bin:/bin", "LC_ALL=C"}
	cmd.SysProcAttr = s.user.attributes()
	// A file, because a pipe would stay open in the server that pg_ctl leaves behind.
	out, err := os.CreateTemp("", "ecrferry-*.out")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name()) //nolint:errcheck // a temporary file
	defer out.Close()           //nolint:errcheck // a temporary file
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, tail(out.Name(), 0))
	}
	return nil
}

// size returns the length of a file in bytes, 0 if there is none.
func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// tail returns the last lines of a file after so many bytes, for an error.
func tail(path string, after int64) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	text = text[min(after, int64(len(text))):]
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-12):], "\n")
}
