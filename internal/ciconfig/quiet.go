package ciconfig

import (
	"bytes"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Where the scripts of a project are too much to be followed to the end, a second
// look leaves out the quiet ones: scripts that name neither the registry, nor a
// variable that leads to it, nor a tool that handles images or fills in files, and
// that run no other script of the repository which does.

// toolWords are what a script says, in small letters, that handles images or fills in files.
// One that no job runs, and that says nothing of these, of the registry or of a variable that
// leads to it, says nothing of images.
var toolWords = []string{"registry", "docker", "podman", "buildah", "nerdctl", "skopeo", "crane", "regctl", "kaniko", "buildctl", "compose", "helm",
	"kubectl", "kustomize", "envsubst", "trivy", "grype", "syft", "cosign", ".env", "dotenv", "gitlab_env"}

// loudWords are what a script of a job says that has to do with images or with what is deployed.
var loudWords = append([]string{"image", "executor", "bake", "deploy"}, toolWords...)

// says says whether a text has one of the words, or calls oc.
func says(text string, words []string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) }) || callsOC.MatchString(text)
}

var callsOC = regexp.MustCompile(`\boc\b`)

// runsFile is a script that is named with a variable in it: "ci-${1}.sh".
var runsFile = regexp.MustCompile(`[\w./${}"'@*:-]*\$[\w./${}"'@*:-]*`)

// runsVariable is a script whose name is not to be told.
var runsVariable = regexp.MustCompile("(^|[\\s;&|(`])(\\.|source|bash|sh|exec)\\s+[\"']?\\$\\{?(\\w+)\\}?[\"']?(\\s|;|$)")

// loopsOver are the variables of loops over scripts that are named.
var loopsOver = regexp.MustCompile(`\bfor\s+(\w+)\s+in\s[^;\n]*\.(sh|bash)\b`)

// wholeComment is a line that is a comment: of what it speaks the script does nothing.
var wholeComment = regexp.MustCompile(`(?m)^[ \t]*#.*$`)

var anyVariable = regexp.MustCompile(`\$\{[^}]*\}|\$[\w@*]`)

// quiets finds the shell files that say nothing of images, by the words of those that do.
func (r *run) quiets(words []string) map[*source]bool {
	loud := map[*source]bool{}
	quiet := map[*source]*caller{}
	tainted := r.tainted()
	for _, f := range r.in.Files {
		s := r.files[f.Path]
		if s == nil || !isShell(s) {
			continue
		}
		text := wholeComment.ReplaceAllString(string(s.data), "")
		if len(s.data) > maxFile || says(text, words) || strings.Contains(text, r.in.Project.OldHost) ||
			slices.ContainsFunc(tainted, func(name string) bool { return strings.Contains(text, name) }) {
			loud[s] = true
		} else {
			quiet[s] = newCaller(text)
		}
	}
	for grown := len(loud) > 0; grown; {
		grown = false
		for s, c := range quiet {
			if c.reaches(loud) {
				delete(quiet, s)
				loud[s], grown = true, true
			}
		}
	}
	out := map[*source]bool{}
	for s := range quiet {
		out[s] = true
	}
	return out
}

// caller is what a script says of others that it may run.
type caller struct {
	words    map[string]bool
	patterns []string // names with variables in them
	open     bool     // one of which nothing is known
}

func newCaller(text string) *caller {
	c := &caller{words: map[string]bool{}}
	for _, word := range strings.FieldsFunc(text, func(c rune) bool { return strings.ContainsRune(" \t\r\n\"'`=();&|<>{}$", c) }) {
		c.words[word] = true
		if i := strings.LastIndexByte(word, '/'); i >= 0 {
			c.words[word[i:]] = true
		}
	}
	named := map[string]bool{}
	for _, m := range loopsOver.FindAllStringSubmatch(text, -1) {
		named[m[1]] = true
	}
	for line := range strings.Lines(text) {
		if !strings.Contains(line, "$") {
			continue
		}
		for _, m := range runsVariable.FindAllStringSubmatch(line, -1) { // unless it goes through files that are named
			c.open = c.open || !named[m[3]]
		}
		if !strings.Contains(line, ".sh") && !strings.Contains(line, ".bash") {
			continue
		}
		for _, word := range runsFile.FindAllString(line, -1) {
			word = strings.NewReplacer(`"`, "", "'", "").Replace(word)
			if strings.HasSuffix(word, ".sh") || strings.HasSuffix(word, ".bash") {
				c.patterns = append(c.patterns, known(anyVariable.ReplaceAllString(word, "*")))
			}
		}
	}
	return c
}

// reaches says whether the script may run one of the others: it names it, or names a
// script by a variable that may be it.
func (c *caller) reaches(others map[*source]bool) bool {
	if c.open {
		return true
	}
	for o := range others {
		base := path.Base(o.path)
		if c.words["/"+base] || strings.Contains(base, ".") && c.words[base] {
			return true
		}
		for _, p := range c.patterns {
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
		if s := c.lit(k); sh.run.mentions(c.args[k]) || says(s, loudWords) || strings.HasSuffix(s, ".sh") {
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
