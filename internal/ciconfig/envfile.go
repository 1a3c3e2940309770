package ciconfig

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// A script may write variables into a file, a line NAME=value for each, for whoever
// reads it: a shell that sources it, compose, or by a dotenv report the jobs behind.
// Where a reader is seen, a name in such a value is followed as that of any other
// variable; where none is, the half of a reference goes to somebody unseen.
// https://docs.docker.com/compose/how-tos/environment-variables/variable-interpolation/
// https://docs.gitlab.com/ci/variables/dotenv_variables/

// lineBegins is the beginning of such a line at the end of a text.
var lineBegins = regexp.MustCompile(`(?:^|\n)\s*(?:export\s+)?[A-Za-z_][A-Za-z0-9_]*=["']?$`)

// writes remembers the variables in what is printed into a file.
func (sh *shell) writes(vals []text) {
	if sh.target == "" {
		return
	}
	r := sh.run
	for _, v := range vals {
		for _, line := range v.cut("\n", longest) {
			name, value, ok := assigned(line.without("export "))
			if !ok {
				sh.writesWhole(trimmed(line))
				continue
			}
			value = value.unquoted()
			if r.written == nil {
				r.written = map[string]map[string][]text{}
			}
			if r.written[sh.target] == nil {
				r.written[sh.target] = map[string][]text{}
			}
			r.written[sh.target][name] = union(r.written[sh.target][name], []text{value})
			r.assigned[name] = union(r.assigned[name], []text{value}) // compose reads it
		}
	}
}

// writesWhole remembers a line that is one word, which whoever reads the file takes for a
// value: echo $CI_REGISTRY_IMAGE/api > image.txt; docker push $(cat image.txt):$TAG.
func (sh *shell) writesWhole(line text) {
	s := line.String()
	if strings.ContainsAny(s, " \t\"'<>,;") || strings.Contains(s, "$(") && !sh.run.mentions(line) {
		sh.run.spoil(sh.target)
	}
	if s == "" || strings.ContainsAny(s, " \t\"'<>,;") || strings.Contains(sh.target, "$") {
		return
	}
	if sh.run.words == nil {
		sh.run.words = map[string][]text{}
	}
	sh.run.words[sh.target] = union(sh.run.words[sh.target], []text{line})
}

// spoil notes that what is in a file is not known, or not all of it.
func (r *run) spoil(file string) {
	if r.spoiled == nil {
		r.spoiled = map[string]bool{}
	}
	r.spoiled[file] = true
}

// spoils notes what a command does to files of words: what it prints into one, or makes of
// one that it is given.
func (sh *shell) spoils(c *command) {
	name := c.lit(0)
	if sh.target != "" && name != "echo" && name != "printf" && name != "cat" && name != "tee" {
		sh.run.spoil(sh.target)
	}
	if !strings.Contains(name, "/") && !changers[name] {
		return
	}
	for i := 1; i < len(c.args); i++ {
		if file := cleanTarget(c.lit(i)); sh.run.words[file] != nil {
			sh.run.spoil(file)
		}
	}
}

// changers are commands that may write into a file which they are given.
var changers = map[string]bool{"sed": true, "cp": true, "mv": true, "python": true, "python3": true, "node": true, "ruby": true, "perl": true, "yq": true, "curl": true, "wget": true, "truncate": true}

// wordsOf are the words that scripts have written into the file which a substitution reads,
// $(cat FILE) or $(<FILE), nil where it does anything else.
func (sh *shell) wordsOf(ch *chunk, c *syntax.CmdSubst) []text {
	if len(sh.run.words) == 0 || len(c.Stmts) != 1 || c.Stmts[0].Negated {
		return nil
	}
	s := c.Stmts[0]
	var file *syntax.Word
	call, ok := s.Cmd.(*syntax.CallExpr)
	switch {
	case ok && len(call.Args) == 2 && call.Args[0].Lit() == "cat" && !slices.ContainsFunc(s.Redirs, func(r *syntax.Redirect) bool { return r.Op != syntax.RdrOut || r.N == nil || r.N.Value != "2" }):
		file = call.Args[1]
	case s.Cmd == nil && len(s.Redirs) == 1 && s.Redirs[0].Op == syntax.RdrIn:
		file = s.Redirs[0].Word
	default:
		return nil
	}
	if vals := sh.word(ch, file); len(vals) == 1 {
		file := cleanTarget(vals[0].String())
		words := sh.run.words[file]
		if len(words) > 0 && sh.run.spoiled[file] {
			words = append(slices.Clip(words), text{{hole: unknown, at: ch.span(int(c.Pos().Offset()), int(c.End().Offset()))}})
		}
		return words
	}
	return nil
}

