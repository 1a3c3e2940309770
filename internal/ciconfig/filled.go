package ciconfig

import (
	"bytes"
	"maps"
	"path"
	"regexp"
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
	fill := func(files ...string) {
		r.filled = append(r.filled, files...)
		for _, f := range files {
			r.fillers = append(r.fillers, filler{f, r.now, sh.clone()})
		}
	}
	switch {
	case lits[0] == "deploy", sh.fills:
		for i := range c.args[1:] {
			fill(path.Clean(c.lit(i + 1)))
		}
	case lits[0] == "envsubst":
		fill(c.reads...)
		for i := range c.args[1:] {
			if w := c.words[i+1]; !strings.HasPrefix(c.lit(i+1), "-") {
				from, to := int(w.Pos().Offset()), int(w.End().Offset())
				r.envLists = append(r.envLists, envList{c.argSpan(i + 1), c.ch.text[from:to], c.ch.span(from+1, to), c.reads})
			}
		}
	default:
		fill(sh.composeFiles(lits)...)
	}
}

// filler is a job that puts its variables into a file, or into all of a directory.
type filler struct {
	file string
	job  *job
	vars *shell // with the variables that it has then
}

// filledWith are the environments in which jobs put variables into a text of a file, each once,
// as far as their scripts have set them.
func (r *run) filledWith(ch *chunk) (out []*env) {
	names := variablesOf([]byte(ch.text))
	for _, f := range r.fillers {
		if !r.fillsFrom(f.file, ch.src.path) {
			continue
		}
		e := &env{cfg: r.cfg, settings: r.in.Project.Variables, cache: map[string][]text{}}
		set := false
		for name := range names {
			_, own := f.vars.vars.get(name)
			values, known := f.vars.lookup(name)
			if set = set || own; !known && strings.HasPrefix(name, "CI_") {
				values = []text{{piece{hole: name}}}
			}
			if values != nil {
				e.cache[name] = values
			}
		}
		if set && !slices.ContainsFunc(out, func(o *env) bool { return maps.EqualFunc(o.cache, e.cache, identical) }) {
			out = append(out, e)
		}
	}
	return out
}

// filledBy are the jobs that put their variables into a file, and apply it.
func (r *run) filledBy(p string) (out []*job) {
	for _, f := range r.fillers {
		if r.fillsFrom(f.file, p) {
			out = append(out, f.job)
		}
	}
	return out
}

// envList is the argument that names the variables which envsubst puts in: it leaves all
// others as they stand.
// https://www.gnu.org/software/gettext/manual/html_node/envsubst-Invocation.html
type envList struct {
	at     span
	text   string
	inside span // behind its first quote
	files  []string
}

// nameInLists adds the variables that changes give to a file to those that envsubst puts
// in there.
func (r *run) nameInLists(changes []change) (out []change) {
	put := inFiles(changes)
	for _, l := range r.envLists {
		if strings.Contains(l.text, "$(") { // a command lists them, as a rule all
			continue
		}
		taken, more := variablesOf([]byte(l.text)), map[string]bool{}
		for src, list := range put {
			if !slices.ContainsFunc(l.files, func(f string) bool { return f == src.path || strings.HasSuffix(src.path, "/"+f) }) {
				continue
			}
			for _, c := range list {
				for name := range variablesOf([]byte(c.with)) {
					more[name] = more[name] || !taken[name]
				}
			}
		}
		var names []string
		for _, name := range sortedKeys(more) {
			if more[name] {
				names = append(names, "$"+name+" ")
			}
		}
		at := l.inside
		at.end = at.start
		switch with := strings.Join(names, ""); {
		case with == "":
		case !at.src.editable:
			r.report("in-template", l.at, "")
		case strings.HasPrefix(l.text, "'"):
			out = append(out, change{span: at, with: at.src.encoded(at.start, with)})
		case strings.HasPrefix(l.text, `"\$`):
			out = append(out, change{span: at, with: at.src.encoded(at.start, strings.ReplaceAll(with, "$", `\$`))})
		default:
			r.reportWhy(Blocking, "literal-in-file", l.at, "", "envsubst puts in no more than the variables that it names, without "+strings.TrimSpace(with)).
				Remedy = "name them there, too"
		}
	}
	return out
}

