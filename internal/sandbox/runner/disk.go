package runner

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
)

// disk is the file system of a job, or of a container within it. Every path is
// absolute in the job's own world; os.Root keeps symbolic links from leading out
// of the directory.
type disk struct {
	base  string // the job's directory on the host
	root  *os.Root
	quota *atomic.Int64 // bytes that may still be written

	below  string            // a container's directory, relative to root
	mounts map[string]string // of a container: path there -> path relative to root
}

// fifos is where the interpreter makes the named pipes of process substitutions,
// with real paths, and fifoPrefix what it calls them.
const (
	fifos      = "fifos"
	fifoPrefix = "sh-interp-"
)

func newDisk(base string, limit int64) (*disk, error) {
	base, err := filepath.EvalSymlinks(base)
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{"root", fifos} {
		if err := os.Mkdir(filepath.Join(base, dir), 0o700); err != nil {
			return nil, err
		}
	}
	root, err := os.OpenRoot(filepath.Join(base, "root"))
	if err != nil {
		return nil, err
	}
	d := &disk{base: base, root: root, quota: &atomic.Int64{}}
	d.quota.Store(limit)
	return d, nil
}

// close removes everything, also from under commands that still run.
func (d *disk) close() error {
	pipes, _ := os.ReadDir(filepath.Join(d.base, fifos))
	for _, p := range pipes {
		// Somebody may still wait for the other end: opening both lets them go.
		if f, err := os.OpenFile(filepath.Join(d.base, fifos, p.Name()), os.O_RDWR|syscall.O_NONBLOCK, 0); err == nil {
			f.Close()
		}
	}
	return errors.Join(d.root.Close(), os.RemoveAll(d.base))
}

// rel maps a path of the job's world to one relative to the root.
func (d *disk) rel(name string) string {
	name = path.Clean("/" + name)
	if rest, ok := strings.CutPrefix(name, filepath.ToSlash(d.base)+"/root/"); ok {
		return rest // see real
	}
	for dir := name; d.mounts != nil; dir = path.Dir(dir) {
		if to, ok := d.mounts[dir]; ok {
			return path.Join(to, strings.TrimPrefix(name, dir))
		}
		if dir == "/" {
			break
		}
	}
	if name = strings.TrimPrefix(path.Join("/", d.below, name), "/"); name == "" {
		return "."
	}
	return name
}

// real is a path of the host, for the one place where the interpreter looks for
// a file by itself: the argument of source. rel maps it back.
func (d *disk) real(name string) string { return filepath.Join(d.base, "root", d.rel(name)) }

// within returns the disk of a container that lives in a directory of this one.
func (d *disk) within(dir string, mounts map[string]string) *disk {
	c := *d
	c.below, c.mounts = d.rel(dir), map[string]string{}
	for target, source := range mounts {
		c.mounts[path.Clean("/"+target)] = d.rel(source)
	}
	return &c
}

// own puts the job's own path into an error of os.Root.
func own(err error, name string) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return &fs.PathError{Op: p.Op, Path: name, Err: p.Err}
	}
	return err
}

func (d *disk) open(name string, flag int, perm fs.FileMode) (io.ReadWriteCloser, error) {
	if f, ok, err := d.fifo(name, flag); ok {
		return f, err
	}
	f, err := d.root.OpenFile(d.rel(name), flag, perm.Perm())
	if err != nil {
		return nil, own(err, name)
	}
	if flag&(os.O_WRONLY|os.O_RDWR) == 0 {
		return f, nil
	}
	return &limited{f: f, quota: d.quota}, nil
}

// fifo opens a pipe that the interpreter made.
func (d *disk) fifo(name string, flag int) (*os.File, bool, error) {
	dir, base := filepath.Split(filepath.Clean(name))
	if filepath.Clean(dir) != filepath.Join(d.base, fifos) || !strings.HasPrefix(base, fifoPrefix) {
		return nil, false, nil
	}
	if info, err := os.Lstat(name); err != nil || info.Mode()&fs.ModeNamedPipe == 0 {
		return nil, true, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	f, err := os.OpenFile(name, flag&^os.O_CREATE, 0)
	return f, true, err
}

// limited is a file whose writes count against the job's disk. It does not embed
// the file, whose ReadFrom and WriteString would get around that.
type limited struct {
	f     *os.File
	quota *atomic.Int64
}

func (l *limited) Read(p []byte) (int, error) { return l.f.Read(p) }

func (l *limited) Close() error { return l.f.Close() }

func (l *limited) Write(p []byte) (int, error) {
	if l.quota.Add(-int64(len(p))) < 0 {
		return 0, &fs.PathError{Op: "write", Path: path.Base(l.f.Name()), Err: syscall.ENOSPC}
	}
	return l.f.Write(p)
}

func (d *disk) read(name string) ([]byte, error) {
	f, err := d.open(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxRead))
	return b, own(err, name)
}

// maxRead is how much of a file or of standard input a command reads.
const maxRead = 64 << 20

func (d *disk) write(name string, content []byte, perm fs.FileMode) error {
	if err := d.mkdirAll(path.Dir(name)); err != nil {
		return err
	}
	f, err := d.open(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}

func (d *disk) stat(name string) (fs.FileInfo, error) {
	info, err := d.root.Stat(d.rel(name))
	return info, own(err, name)
}

func (d *disk) lstat(name string) (fs.FileInfo, error) {
	info, err := d.root.Lstat(d.rel(name))
	return info, own(err, name)
}

func (d *disk) readDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(d.root.FS(), d.rel(name))
	return entries, own(err, name)
}

func (d *disk) mkdirAll(name string) error {
	return own(d.root.MkdirAll(d.rel(name), 0o755), name)
}

// walk calls f for every regular file below a directory, in order, with its path
// relative to the directory.
func (d *disk) walk(dir string, f func(name string, info fs.FileInfo) error) error {
	start := d.rel(dir)
	return fs.WalkDir(d.root.FS(), start, func(p string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if start != "." {
			p = strings.TrimPrefix(strings.TrimPrefix(p, start), "/")
		}
		return f(p, info)
	})
}

// put writes a file of the repository or of artifacts, with its git mode.
func (d *disk) put(dir string, a ci.Artifact) error {
	name := virtual(dir, a.Path)
	if !strings.HasPrefix(name, dir+"/") {
		return fmt.Errorf("path %q leads out of the project", a.Path)
	}
	if err := d.mkdirAll(path.Dir(name)); err != nil {
		return err
	}
	if a.Mode&0o170000 == 0o120000 { // a symbolic link in git
		return own(d.root.Symlink(string(a.Content), d.rel(name)), name)
	}
	perm := fs.FileMode(0o644)
	if a.Mode&0o111 != 0 {
		perm = 0o755
	}
	if err := d.write(name, a.Content, perm); err != nil {
		return err
	}
	return own(d.root.Chmod(d.rel(name), perm), name)
}