// without is a text without the word at its beginning, which may be in several pieces.
func (t text) without(word string) text {
	for i, p := range t {
		n := len(p.text)
		switch {
		case p.hole == "" && n >= len(word) && strings.HasPrefix(p.text, word):
			return append(text{p.slice(len(word), n)}, t[i+1:]...)
		case p.hole != "" || !strings.HasPrefix(word, p.text):
			return t
		}
		word = word[n:]
	}
	return t
}

// unquoted is a text without the quotes around it.
func (t text) unquoted() text {
	if len(t) == 0 {
		return t
	}
	first, last := t[0].text, t[len(t)-1].text
	for _, q := range []string{`"`, `'`} {
		if !strings.HasPrefix(first, q) || !strings.HasSuffix(last, q) || len(t) == 1 && len(first) < 2 {
			continue
		}
		out := append(text{t[0].slice(1, len(first))}, t[1:]...)
		n := len(out) - 1
		out[n] = out[n].slice(0, len(out[n].text)-1)
		return out
	}
	return t
}

// sourced takes over the variables of a file that a script has written.
func (sh *shell) sourced(file string) bool {
	vars := sh.run.written[cleanTarget(file)]
	for _, name := range sortedKeys(vars) {
		sh.set(name, vars[name])
	}
	return vars != nil
}

// sourcesOutput takes over the variables that commands print: source <(echo IMAGE=$IMAGE).
func (sh *shell) sourcesOutput(c *command, i int) bool {
	if len(c.words[i].Parts) != 1 {
		return false
	}
	p, ok := c.words[i].Parts[0].(*syntax.ProcSubst)
	if !ok || p.Op != syntax.CmdIn {
		return false
	}
	b := sh.clone()
	var printed []text
	b.print, b.target = &printed, ""
	b.stmts(c.ch, p.Stmts)
	sh.setsPrinted(printed, c.argSpan(i))
	return true
}

// exportsFile takes over the variables of export $(cat FILE), be it one that a script has
// written or one of the repository. Nothing is put into the latter, so that one which names
// the registry has to stay.
func (sh *shell) exportsFile(w *syntax.Word) {
	syntax.Walk(w, func(n syntax.Node) bool {
		if w, ok := n.(*syntax.Word); ok && w.Lit() != "" && !sh.sourced(w.Lit()) && envName.MatchString(path.Base(w.Lit())) {
			src := sh.run.find(w.Lit())
			if src != nil && len(src.data) <= maxFile && !strings.Contains(string(src.data), "$") && !strings.Contains(string(src.data), sh.run.in.Project.OldHost) {
				sh.run.visited[src.path] = true
				sh.script(src.whole())
			}
		}
		return true
	})
}

// envName is how files of variables are called.
var envName = regexp.MustCompile(`^\.?env(\..+)?$|\.env$`)

// cleanTarget is one name for a file, however a script calls it.
func cleanTarget(name string) string {
	return path.Clean(strings.TrimPrefix(name, "${CI_PROJECT_DIR}/"))
}

// writesTo is the file to which a statement's output goes, "" where that is not known.
func (sh *shell) writesTo(ch *chunk, list []*syntax.Redirect) string {
	for _, r := range list {
		if toFile([]*syntax.Redirect{r}) {
			if vals := sh.word(ch, r.Word); len(vals) == 1 {
				return cleanTarget(vals[0].String())
			}
		}
	}
	return ""
}

