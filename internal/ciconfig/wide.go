package ciconfig

import (
	"path"
	"strings"
)

// narrow are commands that do not read the manifests in a folder that they name; a build
// takes the whole checkout.
var narrow = map[string]bool{"cd": true, "pushd": true, "ls": true, "mkdir": true, "rmdir": true, "test": true, "[": true, "echo": true, "printf": true, "rm": true}

// carries are commands that change, copy or send what is in a folder.
var carries = map[string]bool{"find": true, "sed": true, "perl": true, "yq": true, "scp": true, "rsync": true, "cp": true, "mv": true, "tar": true, "zip": true, "lftp": true, "kustomize": true, "kubectl": true, "oc": true}

// recordWide remembers a word of a script that may name several files: a pattern, or a
// folder.
func (r *run) recordWide(sh *shell, word string) {
	word = strings.TrimPrefix(word, "${CI_PROJECT_DIR}/")
	if strings.HasPrefix(word, "$") {
		return // a value like others
	}
	word = path.Join(sh.dir, word)
	if i := strings.IndexAny(word, "*?[{$"); i >= 0 {
		r.patterns[word[:i]] = true
	} else {
		r.folders[word] = true
	}
}

// recordWides does it for the words of a command. One that applies files is looked at
// by itself.
func (r *run) recordWides(sh *shell, c *command, lits []string) {
	switch lits[0] {
	case "kubectl", "oc":
		if n := len(r.applied); n > 0 && r.applied[n-1].at == c.at {
			return
		}
	default:
		if imageTools[lits[0]] || narrow[lits[0]] {
			return
		}
	}
	for _, n := range c.pos {
		if n < 1 || n >= len(lits) {
			continue
		}
		l := lits[n]
		if _, v, ok := strings.Cut(l, "="); ok && strings.HasPrefix(l, "-") {
			l = v
		}
		if !strings.HasPrefix(l, "-") && !strings.ContainsAny(l, " |;:\"") {
			if path.Clean(l) == "." && !carries[lits[0]] {
				continue // a check of the sources
			}
			r.recordWide(sh, l)
		}
	}
}

// amongOthers says whether a script may name a file together with others.
func (r *run) amongOthers(p string) bool {
	for dir := path.Dir(p); ; dir = path.Dir(dir) {
		if r.folders[dir] {
			return true
		}
		if dir == "." || dir == "/" {
			break
		}
	}
	for begin := range r.patterns {
		if strings.HasPrefix(p, begin) {
			return true
		}
	}
	return false
}
