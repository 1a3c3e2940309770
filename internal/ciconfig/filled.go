package ciconfig

import (
	"bytes"
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// Which files get variables put in before somebody applies them.

// recordSubstitution remembers which files a job puts its variables into.
func (r *run) recordSubstitution(sh *shell, c *command, lits []string) {
	if r.now == nil || sh.away {
		return // who runs it is not known, or has other variables
	}
	switch {
	case lits[0] == "deploy", sh.fills:
		for i := range c.args[1:] {
			r.filled = append(r.filled, path.Clean(c.lit(i+1)))
		}
	case lits[0] == "envsubst":
		r.filled = append(r.filled, c.reads...)
	default:
		r.filled = append(r.filled, composeFiles(lits)...)
	}
}

// substitutes says whether a command puts variables into what it reads.
func substitutes(s *syntax.Stmt) bool {
	c, ok := s.Cmd.(*syntax.CallExpr)
	return ok && len(c.Args) > 0 && path.Base(c.Args[0].Lit()) == "envsubst"
}

// fills says whether variables are put into a file before it is applied, or into what
// kustomize makes of it. The platform's templates deploy deployment.yaml by themselves.
func (r *run) fills(p string) bool {
	for _, f := range r.filled {
		if f == p || f == "." || strings.HasPrefix(p, f+"/") || strings.HasSuffix(p, "/"+f) {
			return true
		}
		for _, k := range r.kustomizations() {
			if path.Dir(k.path) == f && k.reads[p] {
				return true
			}
		}
	}
	return path.Base(p) == "deployment.yaml" && r.platform()
}

// inMakefiles says whether a Makefile names a file, its folder, or the tool that reads
// it by itself: in any line, or in one that a job may run.
func (r *run) inMakefiles(p string, byJobs bool) bool {
	words := []string{path.Base(p)}
	if dir := path.Dir(p); dir != "." {
		words = append(words, path.Base(dir))
	}
	if strings.Contains(words[0], "compose") {
		words = append(words, "compose")
	}
	return slices.ContainsFunc(r.in.Files, func(f File) bool {
		named := false
		if isMakefile(f.Path) {
			r.files[f.Path].makeLines(func(at span, line *chunk) {
				named = named || !(byJobs && r.notMade(at)) && slices.ContainsFunc(words, func(w string) bool { return strings.Contains(line.text, w) })
			})
		}
		return named
	})
}

// notMade says whether a line of a Makefile is one of a recipe that no job runs, where the
// targets of all jobs are known.
func (r *run) notMade(line span) bool {
	return !r.makesUnknown && !r.recipes[line] && strings.HasPrefix(line.text(), "\t")
}

// namesVariables says whether a manifest has variables for somebody to put in. Kubernetes
// puts in $(NAME) itself, from the container's environment.
func namesVariables(data []byte) bool {
	for line := range bytes.Lines(data) {
		if !bytes.HasPrefix(bytes.TrimSpace(line), []byte("#")) && shellVariable.Match(line) {
			return true
		}
	}
	return false
}