// substitutes says whether a command puts variables into what it reads.
func substitutes(s *syntax.Stmt) bool {
	c, ok := s.Cmd.(*syntax.CallExpr)
	return ok && len(c.Args) > 0 && path.Base(c.Args[0].Lit()) == "envsubst"
}

// fills says whether variables are put into a file before it is applied, or into what
// kustomize makes of it. The platform's templates deploy deployment.yaml by themselves.
func (r *run) fills(p string) bool {
	return slices.ContainsFunc(r.filled, func(f string) bool { return r.fillsFrom(f, p) }) || path.Base(p) == "deployment.yaml" && r.platform()
}

// fillsFrom says whether who puts variables into a file, or into a folder, has them put in
// another one by that.
func (r *run) fillsFrom(f, p string) bool {
	return f == p || f == "." || strings.HasPrefix(p, f+"/") || strings.HasSuffix(p, "/"+f) || slices.ContainsFunc(r.kustomizations(), func(k *kustomization) bool {
		return path.Dir(k.path) == f && k.reads[p]
	})
}

// inMakefiles says whether a Makefile names a file, its folder, or the tool that reads
// it by itself: in any line, or in one that a job may come to.
func (r *run) inMakefiles(p string, byJobs bool) bool {
	words := []string{path.Base(p)}
	if dir := path.Dir(p); dir != "." {
		words = append(words, path.Base(dir))
	}
	if strings.Contains(words[0], "compose") {
		words = append(words, "compose")
	}
	return slices.ContainsFunc(r.linesOfMake(byJobs), func(line string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(line, w) })
	})
}

// linesOfMake are the lines of the Makefiles, or those that a job may come to: the recipes
// that jobs run, and what sets the variables in them.
func (r *run) linesOfMake(byJobs bool) []string {
	known := &r.makeTexts
	if byJobs {
		known = &r.madeTexts
	}
	if *known != nil {
		return *known
	}
	out, sets := []string{}, map[string][]string{}
	for _, f := range r.in.Files {
		if !isMakefile(f.Path) {
			continue
		}
		r.files[f.Path].makeLines(func(at span, line *chunk) {
			recipe := strings.HasPrefix(at.text(), "\t")
			m := makeSets.FindStringSubmatch(line.text)
			switch {
			case !byJobs || r.makesUnknown || r.recipes[at]:
				out = append(out, line.text)
			case recipe, namesTargets.MatchString(line.text):
			case m != nil && !strings.Contains(m[0], "export"):
				sets[m[1]] = append(sets[m[1]], line.text)
			default:
				out = append(out, line.text)
			}
		})
	}
	for i := 0; i < len(out); i++ {
		for _, m := range makeVariable.FindAllStringSubmatch(out[i], -1) {
			name := m[1] + m[2] + m[3]
			out = append(out, sets[name]...)
			delete(sets, name)
		}
	}
	*known = out
	return out
}

// namesTargets is the line of a rule, whose names are targets and not what recipes read, or a
// condition.
var namesTargets = regexp.MustCompile(`^[^\s=:][^=:]*::?(?:[^=:]|$)|^ *(?:else +)?ifn?(?:eq|def)\b`)

// namesVariables says whether a manifest has variables for somebody to put in. Kubernetes
// puts in $(NAME) itself, from the container's environment.
func namesVariables(data []byte) bool {
	for line := range bytes.Lines(data) {
		if shellVariable.MatchString(uncommented(string(line))) { // in comments Flux has its markers
			return true
		}
	}
	return false
}
