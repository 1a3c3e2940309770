package ciconfig

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// command is a simple command with its evaluated words.
type command struct {
	ch    *chunk
	call  *syntax.CallExpr
	args  []text
	words []*syntax.Word // the word that each arg came from
	lits  []string       // the arguments of one run, where args has all values
	pos   []int          // for each arg its place in lits
	alt   []int          // for each arg which of its word's values it belongs to
	nth   []int          // for each arg its place among the fields of that value
	at    span
	reads []string // files that are redirected into it
	input []text   // the here-string that is
	item  string   // in whose place the command that starts it puts what it has found
	items []text   // what that is, nil where nobody knows

	arrays *bool // whether one of its words is an array, once that has been asked
}

// add appends a value of a word: the field at n of the value at k, with start words
// before it.
func (c *command) add(f text, w *syntax.Word, start, k, n int) {
	c.args = append(c.args, f)
	c.words = append(c.words, w)
	if k == 0 {
		c.lits = append(c.lits, f.String())
	}
	c.pos = append(c.pos, min(start+n, max(len(c.lits)-1, 0)))
	c.alt = append(c.alt, k)
	c.nth = append(c.nth, n)
}

// lit is an argument as text, holes rendered as variables.
func (c *command) lit(i int) string {
	if i >= len(c.args) {
		return ""
	}
	if c.alt[i] == 0 { // as nearly all
		return c.lits[c.pos[i]]
	}
	return c.args[i].String()
}

// pushes says whether what follows in the command is pushed: docker push $(name_of api).
func (c *command) pushes() bool {
	return len(c.args) > 1 && c.lit(1) == "push" && imageTools[path.Base(c.lit(0))]
}

// view is the command as it runs with the value that an argument belongs to,
// and the place of the argument in it. lits shows the first value of each word.
func (c *command) view(i int, lits []string) ([]string, int) {
	if c.alt[i] == 0 {
		return lits, c.pos[i]
	}
	start, first := len(lits), 0
	var mine []string
	for k, w := range c.words {
		switch {
		case w != c.words[i]:
		case c.alt[k] == 0:
			start, first = min(start, c.pos[k]), first+1
		case c.alt[k] == c.alt[i]:
			mine = append(mine, c.args[k].String())
		}
	}
	if first == 0 { // the first value is empty: it stood before the word that follows
		start = min(c.pos[i]-c.nth[i], len(lits))
	}
	out := append(slices.Clone(lits[:start]), mine...)
	return append(out, lits[start+first:]...), start + c.nth[i]
}

// positional are the values that the arguments behind the one at i may have in a
// function or a script: $1, $2 and so on.
func (c *command) positional(i int) [][]text {
	var out [][]text
	for k := i + 1; k < len(c.args); k++ {
		n := c.pos[k] - c.pos[i] - 1
		if n < 0 {
			continue
		}
		for len(out) <= n {
			out = append(out, nil)
		}
		out[n] = union(out[n], []text{c.args[k]})
	}
	return out
}

