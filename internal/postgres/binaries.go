package postgres

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"

	embedded "github.com/fergusstrange/embedded-postgres"
)

// places are where packages put the server's programs, which are not in PATH
// on Debian and Red Hat.
var places = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/opt/homebrew/opt/postgresql@*/bin",
	"/usr/local/opt/postgresql@*/bin",
}

// repository holds builds of PostgreSQL for many systems,
// https://github.com/zonkyio/embedded-postgres-binaries.
const repository = "https://repo1.maven.org/maven2"

// binaries returns the directory of the programs to use: those that belong to
// the data in dir if there are some, else the newest of the machine, else a
// download that is kept in dir. The caller holds the lock of dir.
func binaries(dir string, log *slog.Logger) (string, error) {
	return source{places: places, look: exec.LookPath, repository: repository}.binaries(dir, log)
}

// source is where the programs may come from.
type source struct {
	places     []string                     // patterns of directories
	look       func(string) (string, error) // finds a program in PATH
	repository string                       // a Maven repository to download from
}

func (from source) binaries(dir string, log *slog.Logger) (string, error) {
	var found []string
	for _, p := range from.places {
		matches, _ := filepath.Glob(p) // the patterns are well formed
		found = append(found, matches...)
	}
	if path, err := from.look("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			found = append(found, filepath.Dir(path))
		}
	}
	downloaded := filepath.Join(dir, "server")
	found = append(found, filepath.Join(downloaded, "bin"))
	written, _ := os.ReadFile(filepath.Join(dir, "data", "PG_VERSION")) // none is no preference
	best, bestMajor := "", 0
	for _, bin := range found {
		if !complete(bin) {
			continue
		}
		major, err := strconv.Atoi(majorOf(bin))
		if err != nil || major*10000 < minVersion {
			continue
		}
		if string(written) == strconv.Itoa(major)+"\n" {
			return bin, nil
		}
		if major > bestMajor {
			best, bestMajor = bin, major
		}
	}
	if best != "" {
		return best, nil
	}
	log.Info("no PostgreSQL server on this machine, downloading one", "to", downloaded)
	if err := download(from.repository, dir, downloaded); err != nil {
		return "", fmt.Errorf("no PostgreSQL 14 or newer on this machine and none to download (%w); "+
			"install it (Debian: apt-get install postgresql) or set DATABASE_URL", err)
	}
	return filepath.Join(downloaded, "bin"), nil
}

// complete says whether bin holds all the programs that we run.
func complete(bin string) bool {
	for _, name := range []string{"postgres", "initdb", "pg_ctl"} {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			return false
		}
	}
	return true
}

var versionText = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// majorOf returns the major version of the programs in bin, or "".
func majorOf(bin string) string {
	out, err := exec.Command(filepath.Join(bin, "postgres"), "--version").Output() //nolint:gosec // a path we found
	if err != nil {
		return ""
	}
	if m := versionText.FindSubmatch(out); m != nil {
		return string(m[1])
	}
	return ""
}

// download fetches the server's programs. The library knows how to fetch and
// unpack only as part of starting a server of its own, which fails when we are
// root; so it is asked to start one aside, and what counts is what it unpacked.
func download(repository, dir, to string) error {
	aside, err := os.MkdirTemp(dir, "download-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(aside) //nolint:errcheck // a temporary directory
	fresh := filepath.Join(aside, "server")
	port, err := freePort()
	if err != nil {
		return err
	}
	trial := embedded.NewDatabase(embedded.DefaultConfig().
		BinaryRepositoryURL(repository).
		Port(port).
		Logger(io.Discard).
		CachePath(filepath.Join(aside, "cache")).
		RuntimePath(filepath.Join(aside, "run")).
		DataPath(filepath.Join(aside, "data")).
		BinariesPath(fresh))
	startErr := trial.Start()
	if startErr == nil {
		if err := trial.Stop(); err != nil {
			return err
		}
	}
	if !complete(filepath.Join(fresh, "bin")) {
		return cmp.Or(startErr, errors.New("the download holds no server"))
	}
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	return os.Rename(fresh, to)
}

func freePort() (uint32, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()                                  //nolint:errcheck // nobody ever connected
	return uint32(listener.Addr().(*net.TCPAddr).Port), nil //nolint:gosec // a port
}
