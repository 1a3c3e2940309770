package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"gitlab.sikt.no/platon/ecrferry/internal/postgres"
)

const (
	// watchVar makes a process of a test binary the watcher over the server of
	// the data directory that it names.
	watchVar = "ECRFERRY_TESTS_WATCH"
	// keepVar lets the server run on after the tests.
	keepVar = "ECRFERRY_TESTS_KEEP_SERVER"
)

// A test binary that is started as watcher never gets to its tests.
func init() {
	dir := os.Getenv(watchVar)
	if dir == "" {
		return
	}
	// The other end of standard input is closed by the kernel when the test
	// process ends: by returning, by os.Exit, by a panic, by SIGKILL.
	_, _ = io.Copy(io.Discard, os.Stdin)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	// The kernel may close the pipe a moment before it lets go of the dead
	// process' locks and sessions. Others who use the server have a watcher of
	// their own.
	for range 60 {
		if down, err := postgres.StopIdle(ctx, dir); down || err != nil {
			break
		}
		time.Sleep(250 * time.Millisecond)
	}
	os.Exit(0)
}

// watch starts a child that stops the server of dir after the end of this process.
func watch(dir string) error {
	if os.Getenv(keepVar) != "" {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close() //nolint:errcheck // the child has its own copy
	cmd := exec.Command(self)
	cmd.Env = []string{watchVar + "=" + dir, "TMPDIR=" + os.TempDir(), "PATH=" + os.Getenv("PATH")}
	cmd.Dir = os.TempDir()
	cmd.Stdin = read // and no output: go test would wait for its end
	// Out of reach of the terminal's Ctrl-C, which it must outlive.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the watcher over the test server: %w", err)
	}
	lifelines = append(lifelines, write)
	return nil
}

// lifelines are the ends of the pipes that tell watchers that we live. They are
// never closed, and kept here so that the collector does not do so.
var lifelines []*os.File

// exists says whether a process of this number lives on this machine.
func exists(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// databaseURL is the URL of another database of the server that cfg reaches.
func databaseURL(cfg *pgx.ConnConfig, name string) string {
	u, err := url.Parse(cfg.ConnString())
	if err == nil && u.Scheme != "" {
		u.Path = "/" + name
		return u.String()
	}
	// A DATABASE_URL in key=value form.
	u = &url.URL{
		Scheme: "postgres",
		User:   url.UserPassword(cfg.User, cfg.Password),
		Host:   net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port))),
		Path:   "/" + name,
	}
	return u.String()
}