func (sh *shell) command(c *command) {
	name := path.Base(c.lit(0))
	sh.spoils(c)
	if name == "xargs" && sh.lines != nil {
		items := sh.lines
		sh.lines = nil
		if each := c.each(items); each != nil {
			sh.command(each)
			return
		}
	}
	switch name {
	case "sudo", "exec", "command", "proxychains", "proxychains4", "xvfb-run", "time", "nohup", "env", "timeout", "retry", "nice":
		i, scope := 1, sh
		for i < len(c.args) && (strings.HasPrefix(c.lit(i), "-") || strings.Contains(c.lit(i), "=") || digits(c.lit(i))) {
			if strings.Contains(c.lit(i), "=") && scope == sh {
				scope = sh.clone()
			}
			scope.given(c, i)
			if c.lit(i) == "-u" { // a user, or a variable that goes
				i++
			}
			i++
		}
		if i < len(c.args) {
			scope.command(c.from(i))
			return
		}
	case "make", "gmake", "${MAKE}":
		if sh.make(c) {
			return
		}
	case "cd", "pushd":
		sh.dir = gone(sh.dir, c.lit(1))
		if slices.Index(c.pos, 1) >= 0 && slices.Contains(c.pos[slices.Index(c.pos, 1)+1:], 1) {
			sh.dir = "" // one of several
		}
	case "popd":
		sh.dir = ""
	case "shift":
		n := 1
		if i, err := strconv.Atoi(c.lit(1)); err == nil {
			n = max(i, 0)
		} else if len(c.args) > 1 && strings.Contains(c.argSpan(1).text(), "OPTIND") {
			n = sh.optind
		}
		sh.args = sh.args[min(n, len(sh.args)):]
		return
	case "set":
		if c.lit(1) == "--" {
			sh.args, sh.known = c.positional(1), true
			return
		}
	case "read", "mapfile", "readarray":
		sh.read(c)
		return
	case "unset":
		for i := 1; i < len(c.args); i++ {
			sh.vars = sh.vars.without(c.lit(i))
		}
		return
	case "local", "export", "readonly", "declare", "typeset", ":":
		return
	case "printenv":
		sh.printsVariables(c)
	case "basename", "dirname", "expr":
		sh.taken(c.args[1:], c.at)
	case "echo", "printf":
		if sh.printed(c, name) {
			return
		}
	case ".", "source":
		if len(c.args) > 1 && (sh.file(c, 1, true) || sh.sourced(c.lit(1)) || sh.sourcesOutput(c, 1)) {
			return
		}
	case "sh", "bash", "ash", "dash":
		if javaBuilds[path.Base(c.lit(1))] {
			sh.command(c.from(1))
			return
		}
		for i := 1; i < len(c.args); i++ {
			a := c.lit(i)
			if a == "-s" && (sh.readsHere(c, i) || sh.fedFile(c, i)) {
				return
			}
			if strings.HasPrefix(a, "-") && strings.Contains(a, "c") && i+1 < len(c.args) && !strings.HasPrefix(a, "--") {
				b := *sh
				b.handedTo(c, i+1)
				if b.nested(c, i+1) {
					return
				}
				break
			}
			if !strings.HasPrefix(a, "-") && !strings.HasPrefix(a, "+") {
				if sh.file(c, i, false) {
					return
				}
				break
			}
		}
	case "eval", "ssh", "su", "trap":
		if name == "eval" && sh.evaluated(c) {
			return
		}
		b, script := *sh, len(c.args)-1
		switch name {
		case "ssh":
			c.reads = slices.Concat(c.reads, sh.stdin)
			sh.run.sentBy(c, name)
			b.away, b.stdin = true, c.reads
			if i := b.startsThere(c); i > 0 {
				scope := b.clone()
				for k := 1; k < i; k++ {
					scope.given(c, k)
				}
				scope.command(c.from(i))
				return
			}
		case "trap":
			script = 1
		}
		if b.nested(c, script) {
			return
		}
	}
	if f, ok := sh.funcs.get(c.lit(0)); ok && sh.depth < maxCalls {
		sh.run.called[f] = true
		b := sh.clone()
		b.depth++
		b.args, b.known = c.positional(0), true
		b.stmt(f.ch, f.body)
		b.args = sh.args
		sh.vars, sh.funcs = b.vars, b.funcs
		if i := c.wrapped(name); i > 0 && runsArguments(f.body) {
			sh.command(c.from(i))
		}
		return
	}
	if strings.Contains(c.lit(0), "/") && !javaBuilds[name] && sh.file(c, 0, false) {
		return
	}
	if i := c.wrapped(name); i > 0 {
		sh.command(c.started(i).from(i))
		return
	}
	if tool, i := c.nixRun(); i > 0 {
		sh.run.commandUses(sh, c.from(i), tool)
		return
	}
	if !sh.away {
		sh.run.recordDocker(c, name)
	}
	c = c.short()
	inner := sh.inner(c)
	if len(inner) > 0 && startsEach[name] {
		return // the script has what they are given
	}
	if sh.piped || sh.print != nil || name != "echo" && name != "printf" { // else a message
		for i := 1; i < len(c.args); i++ {
			lists := name == "envsubst" && !strings.Contains(c.lit(i), ":") // variables, no text
			if !lists && !slices.Contains(inner, c.words[i]) {
				sh.run.laterUses(sh, c.args[i], c.argSpan(i))
			}
		}
	}
	if sh.target != "" && !sh.run.handsOn(sh.target) && !slices.ContainsFunc(c.args, sh.run.mentions) { // .env for a server
		for i := range c.args[1:] {
			sh.run.handTag(c.argSpan(i+1), c.args[i+1], true)
		}
	}
	sh.run.commandUses(sh, c, name)
}

// gone is where cd leads in the checkout, "" for its top or a place elsewhere.
func gone(from, to string) string {
	rest, top := strings.CutPrefix(to, "${CI_PROJECT_DIR}")
	switch {
	case top:
		from = ""
	case strings.HasPrefix(to, "/"), strings.HasPrefix(to, "-"), strings.Contains(to, "$"):
		return ""
	}
	return strings.Trim(path.Join("/", from, rest), "/")
}

// inner follows the script that docker run or kubectl exec hands to a shell, in quotes
// or by its name, and gives the words that it has followed.
func (sh *shell) inner(c *command) (followed []*syntax.Word) {
	for i := 1; i+1 < len(c.args); i++ {
		if l := c.lit(i); !isShellName[path.Base(l)] && !(isHole(c.args[i]) && takesScript.MatchString(c.lit(i+1))) {
			continue
		}
		for k := i + 1; k < len(c.args) && k < i+5; k++ {
			f := c.lit(k)
			switch {
			case !strings.HasPrefix(f, "-"):
				if containerTools[path.Base(c.lit(0))] && sh.clone().file(c, k, false) {
					followed = append(followed, c.words[k])
				}
			case !strings.Contains(f, "c"):
				continue
			case k+1 < len(c.args):
				b, started := sh.clone(), c.started(i)
				b.handedTo(started, k+1)
				if b.nested(started, k+1) {
					followed = append(followed, c.words[k+1:]...)
				}
			}
			break
		}
		if len(followed) > 0 {
			sh.passed(c, i)
		}
		return followed
	}
	return nil
}

