package postgres

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	osuser "os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// user is as whom the server and its programs run. PostgreSQL refuses to run as
// root, so root hands it to somebody unprivileged.
type user struct {
	drop     bool // we are root, and drop to uid and gid
	uid, gid uint32
}

// serverUser returns ourselves, or when we are root the user postgres, which
// Debian's package makes, or else nobody.
func serverUser() (user, error) {
	if os.Geteuid() != 0 {
		return user{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := osuser.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(found.Uid, 10, 32)
		if err != nil {
			continue
		}
		gid, err := strconv.ParseUint(found.Gid, 10, 32)
		if err != nil {
			continue
		}
		return user{drop: true, uid: uint32(uid), gid: uint32(gid)}, nil
	}
	return user{}, errors.New("PostgreSQL does not run as root, and there is neither a user postgres nor nobody; " +
		"run as another user, or set DATABASE_URL")
}

// own gives a file or directory to the user.
func (u user) own(path string) error {
	if !u.drop {
		return nil
	}
	return os.Chown(path, int(u.uid), int(u.gid))
}

// attributes make a child run as the user, out of reach of our terminal's signals.
func (u user) attributes() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setsid: true}
	if u.drop {
		a.Credential = &syscall.Credential{Uid: u.uid, Gid: u.gid}
	}
	return a
}

// place returns where the server of a data directory lives: within it, unless
// the user cannot get there, as with anything below /root. Then it is a
// directory of its own below /var/lib/ecrferry, named by a hash of dataDir.
func place(dataDir string, u user) (string, error) {
	dataDir, err := filepath.Abs(dataDir)
	if err != nil {
		return "", err
	}
	within := filepath.Join(dataDir, "postgres")
	if !u.drop || u.reaches(dataDir) {
		return within, nil
	}
	hash := sha256.Sum256([]byte(dataDir))
	return fmt.Sprintf("/var/lib/ecrferry/postgres-%x", hash[:6]), nil
}

// reaches says whether the user may enter dir and everything above it. What
// does not exist yet will be made by us so that everybody may enter.
func (u user) reaches(dir string) bool {
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil || !u.enters(info):
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

func (u user) enters(info fs.FileInfo) bool {
	mode := info.Mode().Perm()
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case ok && st.Uid == u.uid:
		return mode&0o100 != 0
	case ok && st.Gid == u.gid:
		return mode&0o010 != 0
	}
	return mode&0o001 != 0
}

// alive says whether process pid exists and may be a PostgreSQL server. After a
// restart of a container the number often belongs to somebody else; and where
// nobody reaps orphans, the dead keep theirs.
func alive(pid int) bool {
	if err := syscall.Kill(pid, 0); err != nil && !errors.Is(err, syscall.EPERM) {
		return false
	}
	// "pid (name) state ...", see proc_pid_stat(5).
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return errors.Is(err, fs.ErrNotExist) && !hasProc() // no /proc here: believe the number
	}
	text := string(stat)
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return true
	}
	name, state := text[open+1:end], strings.TrimSpace(text[end+1:])
	return (name == "postgres" || name == "postmaster") && !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}

func hasProc() bool {
	_, err := os.Stat("/proc/self/stat")
	return err == nil
}
