package ciconfig

import (
	"path"
	"slices"
	"strings"
)

// comparedFile is where a command compares a file of the repository, or all below
// a folder, with what a program has made.
type comparedFile struct {
	at    span
	file  *source
	under string // the folder, "." for all, where file is nil
}

// recordCompared remembers the files that a script compares, such as one that is
// checked in with what a generator makes.
func (r *run) recordCompared(c *command, lits []string) {
	switch {
	case r.now == nil: // a tool for developers
		return
	case lits[0] == "diff", lits[0] == "cmp":
	case lits[0] == "git":
		if !r.recordGit(c, lits) {
			return
		}
	default:
		return
	}
	for i := range c.args[1:] {
		if s := r.find(c.lit(i + 1)); s != nil {
			r.compares = append(r.compares, comparedFile{at: c.at, file: s})
		}
	}
}

// recordGit remembers what git compares with the commit: a job that fails where its
// programs have changed a file asks git diff --exit-code or git status --porcelain. It
// says whether it compares files that it names.
func (r *run) recordGit(c *command, lits []string) (named bool) {
	fails := slices.Contains(lits, "diff") && (slices.Contains(lits, "--exit-code") || slices.Contains(lits, "--quiet"))
	if !fails && !(slices.Contains(lits, "status") && slices.ContainsFunc(lits, func(l string) bool { return strings.HasPrefix(l, "--porcelain") || l == "-s" })) ||
		slices.Contains(lits, "--cached") || slices.Contains(lits, "--staged") {
		return false
	}
	var folders []string
	for _, l := range lits[1:] {
		switch {
		case strings.HasPrefix(l, "-"), l == "diff", l == "status":
		case r.find(l) != nil:
			return true
		case r.isFolder(path.Clean(l)):
			folders = append(folders, path.Clean(l))
		default:
			return false // a commit: what git compares then is not made by a program
		}
	}
	if folders == nil {
		folders = []string{"."}
	}
	for _, f := range folders {
		r.compares = append(r.compares, comparedFile{at: c.at, under: f})
	}
	return false
}

// isFolder says whether files lie below a path.
func (r *run) isFolder(p string) bool {
	return p == "." || slices.ContainsFunc(r.in.Files, func(f File) bool { return strings.HasPrefix(f.Path, p+"/") })
}

// generated reports compared files that the rewrite changes: what makes the other
// one has to write the new names, too. CI configuration is hardly made by a program
// of the pipeline that it describes.
func (r *run) generated(changes []change) {
	for _, x := range r.compares {
		for _, c := range changes {
			p := c.src.path
			if c.src == x.file || x.file == nil && !r.configures(p) && (x.under == "." || strings.HasPrefix(p, x.under+"/")) {
				r.report("file-compared", x.at, p)
			}
		}
	}
}

// configures says whether a file is a part of the CI configuration.
func (r *run) configures(p string) bool {
	return slices.ContainsFunc(r.cfg.pipelines(), func(c *config) bool { return c.byPath[p] != nil })
}