// isShellName are shells, takesScript what tells a shell in a variable that a script follows.
var (
	isShellName = map[string]bool{"sh": true, "bash": true, "ash": true}
	takesScript = regexp.MustCompile(`^-[a-z]*c$`)
)

// isHole says whether nobody knows anything of a word.
func isHole(t text) bool { return len(t) == 1 && t[0].hole != "" }

// containerTools run a command in a container.
var containerTools = map[string]bool{"docker": true, "podman": true, "nerdctl": true, "kubectl": true, "oc": true}

// passed marks the variables that are given by name to a container whose script has
// been followed: what reads them there has been seen.
func (sh *shell) passed(c *command, end int) {
	for i := 1; i < end; i++ {
		if f := c.lit(i - 1); f != "-e" && f != "--env" || !isName.MatchString(c.lit(i)) {
			continue
		}
		if at := c.argSpan(i); at.src != nil && at.text() == c.lit(i) {
			at.src.mark(at.start, nil)
		}
	}
}

// handedTo gives the script at i of sh -c the words behind it: the first is $0, the next
// $1 and so on. A script that names arguments for the shell of here to expand keeps those.
// https://pubs.opengroup.org/onlinepubs/9799919799/utilities/sh.html
func (sh *shell) handedTo(c *command, i int) {
	if namesArguments(c.words[i]) {
		return
	}
	sh.args, sh.self = nil, nil
	if args := c.positional(i); len(args) > 0 {
		sh.self, sh.args = args[0], args[1:]
	}
	sh.known = !startsEach[path.Base(c.lit(0))] // else the items come behind
}

// startsEach are commands that start another one for each of their items.
var startsEach = map[string]bool{"xargs": true, "find": true, "parallel": true}

// namesArguments says whether a word has $1, $@ or another argument outside of single quotes.
func namesArguments(w *syntax.Word) bool {
	found := false
	syntax.Walk(w, func(n syntax.Node) bool {
		p, ok := n.(*syntax.ParamExp)
		found = found || ok && argument.MatchString(p.Param.Value)
		return !found
	})
	return found
}

var argument = regexp.MustCompile(`^([0-9]|[@*#])$`)

// nested follows a script that is one argument: written in quotes, or the value of
// a variable, when all of it is known.
func (sh *shell) nested(c *command, i int) bool {
	if i >= len(c.words) || i < 1 || sh.depth >= maxCalls {
		return false
	}
	script, quotes, single := c.ch.inner(c.words[i].Parts, false)
	if v := c.args[i].chunk(); v != nil && isVariable(c.words[i]) {
		script, single = v, true
	}
	if script == nil || !quotes {
		return false
	}
	b := *sh
	b.depth++
	b.local = !single
	if c.items != nil {
		b.vars = b.vars.with(itemVariable, c.items)
	}
	b.script(script.open(c.item))
	return true
}

// isVariable says whether a word is a variable in double quotes.
func isVariable(w *syntax.Word) bool {
	q, ok := w.Parts[0].(*syntax.DblQuoted)
	if !ok || len(w.Parts) > 1 || len(q.Parts) != 1 {
		return false
	}
	_, ok = q.Parts[0].(*syntax.ParamExp)
	return ok
}

// file follows a script of the repository. What a shell reads by its name is a
// script, whatever it is called: sh build, . ci/settings.env.
func (sh *shell) file(c *command, i int, sourced bool) bool {
	src := sh.run.find(c.lit(i))
	if src == nil && sh.away {
		src = sh.run.copyOf(c.lit(i))
	}
	return src != nil && (isShell(src) || i > 0 && !otherLanguage(src.path)) && sh.follow(src, c, i, sourced)
}

// follow follows a script with the arguments behind a word of a command.
func (sh *shell) follow(src *source, c *command, i int, sourced bool) bool {
	if sh.depth >= maxCalls || sh.run.following[src] {
		return false
	}
	if len(src.data) > maxFile {
		sh.run.report("file-too-large", span{src, 0, 0}, "")
		return true
	}
	if !sourced && sh.silent(src, c, i) {
		sh.run.visited[src.path] = true
		return true
	}
	sh.run.following[src] = true
	defer delete(sh.run.following, src)
	sh.run.visited[src.path] = true
	b := sh
	if !sourced {
		b = sh.clone()
	}
	was, known, depth, local := b.args, b.known, b.depth, b.local
	if !sourced || len(c.args) > i+1 {
		b.args, b.known = c.positional(i), true
	}
	b.depth++
	b.local = false
	b.script(src.whole())
	b.args, b.known, b.depth, b.local = was, known, depth, local
	return true
}

func digits(s string) bool {
	return s != "" && s[0] >= '0' && s[0] <= '9' && strings.Trim(s, "0123456789smhd.") == ""
}
