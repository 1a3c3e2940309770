package postgres

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ulikunitz/xz"
)

// programs writes a directory of programs that say they are of a version.
func programs(t *testing.T, dir, version string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range scripts(version) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func scripts(version string) map[string]string {
	return map[string]string{
		"postgres": fmt.Sprintf("#!/bin/sh\necho 'postgres (PostgreSQL) %s'\n", version),
		"initdb":   "#!/bin/sh\necho 'initdb: error: cannot be run as root'\nexit 1\n",
		"pg_ctl":   "#!/bin/sh\nexit 1\n",
	}
}

func nowhere(string) (string, error) { return "", exec.ErrNotFound }

func TestBinariesOfTheMachine(t *testing.T) {
	t.Parallel()
	machine, dir := t.TempDir(), t.TempDir()
	for _, v := range []string{"9.6.24", "13.9", "15.4", "16.10 (Debian 16.10-1)"} {
		programs(t, filepath.Join(machine, strings.Split(v, ".")[0], "bin"), v)
	}
	if err := os.Mkdir(filepath.Join(machine, "99"), 0o755); err != nil { // without programs
		t.Fatal(err)
	}
	inPath := programs(t, filepath.Join(t.TempDir(), "bin"), "17.1")
	from := source{places: []string{machine + "/*/bin"}, look: nowhere, repository: "http://127.0.0.1:1"}
	find := func() string {
		t.Helper()
		bin, err := from.binaries(dir, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return bin
	}
	if got, want := find(), filepath.Join(machine, "16", "bin"); got != want {
		t.Errorf("newest: %s, want %s", got, want)
	}
	from.look = func(name string) (string, error) { return filepath.Join(inPath, name), nil }
	if got := find(); got != inPath {
		t.Errorf("newest with PATH: %s, want %s", got, inPath)
	}
	// What wrote the data goes before what is newest.
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "data", "PG_VERSION"), []byte("15\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, want := find(), filepath.Join(machine, "15", "bin"); got != want {
		t.Errorf("for existing data: %s, want %s", got, want)
	}
	s := &server{dir: dir, bin: inPath}
	if err := s.checkVersion(); err == nil || !strings.Contains(err.Error(), "install postgresql-15") {
		t.Errorf("data of 15 under 17: %v", err)
	}
}

func TestBinariesDownloaded(t *testing.T) {
	t.Parallel()
	archive := jar(t)
	requests := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, ".jar") {
			http.NotFound(w, r) // no checksum published
			return
		}
		requests++
		w.Write(archive) //nolint:errcheck // the client notices
	}))
	defer srv.Close()
	dir := t.TempDir()
	from := source{look: nowhere, repository: srv.URL}
	for range 2 { // the second time it is there
		bin, err := from.binaries(dir, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := bin, filepath.Join(dir, "server", "bin"); got != want || majorOf(bin) != "18" {
			t.Errorf("%s of version %q, want %s of 18", got, majorOf(bin), want)
		}
	}
	if requests != 1 {
		t.Errorf("%d downloads, want 1", requests)
	}
	// Another user runs them when we are root.
	for _, path := range []string{"server", "server/bin", "server/bin/postgres"} {
		info, err := os.Stat(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode()&0o005 != 0o005 {
			t.Errorf("%s is %v: others cannot use it", path, info.Mode())
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "download-*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestBinariesNotToBeHad(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	_, err := source{look: nowhere, repository: srv.URL}.binaries(t.TempDir(), slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "apt-get install postgresql") || !strings.Contains(err.Error(), "DATABASE_URL") {
		t.Errorf("no remedy in: %v", err)
	}
}

// jar is a download as the repository serves it: a compressed tar in a zip.
func jar(t *testing.T) []byte {
	t.Helper()
	var packed, zipped bytes.Buffer
	xw, err := xz.NewWriter(&packed)
	if err != nil {
		t.Fatal(err)
	}
	tw := tar.NewWriter(xw)
	for name, text := range scripts("18.3") {
		if err := tw.WriteHeader(&tar.Header{Name: "bin/" + name, Mode: 0o755, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := xw.Close(); err != nil {
		t.Fatal(err)
	}
	zw := zip.NewWriter(&zipped)
	f, err := zw.Create("postgres-any.txz")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(packed.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return zipped.Bytes()
}
