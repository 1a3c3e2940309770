package ciconfig

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// Scripts of the repository run on other machines, too: a shell there is fed with one, or
// finds one that was copied.

// startsThere is the place of what ssh starts with the words behind it, 0 where that is not
// to be told: ssh host bash -s -- one two, a script that was copied, or a shell with one.
func (sh *shell) startsThere(c *command) int {
	for i := 1; i < len(c.args); i++ {
		switch c.lit(i) {
		case "sh", "bash", "ash", "dash":
			if c.lit(i+1) == "-s" || sh.run.copyOf(c.lit(i+1)) != nil {
				return i
			}
		default:
			before := c.lit(i - 1)
			first := i == 2 || before == "sudo" || strings.ContainsAny(before, "@=") && !strings.HasPrefix(before, "-")
			if src := sh.run.copyOf(c.lit(i)); src != nil && first && isShell(src) && strings.Contains(c.lit(i), "/") {
				return i
			}
		}
	}
	return 0
}

// fedFile follows a script of the repository that a shell reads from standard input, with
// the arguments behind -s.
func (sh *shell) fedFile(c *command, i int) bool {
	if c.lit(i+1) == "--" {
		i++
	}
	for _, name := range slices.Concat(c.reads, sh.stdin) {
		if src := sh.run.find(name); src != nil && sh.follow(src, c, i, false) {
			return true
		}
	}
	return false
}

// recordCopies remembers the files and folders that go to another machine.
func (r *run) recordCopies(lits []string) {
	if r.now == nil || len(lits) < 2 || lits[0] != "scp" && lits[0] != "rsync" {
		return
	}
	for _, l := range lits[1 : len(lits)-1] {
		if l = path.Clean(strings.TrimPrefix(l, "${CI_PROJECT_DIR}/")); !strings.HasPrefix(l, "-") && !strings.ContainsAny(l, ":$*") {
			r.copies = append(r.copies, l)
		}
	}
}

// recordRemoteCompose remembers that compose starts services on another machine.
func (r *run) recordRemoteCompose(sh *shell, lits []string) {
	r.composedThere = r.composedThere || sh.away && (slices.Contains(lits, "up") || slices.Contains(lits, "deploy")) &&
		slices.ContainsFunc(lits, func(l string) bool { return l == "compose" || l == "docker-compose" || l == "stack" })
}

// carried says whether a file of compose goes to another machine, by itself or with the whole
// checkout, and is read there.
func (r *run) carried(s *source) bool {
	return isYAML(s.path) && slices.ContainsFunc(r.copies, func(c string) bool {
		return c == s.path || r.composedThere && (c == "." || strings.HasPrefix(s.path, c+"/"))
	})
}

// handsDown says whether a script, or a file that it writes, gives a variable a value, such as
// one for another machine.
func (r *run) handsDown(name string) bool {
	sets := regexp.MustCompile(`\b` + name + `=`)
	return slices.ContainsFunc(r.in.Files, func(f File) bool {
		return (isYAML(f.Path) || isShell(r.files[f.Path]) || strings.HasPrefix(path.Base(f.Path), ".env")) && sets.Match(f.Content)
	})
}

// copyOf is the file of the repository that a name on another machine means: one that was
// copied there, by itself or in a folder.
func (r *run) copyOf(name string) *source {
	parts := strings.Split(strings.TrimPrefix(path.Clean(name), "~"), "/")
	for i := range parts {
		end := path.Join(parts[i:]...)
		for _, c := range r.copies {
			file := c // copied by itself
			switch base := path.Base(c); {
			case c == ".":
				file = end
			case strings.HasPrefix(end, base+"/"):
				file = path.Join(path.Dir(c), end)
			case end != base:
				continue
			}
			if s := r.files[file]; s != nil && s.editable {
				return s
			}
		}
	}
	return nil
}