// teesTo is the file that tee writes.
func (sh *shell) teesTo(ch *chunk, s *syntax.Stmt) string {
	c, ok := s.Cmd.(*syntax.CallExpr)
	if !ok || len(c.Args) < 2 || c.Args[0].Lit() != "tee" {
		return ""
	}
	if vals := sh.word(ch, c.Args[len(c.Args)-1]); len(vals) == 1 {
		return cleanTarget(vals[0].String())
	}
	return ""
}

// dotenvsOf are the files that a job hands to the jobs behind it.
func (c *config) dotenvsOf(j *job) (files []string) {
	if t := j.tree.kid("artifacts").kid("reports").kid("dotenv"); t != nil {
		for _, n := range items(t.node) {
			if n = deref(n); n != nil && n.Value != "" {
				files = append(files, cleanTarget(n.Value))
			}
		}
	}
	return files
}

// readWhole finds the files that substitutions read.
var readWhole = regexp.MustCompile(`\$\((?:cat\s+|<\s*)["']?([\w${}./-]+)`)

// writersFirst are jobs in the order in which they are followed: what a job hands on is known
// to those behind it.
func (c *config) writersFirst(jobs []*job) []*job {
	var first, rest []*job
	for _, j := range jobs {
		if c.handsOver(j) {
			first = append(first, j)
		} else {
			rest = append(rest, j)
		}
	}
	slices.SortStableFunc(first, func(a, b *job) int {
		m, _ := a.stage()
		n, _ := b.stage()
		return m - n
	})
	return append(first, rest...)
}

// handsOver says whether a job writes a file for the jobs behind it: a dotenv report, or
// one that a substitution reads. It may do so in a script of the repository.
func (c *config) handsOver(j *job) bool {
	if len(c.dotenvsOf(j)) > 0 {
		return true
	}
	if c.readFiles == nil {
		c.findReadFiles()
	}
	return len(c.readFiles) > 0 && slices.ContainsFunc(c.scriptOf(j), func(l line) bool {
		return c.writesRead(l.node.Value) || namesAny(l.node.Value, c.writers)
	})
}

// maxReadFiles bounds the files, and the scripts that write them: who is not among them may be
// followed before those who read what he writes.
const maxReadFiles = 200

// findReadFiles finds the files that substitutions read, in jobs and in scripts of the
// repository, and the scripts that write such a file, or start one that does.
func (c *config) findReadFiles() {
	c.readFiles = []string{}
	look := func(text string) {
		if !strings.Contains(text, "$(") {
			return
		}
		for _, m := range readWhole.FindAllStringSubmatch(text, -1) {
			if file := path.Base(m[1]); !slices.Contains(c.readFiles, file) && len(c.readFiles) < maxReadFiles {
				c.readFiles = append(c.readFiles, file)
			}
		}
	}
	for _, o := range c.jobs() {
		for _, l := range c.scriptOf(o) {
			look(l.node.Value)
		}
	}
	scripts := map[string]string{} // their texts by what starts them
	for _, p := range sortedKeys(c.files) {
		switch s := c.files[p]; {
		case !s.editable || len(s.data) > maxFile:
		case isMakefile(p):
			scripts["make"] += string(s.data)
		case isShell(s):
			scripts[path.Base(p)] += string(s.data)
		}
	}
	for _, name := range sortedKeys(scripts) {
		look(scripts[name])
	}
	for found := true; found; {
		found = false
		for _, name := range sortedKeys(scripts) {
			if text := scripts[name]; len(c.writers) < maxReadFiles && (c.writesRead(text) || namesAny(text, c.writers)) {
				c.writers, found = append(c.writers, name), true
				delete(scripts, name)
			}
		}
	}
}

// writesRead says whether a text writes a file that a substitution reads.
func (c *config) writesRead(text string) bool {
	_, behind, writes := strings.Cut(text, ">")
	return writes && namesAny(behind, c.readFiles)
}

func namesAny(text string, names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.Contains(text, n) })
}

