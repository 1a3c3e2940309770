package ciconfig

import (
	"bytes"
	"path"
	"regexp"
	"strings"
)

// Where the scripts of a project are too much to be followed to the end, a second
// look leaves out the quiet ones: scripts that name neither the registry, nor a
// variable that leads to it, nor a tool that handles images or fills in files, and
// that run no other script of the repository which does.

// loudWords are what a script says that has to do with images or with what is
// deployed.
var loudWords = regexp.MustCompile(`(?i)registry|image|docker|podman|buildah|nerdctl|skopeo|crane|regctl|kaniko|executor|buildctl|compose|\bbake\b|helm|kubectl|kustomize|\boc\b|envsubst|deploy|trivy|grype|syft|cosign|dotenv|\.env\b|GITLAB_ENV`)

// runsFile is a script that is named with a variable in it: "ci-${1}.sh".
var runsFile = regexp.MustCompile(`[\w./${}"'@*:-]*\$[\w./${}"'@*:-]*`)

// runsVariable is a script whose name is not to be told.
var runsVariable = regexp.MustCompile("(?m)(^|[\\s;&|(`])(\\.|source|bash|sh|exec)\\s+[\"']?\\$\\{?(\\w+)\\}?[\"']?(\\s|;|$)")

var anyVariable = regexp.MustCompile(`\$\{[^}]*\}|\$[\w@*]`)

// quiets finds the shell files that say nothing of images.
func (r *run) quiets() map[*source]bool {
	loud := map[*source]bool{}
	var shells []*source
	tainted := r.tainted()
	for _, f := range r.in.Files {
		s := r.files[f.Path]
		if s == nil || !isShell(s) {
			continue
		}
		shells = append(shells, s)
		text := string(s.data)
		loud[s] = len(s.data) > maxFile || loudWords.MatchString(text) || strings.Contains(text, r.in.Project.OldHost)
		for _, name := range tainted {
			loud[s] = loud[s] || strings.Contains(text, name)
		}
	}
	for grown := true; grown; {
		grown = false
		for _, s := range shells {
			if !loud[s] && reaches(s, loud) {
				loud[s], grown = true, true
			}
		}
	}
	out := map[*source]bool{}
	for _, s := range shells {
		if !loud[s] {
			out[s] = true
		}
	}
	return out
}

// reaches says whether a script may run one of the others: it names it, or names a
// script by a variable that may be it.
func reaches(s *source, others map[*source]bool) bool {
	text := string(s.data)
	words := map[string]bool{}
	for _, word := range strings.FieldsFunc(text, func(c rune) bool { return strings.ContainsRune(" \t\r\n\"'`=();&|<>{}$", c) }) {
		words[word] = true
		if i := strings.LastIndexByte(word, '/'); i >= 0 {
			words[word[i:]] = true
		}
	}
	open := false
	for _, m := range runsVariable.FindAllStringSubmatch(text, -1) { // unless it goes through files that are named
		open = open || !regexp.MustCompile(`\bfor\s+`+m[3]+`\s+in\s[^;\n]*\.(sh|bash)\b`).MatchString(text)
	}
	var patterns []string
	for _, word := range runsFile.FindAllString(text, -1) {
		word = anyVariable.ReplaceAllString(strings.NewReplacer(`"`, "", "'", "").Replace(word), "*")
		if strings.HasSuffix(word, ".sh") || strings.HasSuffix(word, ".bash") {
			patterns = append(patterns, known(word))
		}
	}
	for o, is := range others {
		if !is || o == s {
			continue
		}
		if open {
			return true
		}
		base := path.Base(o.path)
		if words["/"+base] || strings.Contains(base, ".") && words[base] {
			return true
		}
		for _, p := range patterns {
			parts := strings.Split(o.path, "/")
			last := parts[max(0, len(parts)-1-strings.Count(p, "/")):]
			if ok, err := path.Match(p, strings.Join(last, "/")); ok || err != nil {
				return true
			}
		}
	}
	return false
}

// known is the end of a path before which a variable stands for folders.
func known(pattern string) string {
	parts := strings.Split(pattern, "/")
	i := len(parts) - 1
	for i > 0 && strings.Trim(parts[i-1], "*.") != "" {
		i--
	}
	return strings.Join(parts[i:], "/")
}

// tainted are the names of the variables that lead to the registry, in any job or
// as a script has assigned them.
func (r *run) tainted() []string {
	names := map[string]bool{}
	e := r.everyone()
	for _, one := range e.jobs {
		for name := range one.defs {
			names[name] = true
		}
	}
	for name := range e.assigned {
		names[name] = true
	}
	for name := range r.in.Project.Variables {
		names[name] = true
	}
	out := []string{"CI_PROJECT_PATH", "CI_PROJECT_NAME"}
	for name := range names {
		for _, values := range [][]text{r.assigned[name], e.first(name)} {
			for _, v := range values {
				if r.mentions(v) {
					out = append(out, name)
				}
			}
		}
	}
	return out
}

// first are the values of a variable in all jobs.
func (e *env) first(name string) []text {
	v, _ := e.lookup(name)
	return v
}

// silent says whether a call of a script may be left out: it is a quiet one, and
// nothing that is handed to it speaks of images.
func (sh *shell) silent(src *source, c *command, i int) bool {
	if !sh.run.quiet[src] {
		return false
	}
	for k := i + 1; k < len(c.args); k++ {
		if s := c.lit(k); sh.run.mentions(c.args[k]) || loudWords.MatchString(s) || strings.HasSuffix(s, ".sh") {
			return false
		}
	}
	if strings.Contains(string(src.data), "make") {
		sh.run.makes = true
	}
	return true
}

// cutShort reports that scripts were not followed to the end, in a project that has
// to do with the registry: what comes behind them is not known.
func (r *run) cutShort() {
	if len(r.uses) > 0 {
		r.report("truncated", r.uses[0].at, "")
		return
	}
	for _, f := range r.in.Files {
		if s := r.files[f.Path]; s != nil && !prose(f.Path) && (mayBeLeft(s.data) || bytes.Contains(s.data, []byte(r.in.Project.OldHost))) {
			r.report("truncated", span{s, 0, 0}, "")
			return
		}
	}
}
