package ciconfig

import (
	"bytes"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Compose reads the file .env beside its own files by itself: a variable that neither the job nor
// a file which a script has written gives a value has that one, and a variable in it is put in.
// https://docs.docker.com/compose/how-tos/environment-variables/variable-interpolation/

// composing is a command of a job that runs compose, with its variables and the files of
// variables that it names, in place of .env.
type composing struct {
	sh    *shell
	files []string // that it reads
	envs  []string
}

// envFilesOf are the files of variables that a command names.
func envFilesOf(lits []string) (files []string) {
	for i, l := range lits {
		if name, joined := strings.CutPrefix(l, "--env-file="); joined {
			files = append(files, path.Clean(name))
		} else if l == "--env-file" && i+1 < len(lits) {
			files = append(files, path.Clean(lits[i+1]))
		}
	}
	return files
}

// envGiven are the values that variables have from a file which the command names, or else
// from the .env beside the file that it reads.
func (r *run) envGiven(c composing, file string) map[string]*chunk {
	if len(c.envs) == 0 {
		return r.envFile(path.Join(path.Dir(file), ".env"))
	}
	out := map[string]*chunk{}
	for _, name := range c.envs {
		maps.Copy(out, r.envFile(path.Join(c.sh.dir, name)))
	}
	return out
}

// envFile are the values that a file gives variables.
func (r *run) envFile(name string) map[string]*chunk {
	s := r.files[name]
	if s == nil || !s.editable || len(s.data) > maxFile || r.takesAsItIs() {
		return nil
	}
	if vals, known := r.envsBeside[s]; known {
		return vals
	}
	vals := map[string]*chunk{}
	for start := 0; start < len(s.data); {
		from, end := s.line(start)
		if end <= start {
			break
		}
		start = end
		name, value, ok := strings.Cut(string(s.data[from:end]), "=")
		bare, _ := strings.CutPrefix(strings.TrimSpace(name), "export ")
		if !ok || !isName.MatchString(bare) {
			continue
		}
		from += len(name) + 1
		value = strings.TrimRight(value, " \t\r\n")
		if len(value) > 1 && (value[0] == '"' || value[0] == '\'') && value[len(value)-1] == value[0] {
			if value[0] == '\'' {
				continue // nothing is put in there
			}
			from, value = from+1, value[1:len(value)-1]
		}
		vals[bare] = whole(s, from, from+len(value))
	}
	if r.envsBeside == nil {
		r.envsBeside = map[*source]map[string]*chunk{}
	}
	r.envsBeside[s] = vals
	return vals
}

// readByCompose are the variables of such a file that files of compose name which commands read
// with it: what becomes of them is seen there.
func (r *run) readByCompose(s *source) map[string]bool {
	var with []composing
	for _, c := range r.composing {
		if slices.ContainsFunc(c.envs, func(name string) bool { return path.Join(c.sh.dir, name) == s.path }) || c.envs == nil && path.Base(s.path) == ".env" {
			with = append(with, c)
		}
	}
	if len(with) == 0 || r.takesAsItIs() {
		return nil
	}
	out, given := map[string]bool{}, r.envFile(s.path)
	for _, f := range r.in.Files {
		beside := path.Base(s.path) != ".env" || path.Dir(f.Path) == path.Dir(s.path)
		if isYAML(f.Path) && len(f.Content) <= maxFile && beside && slices.ContainsFunc(with, func(c composing) bool { return c.reads(f.Path) }) {
			maps.Copy(out, variablesOf(f.Content))
		}
	}
	for i := 0; i < maxCalls; i++ { // those that one of these names
		for name := range maps.Clone(out) {
			if ch := given[name]; ch != nil {
				maps.Copy(out, variablesOf([]byte(ch.text)))
			}
		}
	}
	maps.DeleteFunc(out, func(name string, _ bool) bool { return given[name] == nil })
	return out
}

// withoutGiven are values without those in which a variable is open that each command which runs
// compose has.
func withoutGiven(values []text, given []*env) []text {
	if len(given) == 0 {
		return values
	}
	return slices.DeleteFunc(slices.Clone(values), func(v text) bool {
		return slices.ContainsFunc(v, func(p piece) bool {
			return p.hole != "" && !strings.HasPrefix(p.hole, "CI_") && !slices.ContainsFunc(given, func(e *env) bool { return e.cache[p.hole] == nil })
		})
	})
}

// asItIs is a command that takes files of variables as they are, in which nobody puts any in.
var asItIs = regexp.MustCompile(`\b(?:export|env)[ \t]+["']?\$\([^)\n]*\.env|\b(?:run|create)\b[^\n]*--env-file|--from-env-file`)

// takesAsItIs says whether a script does so.
func (r *run) takesAsItIs() bool {
	if r.envsAsTheyAre == nil {
		is := slices.ContainsFunc(r.in.Files, func(f File) bool {
			s := r.files[f.Path]
			return (isYAML(f.Path) || isMakefile(f.Path) || isShell(s)) && bytes.Contains(f.Content, []byte("env")) && len(f.Content) <= maxFile && asItIs.Match(f.Content)
		})
		r.envsAsTheyAre = &is
	}
	return *r.envsAsTheyAre
}

// composedFrom says whether compose, which builds in a job, has an image from a line of a file of
// variables in which none can be put.
func (r *run) composedFrom(u *use) bool {
	if !r.composeBuilds || u.command != "file" || !envName.MatchString(path.Base(u.at.path())) {
		return false
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(u.at.text()), "export "), "=")
	return slices.ContainsFunc(r.in.Files, func(f File) bool {
		return isYAML(f.Path) && len(f.Content) <= maxFile && r.reading(f.Path) && variablesOf(f.Content)[name]
	})
}
