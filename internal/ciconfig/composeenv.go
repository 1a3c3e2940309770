package ciconfig

import (
	"maps"
	"path"
	"strings"
)

// Compose reads the file .env beside its own files by itself: a variable that neither the job nor
// a file which a script has written gives a value has that one, and a variable in it is put in.
// https://docs.docker.com/compose/how-tos/environment-variables/variable-interpolation/

// envBeside are the values that the .env beside a file gives variables.
func (r *run) envBeside(file string) map[string]*chunk {
	s := r.files[path.Join(path.Dir(file), ".env")]
	if s == nil || !s.editable || len(s.data) > maxFile {
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
			if value[0] == '\'' && strings.Contains(value, "$") {
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

// readByCompose are the variables of a .env that files of compose beside it name, where a job
// runs compose: what becomes of them is seen there.
func (r *run) readByCompose(s *source) map[string]bool {
	if path.Base(s.path) != ".env" || len(r.composing) == 0 {
		return nil
	}
	out := map[string]bool{}
	for _, f := range r.in.Files {
		if path.Dir(f.Path) == path.Dir(s.path) && strings.Contains(path.Base(f.Path), "compose") && len(f.Content) <= maxFile {
			maps.Copy(out, variablesOf(f.Content))
		}
	}
	return out
}
