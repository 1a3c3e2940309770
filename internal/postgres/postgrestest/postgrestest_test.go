package postgrestest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/postgres"
)

// victimVar makes a process of the test binary use the server of a directory as
// a test process does, and then wait to be killed.
const victimVar = "ECRFERRY_TESTS_VICTIM"

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimVar); dir != "" {
		err := watch(dir)
		if err == nil {
			_, err = postgres.Open(context.Background(), postgres.Options{DataDir: dir, NoSync: true})
		}
		fmt.Println(err)
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestDatabasesAreApart(t *testing.T) {
	t.Parallel()
	one, two := New(t), New(t)
	if _, err := one.Exec(t.Context(), `INSERT INTO ferry.projects (id, path) VALUES (1, 'a/b')`); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := two.QueryRow(t.Context(), `SELECT count(*) FROM ferry.projects`).Scan(&n); err != nil || n != 0 {
		t.Errorf("the other database holds %d projects, %v", n, err)
	}
}

// A test process that is killed leaves no server behind.
func TestNoServerIsLeft(t *testing.T) {
	t.Parallel()
	if os.Getenv(keepVar) != "" {
		t.Skipf("%s is set: servers are to be left", keepVar)
	}
	dir, err := os.MkdirTemp("", "ecrferry-watch-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	victim := exec.Command(os.Args[0])
	victim.Env = append(os.Environ(), victimVar+"="+dir)
	if _, err := victim.StdinPipe(); err != nil { // it waits for what never comes
		t.Fatal(err)
	}
	stdout, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	said, err := bufio.NewReader(stdout).ReadString('\n')
	pidFile := filepath.Join(dir, "postgres", "data", "postmaster.pid")
	_, running := os.Stat(pidFile)
	_ = victim.Process.Kill()
	_ = victim.Wait()
	if said != "<nil>\n" || err != nil || running != nil {
		t.Fatalf("the victim said %q, %v; its server: %v", said, err, running)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(pidFile); os.IsNotExist(err) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("its server still runs")
		}
	}
}

func TestNeeded(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	name := func(kind string, pid int, age time.Duration) string {
		return fmt.Sprintf("ecrferry_%s_%d_%d_1", kind, pid, now.Add(-age).Unix())
	}
	const nobody = 1<<31 - 2
	for _, tt := range []struct {
		name string
		want bool
	}{
		{name("test", os.Getpid(), 2*time.Hour), true},
		{name("test", os.Getpid(), 25*time.Hour), false},
		{name("test", nobody, time.Minute), true}, // maybe on another machine
		{name("test", nobody, 2*time.Hour), false},
		{name("kept", nobody, 23*time.Hour), true},
		{name("kept", os.Getpid(), 25*time.Hour), false},
		{"ecrferry_test_of_my_own", true},
	} {
		if got := needed(tt.name, now); got != tt.want {
			t.Errorf("needed(%s) = %v, want %v", tt.name, got, tt.want)
		}
	}
}