// scriptOf are the lines of a job's scripts.
func (c *config) scriptOf(j *job) []line {
	if j.script == nil {
		j.script = []line{}
		for _, key := range []string{"before_script", "script", "after_script"} {
			j.script = append(j.script, c.lines(j.tree.kid(key))...)
		}
	}
	return j.script
}

// handOn gives the jobs behind one what it has written into a dotenv report.
func (r *run) handOn(j *job) {
	top := r.cfg.top()
	for _, file := range r.cfg.dotenvsOf(j) {
		for name, vals := range r.writtenAs(file) {
			if top.handed == nil {
				top.handed, top.handedBy = map[string][]text{}, map[string][]*job{}
			}
			top.handed[name] = union(top.handed[name], vals)
			top.handedBy[name] = append(top.handedBy[name], j)
		}
	}
}

// perhapsHanded says whether a variable comes out of a dotenv report that the job may be without:
// none that writes it is sure to be in the job's pipeline, and over when it starts.
func (sh *shell) perhapsHanded(name string) bool {
	if _, set := sh.vars.get(name); set || sh.run.now == nil || len(sh.env.defs[name]) > 0 {
		return false
	}
	by := sh.env.cfg.top().handedBy[name]
	return len(by) > 0 && !slices.ContainsFunc(by, func(w *job) bool {
		return reliesOn(sh.run.now, w) && sh.run.in.Project.alongside(w, sh.run.now) && sh.run.now.follows(w)
	})
}

// writtenAs are the variables that scripts write into a file: under the name that a report has
// for it, or from the folder that they have gone to, cd out; echo IMAGE=$IMAGE > variables.env.
func (r *run) writtenAs(file string) map[string][]text {
	if vars := r.written[file]; vars != nil {
		return vars
	}
	for _, target := range sortedKeys(r.written) {
		if path.Base(target) == path.Base(file) {
			return r.written[target]
		}
	}
	return nil
}

// isLine says whether a reference is the value of a line that is written into a file,
// which somebody may read that is seen.
func (sh *shell) isLine(ref *reference) bool {
	return sh.target != "" && (lineBegins.MatchString(ref.f.s[:ref.start]) || ref.start == 0 && slices.ContainsFunc(sh.run.words[sh.target], func(t text) bool { return t.String() == ref.f.t.String() }))
}

// halfWritten reports the names in files of variables that nobody is seen to join to
// a tag.
func (r *run) halfWritten() {
	read := map[span]bool{} // the lines out of which a reference came
	for _, u := range r.uses {
		if u.role == textRole || u.command == "text" || !u.ref.own || u.ref.sep < 0 {
			continue
		}
		for _, s := range u.ref.f.via(u.ref.sep) {
			read[s] = true
		}
		if s, ok := u.ref.f.at(u.ref.sep); ok {
			read[s] = true
		}
	}
	for _, u := range r.halves {
		line, shared := u.separator()
		if shared { // others may have the name from there: what counts is who has it from the line
			line = u.ref.f.via(u.ref.sep)[0]
		}
		if !read[line] {
			r.half(u)
			r.add(u)
		}
	}
}

var anAssignment = regexp.MustCompile(`\b([A-Za-z_][A-Za-z0-9_]*)=`)

// reported are the variables that jobs hand to later ones by a dotenv report, as far
// as the lines that name its file show them, and some that they only set.
func (c *config) reported() []string {
	if c.dotenvs != nil {
		return sortedKeys(c.dotenvs)
	}
	c.dotenvs = map[string]bool{}
	for _, j := range c.jobs() {
		files := c.dotenvsOf(j)
		if len(files) == 0 {
			continue
		}
		for _, l := range c.scriptOf(j) {
			if !slices.ContainsFunc(files, func(f string) bool { return strings.Contains(l.node.Value, path.Base(f)) }) {
				continue
			}
			for _, m := range anAssignment.FindAllStringSubmatch(l.node.Value, -1) {
				c.dotenvs[m[1]] = true
			}
		}
	}
	return sortedKeys(c.dotenvs)
}
