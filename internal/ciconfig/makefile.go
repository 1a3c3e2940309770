package ciconfig

import (
	"path"
	"regexp"
	"strings"
)

// makeVariable is a variable as a Makefile reads it, make's own or, behind two
// dollars, the shell's.
// https://www.gnu.org/software/make/manual/html_node/Reference.html
var makeVariable = regexp.MustCompile(`\$\(([A-Za-z_][A-Za-z0-9_]*)\)|\$\$?\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\$([A-Za-z_][A-Za-z0-9_]*)`)

func isMakefile(p string) bool {
	base := strings.ToLower(path.Base(p))
	return base == "makefile" || base == "gnumakefile" || path.Ext(base) == ".mk"
}

// makefiles looks at the names that a job's variables hand to make: a Makefile
// joins the tag by a colon, and its rules are not followed. So the variable
// keeps its form, and the place is reported.
func (r *run) makefiles() {
	if !r.makes {
		return
	}
	var e *env
	for _, f := range r.in.Files {
		if !isMakefile(f.Path) {
			continue
		}
		if e == nil {
			e = r.everyone()
		}
		ch := r.files[f.Path].whole()
		pushes := strings.Contains(ch.text, "push")
		for _, m := range makeVariable.FindAllStringSubmatchIndex(ch.text, -1) {
			from, to := m[2], m[3]
			if from < 0 {
				from, to = max(m[4], m[6]), max(m[5], m[7])
			}
			name := ch.text[from:to]
			vals, ok := e.lookup(name)
			if !ok || makeDefines(ch.text, name) {
				continue
			}
			at := ch.span(m[0], m[1])
			for _, v := range expanded(vals, name, at, false) {
				for _, ref := range r.references(v) {
					if ref.own && ref.sep >= 0 && ref.colon < 0 && ref.digest < 0 {
						r.add(&use{ref: ref, at: at, command: "make", role: unclearRole, push: pushes, bad: "tag-elsewhere"})
					}
				}
			}
		}
	}
}

// makeDefines says whether a Makefile sets a variable whatever the environment
// holds: only ?= leaves it alone.
// https://www.gnu.org/software/make/manual/html_node/Environment.html
func makeDefines(text, name string) bool {
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(strings.TrimPrefix(strings.TrimLeft(line, " "), "override "), name)
		if !ok {
			continue
		}
		rest = strings.TrimLeft(rest, " \t")
		if strings.HasPrefix(rest, "=") || strings.HasPrefix(rest, ":=") || strings.HasPrefix(rest, "::=") {
			return true
		}
	}
	return false
}
