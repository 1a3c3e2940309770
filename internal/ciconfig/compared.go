package ciconfig

import "slices"

// comparedFile is where a command compares a file of the repository with another.
type comparedFile struct {
	at   span
	file *source
}

// recordCompared remembers the files that a script compares, such as one that is
// checked in with what a generator makes.
func (r *run) recordCompared(c *command, lits []string) {
	switch {
	case lits[0] == "diff", lits[0] == "cmp", lits[0] == "git" && slices.Contains(lits[1:min(len(lits), 3)], "diff"):
	default:
		return
	}
	for i := range c.args[1:] {
		if s := r.find(c.lit(i + 1)); s != nil {
			r.compares = append(r.compares, comparedFile{c.at, s})
		}
	}
}

// generated reports compared files that the rewrite changes: what makes the other
// one has to write the new names, too.
func (r *run) generated(changes []change) {
	for _, x := range r.compares {
		if slices.ContainsFunc(changes, func(c change) bool { return c.src == x.file }) {
			r.report("file-compared", x.at, x.file.path)
		}
	}
}
