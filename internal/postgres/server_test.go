package postgres

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// openerVar makes a process of the test binary open the data directory that it
// names, say so, and then close it at the end of its standard input.
const openerVar = "ECRFERRY_TEST_OPENER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(openerVar); dir != "" {
		os.Exit(opener(dir))
	}
	code := m.Run()
	if dir, err := seed(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// seed is a data directory whose cluster is made once and copied by the tests,
// since making one takes a second.
var seed = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "ecrferry-seed-")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return dir, err
	}
	db, err := Open(context.Background(), Options{DataDir: dir, NoSync: true})
	if err != nil {
		return dir, err
	}
	if err := db.Close(); err != nil {
		return dir, err
	}
	return dir, os.Remove(filepath.Join(dir, "postgres", "port"))
})

func opener(dir string) int {
	db, err := Open(context.Background(), Options{DataDir: dir, NoSync: true, AppName: "opener"})
	if err != nil {
		fmt.Println("error:", err)
		return 1
	}
	fmt.Println("open")
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := db.Close(); err != nil {
		fmt.Println("error:", err)
		return 1
	}
	return 0
}

// other is another process that has a data directory open.
type other struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
}

func openElsewhere(t *testing.T, dir string) (*other, error) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), openerVar+"="+dir)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	said, err := bufio.NewReader(stdout).ReadString('\n')
	if said != "open\n" {
		return nil, fmt.Errorf("the other process said %q, %v", said, err)
	}
	return &other{cmd: cmd, stdin: stdin}, nil
}

func (o *other) close() error {
	_ = o.stdin.Close()
	return o.cmd.Wait()
}

func (o *other) kill() {
	_ = o.cmd.Process.Kill()
	_ = o.cmd.Wait()
}

// dataDir is a data directory with a cluster that does not run yet.
func dataDir(t *testing.T) string {
	t.Helper()
	from, err := seed()
	if err != nil {
		t.Fatal(err)
	}
	dir := emptyDir(t)
	if out, err := exec.Command("cp", "-a", filepath.Join(from, "postgres"), dir).CombinedOutput(); err != nil {
		t.Fatalf("copying the seed: %v\n%s", err, out)
	}
	return dir
}

