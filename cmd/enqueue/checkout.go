package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/ciconfig"
)

// maxCheckout bounds what is read of one checkout, in bytes.
const maxCheckout = 256 << 20

// checkout is a project's files on this machine. Nothing outside its directory
// is read or written, whatever links say.
type checkout struct {
	dir  string
	root *os.Root
	git  bool // whether git says which files belong to the project
}

// openCheckout opens the directory of a project. In a git checkout only the
// files that git tracks are the project's.
func openCheckout(ctx context.Context, dir string) (*checkout, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("%w; name the directory of a checkout", err)
	}
	c := &checkout{dir: dir, root: root}
	inside, err := c.run(ctx, "", "rev-parse", "--is-inside-work-tree")
	_, dotGit := root.Lstat(".git")
	switch {
	case err == nil:
		c.git = strings.TrimSpace(string(inside)) == "true"
	case dotGit == nil:
		root.Close() //nolint:errcheck // nothing was written
		return nil, fmt.Errorf("%s is a git checkout, but git cannot tell its files: %w", dir, err)
	}
	return c, nil
}

func (c *checkout) close() { c.root.Close() } //nolint:errcheck // a directory, opened to look

// run asks git. The checkout's own settings start no program.
func (c *checkout) run(ctx context.Context, stdin string, args ...string) ([]byte, error) {
	git := exec.CommandContext(ctx, "git", append([]string{"-C", c.dir, "-c", "core.fsmonitor=false", "-c", "core.quotePath=false"}, args...)...)
	git.Stdin = strings.NewReader(stdin)
	git.Env = append(slices.DeleteFunc(os.Environ(), leadsAway), "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C")
	var out, errs bytes.Buffer
	git.Stdout, git.Stderr = &out, &errs
	if err := git.Run(); err != nil {
		if text := strings.TrimSpace(errs.String()); text != "" {
			return nil, errors.New(text)
		}
		return nil, err
	}
	return out.Bytes(), nil
}

// leadsAway says whether a variable of the environment points git to another
// repository than the one in its directory, as in a hook.
func leadsAway(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	return name == "GIT_DIR" || name == "GIT_WORK_TREE" || name == "GIT_INDEX_FILE"
}

// names lists the project's regular files, sorted, with slashes.
func (c *checkout) names(ctx context.Context) ([]string, error) {
	if c.git {
		out, err := c.run(ctx, "", "ls-files", "-z", "--cached")
		if err != nil {
			return nil, err
		}
		names := slices.Compact(strings.Split(strings.TrimRight(string(out), "\x00"), "\x00")) // a merge lists a file thrice
		names = slices.DeleteFunc(names, func(name string) bool { return name == "" })
		if len(names) > 0 {
			return names, nil
		}
		c.git = false // a directory that lies in a checkout and is none of its business
	}
	var names []string
	err := fs.WalkDir(c.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && d.Name() == ".git" {
			return fs.SkipDir
		}
		if err == nil && d.Type().IsRegular() {
			names = append(names, name)
		}
		return err
	})
	return names, err
}

// files reads the files that can name an image, and the one of the pipeline.
func (c *checkout) files(ctx context.Context, ciPath string) ([]ciconfig.File, error) {
	names, err := c.names(ctx)
	if err != nil {
		return nil, err
	}
	var files []ciconfig.File
	total := 0
	for _, name := range names {
		if name != ciPath && !ciconfig.Candidate(name) {
			continue
		}
		content, err := c.read(name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotRegular) {
			continue // deleted and not committed, a link, a submodule
		}
		if err != nil {
			return nil, err
		}
		if total += len(content); total > maxCheckout {
			return nil, c.tooMuch()
		}
		files = append(files, ciconfig.File{Path: name, Content: content})
	}
	return files, nil
}

func (c *checkout) tooMuch() error {
	return fmt.Errorf("the files of %s that may name an image have more than %d MB; is this the directory of one project?", c.dir, maxCheckout>>20)
}

var errNotRegular = errors.New("not a regular file")

// read reads a file, one that is too large only so far that it shows.
func (c *checkout) read(name string) ([]byte, error) {
	info, err := c.root.Lstat(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", name, errNotRegular)
	}
	f, err := c.root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	return io.ReadAll(io.LimitReader(f, ciconfig.MaxFile+1))
}

// include reads a local file that the pipeline includes; those of other
// projects cannot be seen from here.
func (c *checkout) include(inc ciconfig.Include) ciconfig.Included {
	if inc.Kind != "local" {
		return ciconfig.Included{Missing: "not read: it is not in the checkout"}
	}
	content, err := c.read(path.Clean(inc.File))
	if err != nil {
		return ciconfig.Included{Missing: err.Error()}
	}
	return ciconfig.Included{Content: content}
}

// write puts all edits in place, or none. Each file is written anew beside its
// old self, with the same permissions, and then takes its name; where that
// fails half way, what was renamed is put back.
func (c *checkout) write(edits []ciconfig.Edit) (err error) {
	temps := make([]string, len(edits))
	defer func() {
		for _, temp := range temps {
			if temp != "" {
				c.root.Remove(temp) //nolint:errcheck // gone if it was renamed
			}
		}
	}()
	for i, e := range edits {
		now, err := c.read(e.Path)
		if err == nil && !bytes.Equal(now, e.Before) {
			err = errors.New("it was changed meanwhile; start again")
		}
		if err == nil {
			temps[i], err = c.beside(e.Path, e.After)
		}
		if err != nil {
			return fmt.Errorf("nothing was written: %s: %w", e.Path, err)
		}
	}
	for i, e := range edits {
		if err := c.root.Rename(temps[i], filepath.FromSlash(e.Path)); err != nil {
			return c.undo(edits[:i], fmt.Errorf("%s: %w", e.Path, err))
		}
	}
	return nil
}

// undo puts back the files that were renamed before one could not be.
func (c *checkout) undo(edits []ciconfig.Edit, cause error) error {
	for _, e := range edits {
		temp, err := c.beside(e.Path, e.Before)
		if err == nil {
			err = c.root.Rename(temp, filepath.FromSlash(e.Path))
		}
		if err != nil {
			return fmt.Errorf("%w; %s was written and could not be put back (%w): restore it by hand", cause, e.Path, err)
		}
	}
	return fmt.Errorf("nothing was written: %w", cause)
}

// beside writes content to a new file in the directory of name, with name's
// permissions, and returns what it is called.
func (c *checkout) beside(name string, content []byte) (temp string, err error) {
	name = filepath.FromSlash(name)
	info, err := c.root.Lstat(name)
	if err != nil {
		return "", err
	}
	var f *os.File
	for n := 0; ; n++ {
		temp = filepath.Join(filepath.Dir(name), fmt.Sprintf(".%s.enqueue-%d-%d", filepath.Base(name), os.Getpid(), n))
		f, err = c.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	if err != nil {
		return "", err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(info.Mode().Perm())
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		c.root.Remove(temp) //nolint:errcheck // best effort
		return "", err
	}
	return temp, nil
}

// untracked says why a file that somebody may see is none of the project's.
func (c *checkout) untracked(ref string) string {
	switch {
	case ref != "":
		return " in " + ref
	case c.git:
		return " that git tracks"
	}
	return ""
}