// emptyDir is a directory that the server's user can reach, which t.TempDir is
// not when we are root. Its server is gone when the test ends.
func emptyDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ecrferry-server-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if pid := postmaster(dir); pid != 0 {
			_ = syscall.Kill(pid, syscall.SIGQUIT)
			waitUntil(t, "the server is gone", func() bool { return postmaster(dir) == 0 })
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// postmaster is the process id of the running server of dir, or 0.
func postmaster(dir string) int {
	s := &server{dir: filepath.Join(dir, "postgres")}
	if pid, _ := s.pidFile(); pid != 0 && alive(pid) {
		return pid
	}
	return 0
}

func waitUntil(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func openHere(t *testing.T, dir string) *DB {
	t.Helper()
	db, err := Open(t.Context(), Options{DataDir: dir, NoSync: true, AppName: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func closeDB(t *testing.T, db *DB) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestEmbeddedServer(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	first := openHere(t, dir)
	pid := postmaster(dir)
	if pid == 0 {
		t.Fatal("no server runs")
	}
	if info, err := os.Stat(filepath.Join(first.Dir(), "password")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the password's file: %v, %v", info.Mode(), err)
	}
	var fsync, name, address, socket string
	err := first.Pool.QueryRow(t.Context(), `SELECT current_setting('fsync'), current_setting('application_name'),
		current_setting('listen_addresses'), current_setting('unix_socket_directories')`).Scan(&fsync, &name, &address, &socket)
	if err != nil || fsync != "off" || name != "ecrferry test" || address != "127.0.0.1" || socket != "" {
		t.Errorf("fsync %q, name %q, address %q, socket %q, %v", fsync, name, address, socket, err)
	}
	if _, err := pgx.Connect(t.Context(), strings.Replace(first.URL, ":"+first.server.password+"@", ":wrong@", 1)); err == nil {
		t.Error("the server takes any password")
	}
	if _, err := first.Pool.Exec(t.Context(), `CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)`); err != nil {
		t.Fatal(err)
	}

	// Whoever else has it open keeps it running: by directory, or only by URL.
	second := openHere(t, dir)
	closeDB(t, first)
	byURL, err := Open(t.Context(), Options{URL: second.URL, AppName: "by url"})
	if err != nil {
		t.Fatal(err)
	}
	closeDB(t, second)
	if got := postmaster(dir); got != pid {
		t.Errorf("the server is %d, want %d: it was stopped under its users", got, pid)
	}
	closeDB(t, byURL)
	if down, err := StopIdle(t.Context(), dir); !down || err != nil {
		t.Errorf("not stopped when idle: %v, %v", down, err)
	}
	if postmaster(dir) != 0 {
		t.Error("the server still runs")
	}

	// The data, the port and the password are there again.
	third := openHere(t, dir)
	var n int
	if err := third.Pool.QueryRow(t.Context(), `SELECT n FROM kept`).Scan(&n); err != nil || n != 7 {
		t.Errorf("what was kept: %d, %v", n, err)
	}
	if third.URL != second.URL {
		t.Errorf("reached at %s, before at %s", third.URL, second.URL)
	}
	closeDB(t, third)
	if postmaster(dir) != 0 {
		t.Error("its last user closed, and the server still runs")
	}
}

func TestEmbeddedServerSyncs(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	db, err := Open(t.Context(), Options{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer closeDB(t, db)
	var fsync, commit, pages string
	err = db.Pool.QueryRow(t.Context(), `SELECT current_setting('fsync'), current_setting('synchronous_commit'),
		current_setting('full_page_writes')`).Scan(&fsync, &commit, &pages)
	if err != nil || fsync != "on" || commit != "on" || pages != "on" {
		t.Errorf("fsync %s, synchronous_commit %s, full_page_writes %s, %v", fsync, commit, pages, err)
	}
}

// Between the look for a free port and the server's own listening, another
// program may take it.
func TestPortTakenMeanwhile(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	s, err := find(Options{DataDir: dir, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	if s.bin, err = binaries(s.dir, s.log); err != nil {
		t.Fatal(err)
	}
	if err := s.ensureCluster(t.Context()); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close() //nolint:errcheck // nobody ever connected
	port := taken.Addr().(*net.TCPAddr).Port
	asked := 0
	err = s.startOnOne(t.Context(), func() (int, error) {
		if asked++; asked == 1 {
			return port, nil
		}
		return s.choosePort()
	})
	if err != nil || s.port == port || s.port == 0 {
		t.Fatalf("port %d after %d was taken: %v", s.port, port, err)
	}
	waitUntil(t, "the server is down", func() bool {
		down, err := StopIdle(t.Context(), dir)
		return down && err == nil
	})
	// One that stays taken is an error that says so.
	asked = 0
	err = s.startOnOne(t.Context(), func() (int, error) { asked++; return port, nil })
	if err == nil || !strings.Contains(err.Error(), "Address already in use") || asked != starts {
		t.Errorf("%d tries on a port that is taken: %v", asked, err)
	}
}

func TestServerOutlivesItsStarter(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	starter, err := openElsewhere(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	pid := postmaster(dir)
	starter.kill()
	if got := postmaster(dir); got != pid || pid == 0 {
		t.Fatalf("the server was %d, and is %d after its starter's death", pid, got)
	}
	// The next one takes it over as it is, and stops it.
	db := openHere(t, dir)
	if got := postmaster(dir); got != pid {
		t.Errorf("the server is %d, want %d: it was started anew", got, pid)
	}
	closeDB(t, db)
	waitUntil(t, "the server is down", func() bool {
		down, err := StopIdle(t.Context(), dir)
		return down && err == nil
	})
}

func TestStarterLeavesTheServerToOthers(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	starter := openHere(t, dir)
	guest, err := openElsewhere(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	closeDB(t, starter)
	if postmaster(dir) == 0 {
		t.Fatal("stopped under its guest")
	}
	if err := guest.close(); err != nil {
		t.Fatal(err)
	}
	if postmaster(dir) != 0 {
		t.Error("the last one did not stop it")
	}
}

func TestFourStartersAtOnce(t *testing.T) {
	t.Parallel()
	dir := emptyDir(t) // they make the cluster, too
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		others []*other
	)
	for range 4 {
		wg.Go(func() {
			o, err := openElsewhere(t, dir)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			others = append(others, o)
			mu.Unlock()
		})
	}
	wg.Wait()
	for _, o := range others {
		if err := o.close(); err != nil {
			t.Error(err)
		}
	}
	if postmaster(dir) != 0 {
		t.Error("four closed, and the server still runs")
	}
}

// After a crash the lock file names a process that is gone, or somebody else by now.
func TestServerAfterACrash(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	db := openHere(t, dir)
	if _, err := db.Pool.Exec(t.Context(), `CREATE TABLE kept (n int)`); err != nil {
		t.Fatal(err)
	}
	pid := postmaster(dir)
	if err := syscall.Kill(pid, syscall.SIGQUIT); err != nil { // no shutdown, recovery at the next start
		t.Fatal(err)
	}
	waitUntil(t, "the server is gone", func() bool { return !alive(pid) })
	closeDB(t, db)

	s := &server{dir: filepath.Join(dir, "postgres")}
	u, err := serverUser()
	if err != nil {
		t.Fatal(err)
	}
	bystander := exec.Command("sleep", "60")
	bystander.SysProcAttr = u.attributes() // the same user, so that the server may signal it
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	defer bystander.Wait()         //nolint:errcheck // killed
	defer bystander.Process.Kill() //nolint:errcheck // its end
	lock := fmt.Sprintf("%d\n%s\n1700000000\n1\n\n127.0.0.1\n\nready   \n", bystander.Process.Pid, s.path("data"))
	path := filepath.Join(s.path("data"), "postmaster.pid")
	if err := os.WriteFile(path, []byte(lock), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := u.own(path); err != nil {
		t.Fatal(err)
	}
	again := openHere(t, dir)
	defer closeDB(t, again)
	if _, err := again.Pool.Exec(t.Context(), `SELECT FROM kept`); err != nil {
		t.Error(err)
	}
	if bystander.ProcessState != nil || syscall.Kill(bystander.Process.Pid, 0) != nil {
		t.Error("the bystander was hurt")
	}
}

func TestPortTaken(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	// The port that was kept is somebody else's now: that of another server.
	taken := openHere(t, dataDir(t))
	defer closeDB(t, taken)
	if err := os.WriteFile(filepath.Join(dir, "postgres", "port"), []byte(strconv.Itoa(taken.server.port)), 0o644); err != nil {
		t.Fatal(err)
	}
	db := openHere(t, dir)
	defer closeDB(t, db)
	if db.server.port == taken.server.port {
		t.Error("both have one port")
	}
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		o    Options
		want []string
	}{
		{"neither", Options{}, []string{"DATABASE_URL", "ECRFERRY_DATA_DIR"}},
		{"nobody there", Options{URL: "postgres://u:hunter2@127.0.0.1:1/x?sslmode=disable"}, []string{"DATABASE_URL", "check the address"}},
		{"not a URL", Options{URL: "postgres://u:hunter2@[/x"}, []string{"DATABASE_URL"}},
		{"no directory", Options{DataDir: "/dev/null/x"}, []string{"/dev/null/x"}},
	} {
		db, err := Open(t.Context(), tt.o)
		if err == nil {
			_ = db.Close()
			t.Errorf("%s: no error", tt.name)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q is not in: %v", tt.name, want, err)
			}
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the password shows: %v", tt.name, err)
		}
	}
}

func TestPlace(t *testing.T) {
	t.Parallel()
	closed := t.TempDir()
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(closed, "new", "data")
	stranger := user{drop: true, uid: 4_000_001, gid: 4_000_001}
	got, err := place(dir, stranger)
	if err != nil || !strings.HasPrefix(got, "/var/lib/ecrferry/postgres-") {
		t.Errorf("below a closed directory: %s, %v", got, err)
	}
	if again, _ := place(dir, stranger); again != got {
		t.Errorf("then %s: it must be the same each time", again)
	}
	if got, err := place(dir, user{}); err != nil || got != filepath.Join(dir, "postgres") {
		t.Errorf("for ourselves: %s, %v", got, err)
	}
	if got, err := place("/usr/share/new", stranger); err != nil || got != "/usr/share/new/postgres" {
		t.Errorf("in an open place: %s, %v", got, err)
	}
}
