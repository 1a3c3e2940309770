package ciconfig

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// A call of make is followed as a call of a script is: the recipes of its targets, and
// of what they need, are shell lines into which make has put its variables.

// makeCall is one call of make: its Makefile with the variables of the command line.
type makeCall struct {
	*makefile
	sh     *shell
	dir    string // in which the recipes run
	rules  map[string]*makeRule
	lists  []*makeTargets
	first  string // the target that make takes where none is given
	made   map[string]bool
	handed *table[[]text] // see handsOn
}

// makeTargets are targets that a variable lists, which is known when all of the Makefile
// has been read.
type makeTargets struct {
	names *chunk
	makeRule
}

// makeRule is how a target is made.
type makeRule struct {
	pattern string // of the targets, whose % is the stem in what they need
	needs   []*chunk
	recipe  [][]span // the lines, each with those that continue it
}

// make follows a call of make. It returns true where nothing else is to be said of the
// command: all image names that it hands over have been seen in a recipe.
func (sh *shell) make(c *command) bool {
	r := sh.run
	dir, file := sh.dir, ""
	given, named := map[string][]text{}, []string(nil)
	for i := 1; i < len(c.args); i++ {
		switch l := c.lit(i); {
		case (l == "-C" || l == "--directory" || l == "-f" || l == "--file" || l == "-o") && i+1 < len(c.args):
			i++
			if l == "-f" || l == "--file" {
				file = c.lit(i)
			} else if l != "-o" {
				dir = gone(dir, c.lit(i))
			}
		case l == "-j" && i+1 < len(c.args) && isCount(c.lit(i+1)):
			i++
		case strings.HasPrefix(l, "-C") || strings.HasPrefix(l, "--directory="):
			dir = gone(dir, strings.TrimPrefix(strings.TrimPrefix(l, "-C"), "--directory="))
		case strings.HasPrefix(l, "-"):
		default:
			if name, value, ok := assigned(c.args[i]); ok {
				given[name] = union(given[name], []text{value})
			} else {
				named = append(named, l)
			}
		}
	}
	m := sh.makefile(dir, file, given)
	if m == nil && file == "" && dir != "" && !strings.Contains(dir, "$") && !slices.ContainsFunc(c.args, r.mentions) {
		if r.now != nil {
			r.handTags(c.at, c.args)
		}
		return false // a folder whose Makefile does not speak of images: the documentation's
	}
	r.makes = r.makes || r.now != nil
	r.makesUnknown = r.makesUnknown || r.now != nil && (m == nil || slices.ContainsFunc(named, func(t string) bool { return strings.Contains(t, "$") }))
	if m == nil && r.now != nil { // one elsewhere, which joins the tags to what it knows
		r.handTags(c.at, c.args)
	}
	if m == nil || r.now == nil {
		return false
	}
	if len(named) == 0 {
		named = append(named, m.first)
	}
	for _, target := range named {
		m.follow(target, 0)
	}
	for name := range m.used {
		if given[name] == nil && sh.making != nil {
			sh.making.used[name] = true
		}
	}
	for name, values := range given {
		for _, v := range values {
			if r.mentions(v) && !m.used[name] {
				return false
			}
		}
	}
	return true
}

// isCount says whether a word may be how many jobs make runs, which -j need not be given.
func isCount(word string) bool {
	return strings.Trim(word, "0123456789") == "" || strings.HasPrefix(word, "$")
}

// assigned is NAME=value as its two parts.
func assigned(t text) (name string, value text, ok bool) {
	if len(t) == 0 {
		return "", nil, false
	}
	name, _, ok = strings.Cut(t[0].text, "=")
	name = strings.TrimRight(name, ":?")
	if !ok || !isName.MatchString(name) {
		return "", nil, false
	}
	if n := strings.IndexByte(t[0].text, '=') + 1; n < len(t[0].text) {
		value = append(value, t[0].slice(n, len(t[0].text)))
	}
	return name, append(value, t[1:]...), true
}

// makefile is the Makefile that a call in a directory reads, nil where it is not there.
func (sh *shell) makefile(dir, file string, given map[string][]text) *makeCall {
	r := sh.run
	var src *source
	names := []string{"GNUmakefile", "makefile", "Makefile"}
	if file != "" {
		names = []string{file}
	}
	for _, name := range names {
		if s := r.files[path.Join(dir, name)]; src == nil && s != nil && s.editable {
			src = s
		}
	}
	if src == nil || sh.depth >= maxCalls || len(src.data) > maxFile {
		return nil
	}
	m := &makeCall{makefile: newMakefile(r, src), sh: sh, dir: dir, rules: map[string]*makeRule{}, made: map[string]bool{}}
	m.given, m.used = given, map[string]bool{}
	if up := sh.making; up != nil { // by MAKEFLAGS
		m.given = maps.Clone(up.given)
		maps.Copy(m.given, given)
	}
	m.ask = func(name string) ([]text, bool) {
		if up := sh.making; up != nil && up.given[name] != nil {
			up.used[name] = true
		}
		return sh.lookup(name)
	}
	m.parse(src, 0)
	m.listTargets()
	return m
}

// makeStatement is a line of a Makefile: one of a recipe, an include, or the targets of
// a rule. One that is none of them is left out, or ends a rule where it sets a variable.
// https://www.gnu.org/software/make/manual/html_node/Static-Usage.html
type makeStatement struct {
	recipe   []span
	included []string
	targets  *chunk
	pattern  string
	needs    *chunk
}

// makeStatements are the lines of a Makefile, but for the variables. Each call of make
// asks for them, so they are kept.
func (s *source) makeStatements() []makeStatement {
	if s.rules != nil {
		return s.rules
	}
	s.rules = []makeStatement{}
	for start := 0; start < len(s.data); {
		line, lines := s.continued(start)
		text := string(s.data[line.start:line.end])
		start = lines[len(lines)-1].end
		if strings.HasPrefix(text, "\t") {
			s.rules = append(s.rules, makeStatement{recipe: lines})
			continue
		}
		if strings.Contains(text, "include") {
			if inc := included.FindStringSubmatch(strings.TrimRight(besideMakefile(s, uncommented(text)), " \t\r\n")); inc != nil {
				s.rules = append(s.rules, makeStatement{included: strings.Fields(inc[1])})
				continue
			}
		}
		sets := strings.IndexByte(text, '=') >= 0 && makeSets.MatchString(text)
		colon := makeColon(text)
		if sets {
			s.rules = append(s.rules, makeStatement{})
		}
		if sets || colon <= 0 || strings.HasPrefix(text, "#") || colon+1 < len(text) && text[colon+1] == '=' {
			continue
		}
		behind := strings.TrimLeft(text[colon:], ":")
		from := line.start + len(text) - len(behind)
		behind = uncommented(behind)
		needs, recipe, beside := strings.Cut(behind, ";")
		if beside = beside && strings.Count(needs, "(") == strings.Count(needs, ")") && len(lines) == 1; !beside {
			needs = behind
		}
		end, pattern := from+len(behind), ""
		if at := makeColon(needs); at > 0 && !strings.HasPrefix(needs[at:], ":=") {
			pattern, needs, from = strings.TrimSpace(needs[:at]), needs[at+1:], from+at+1
		}
		s.rules = append(s.rules, makeStatement{targets: whole(s, line.start, line.start+colon), pattern: pattern, needs: whole(s, from, from+len(needs))})
		if beside {
			s.rules = append(s.rules, makeStatement{recipe: []span{{s, end - len(recipe), end}}})
		}
	}
	return s.rules
}

// makeColon is where a colon stands that is not in a variable or function, or -1.
func makeColon(text string) int {
	depth := 0
	for i := range len(text) {
		switch text[i] {
		case '(', '{':
			depth++
		case ')', '}':
			depth--
		case ':':
			if depth == 0 {
				return i
			}
		}
	}
	return -1
}

// parse reads the rules of a Makefile and of those that it includes.
func (m *makeCall) parse(s *source, depth int) {
	m.run.visited[s.path] = true
	var now []*makeRule
	for _, st := range s.makeStatements() {
		for _, r := range now {
			if st.recipe != nil {
				r.recipe = append(r.recipe, st.recipe)
			}
		}
		if st.recipe == nil && st.included == nil {
			now = nil
		}
		for _, o := range m.run.includedBy(s, st) {
			if depth < maxCalls {
				m.merge(newMakefile(m.run, o))
				m.parse(o, depth+1)
			}
		}
		if st.targets == nil {
			continue
		}
		if strings.Contains(st.targets.text, "$") {
			l := &makeTargets{st.targets, makeRule{pattern: st.pattern, needs: []*chunk{st.needs}}}
			m.lists, now = append(m.lists, l), append(now, &l.makeRule)
			continue
		}
		for _, target := range strings.Fields(st.targets.text) {
			now = append(now, m.target(target, st.pattern, st.needs))
		}
	}
}

// target is the rule for a target, with one more line that says what it needs.
func (m *makeCall) target(name, pattern string, needs ...*chunk) *makeRule {
	rule := m.rules[name]
	if rule == nil {
		rule = &makeRule{}
		m.rules[name] = rule
	}
	if m.first == "" && !strings.HasPrefix(name, ".") && !strings.Contains(name, "%") {
		m.first = name
	}
	if pattern != "" {
		rule.pattern = pattern
	}
	rule.needs = append(rule.needs, needs...)
	return rule
}

// listTargets gives the targets that variables list their rules.
func (m *makeCall) listTargets() {
	for _, l := range m.lists {
		for _, name := range m.needed(l.names) {
			rule := m.target(name, l.pattern, l.needs...)
			rule.recipe = append(rule.recipe, l.recipe...)
		}
	}
}

// continued is the line at an offset, and all that a backslash at its end adds.
func (s *source) continued(at int) (all span, lines []span) {
	for {
		from, to := s.line(at)
		lines = append(lines, span{s, from, to})
		at = to
		if to >= len(s.data) || !strings.HasSuffix(strings.TrimRight(string(s.data[from:to]), "\r\n"), `\`) {
			return span{s, lines[0].start, to}, lines
		}
	}
}

// rule is how a target is made, by a rule of its own or by one with a pattern, whose %
// stands for the stem.
func (m *makeCall) rule(target string) (rule *makeRule, stem string) {
	if r := m.rules[target]; r != nil {
		stem, _ = stemOf(r.pattern, target)
		return r, stem
	}
	for _, name := range sortedKeys(m.rules) {
		if stem, ok := stemOf(name, target); ok && stem != "" {
			return m.rules[name], stem
		}
	}
	return nil, ""
}

// follow makes a target: first what it needs, then its recipe, each line in a shell of
// its own.
func (m *makeCall) follow(target string, depth int) {
	rule, stem := m.rule(target)
	if rule == nil || m.made[target] || depth > maxDepth {
		return
	}
	m.made[target] = true
	first := ""
	for _, ch := range rule.needs {
		for _, need := range m.needed(ch) {
			if first == "" {
				first = need
			}
			m.follow(strings.Replace(need, "%", stem, 1), depth+1)
		}
	}
	for _, lines := range rule.recipe {
		b := m.sh.clone()
		b.depth++
		b.dir, b.making, b.vars = m.dir, m, m.handsOn()
		for name, value := range map[string]string{"_target": target, "_stem": stem, "_first": first} {
			b.vars = b.vars.with(name, []text{{{text: value}}})
		}
		ch := m.recipe(b, lines)
		m.pushesEach(lines)
		if ch.shell() == nil {
			m.run.makesUnknown = true
			continue // looked at as a line that nobody runs
		}
		for _, l := range lines { // the whole of it, where the recipe is behind a semicolon
			from, to := l.src.line(l.start)
			m.run.recipes[span{l.src, from, to}] = true
		}
		m.run.recipeOf[ch] = span{ch.src, lines[0].start, lines[len(lines)-1].end}
		b.script(ch)
	}
}

// handsOn are the variables of the shell of a recipe, with what make exports to it, and so to
// another make: the variables of its command line, those that it says, and those of the
// environment, with the values that it has given them.
// https://www.gnu.org/software/make/manual/html_node/Variables_002fRecursion.html
func (m *makeCall) handsOn() *table[[]text] {
	if m.handed != nil {
		return m.handed.share()
	}
	sh := m.sh.clone()
	for name, values := range m.given {
		sh.vars = sh.vars.with(name, values)
	}
	for name := range m.sets {
		if m.given[name] != nil || !m.all && !m.hands[name] && !(m.always[name] && m.inherits(name)) {
			continue
		}
		if v := m.lookup(name); v != nil {
			sh.set(name, v) // for those who put variables into files, too
		}
	}
	m.handed = sh.vars
	return m.handed.share()
}

// inherits says whether a variable comes from the environment of the call.
func (m *makeCall) inherits(name string) bool {
	_, set := m.sh.lookup(name)
	return set || predefined(name)
}

// put is what make replaces in a recipe.
// https://www.gnu.org/software/make/manual/html_node/Automatic-Variables.html
var put = regexp.MustCompile(`\$[({]([A-Za-z_][A-Za-z0-9_]*)[)}]|\$\$|\$[({]?([@*<])[)}]?`)

// recipe is a line of a recipe as the shell reads it, with make's variables as the
// shell's, which get their values.
func (m *makeCall) recipe(sh *shell, lines []span) *chunk {
	ch, b := &chunk{src: lines[0].src, recipe: true}, []byte(nil)
	for i, l := range lines {
		text := l.text()
		from := len(text) - len(strings.TrimLeft(text, "\t"))
		if i == 0 {
			from = len(text) - len(strings.TrimLeft(text, "\t @+-"))
		}
		add := func(with string, from, to int) {
			if from < to {
				ch.add(&b, with, l.start+from, l.start+to)
			}
		}
		for _, at := range put.FindAllStringSubmatchIndex(text, -1) {
			if at[0] < from {
				continue
			}
			add(text[from:at[0]], from, at[0])
			from = at[1]
			switch {
			case at[2] >= 0:
				name := text[at[2]:at[3]]
				if v := m.lookup(name); v != nil {
					sh.vars = sh.vars.with(name, v)
				}
				add("${"+name+"}", at[0], at[1])
			case at[4] >= 0:
				add(map[string]string{"@": "${_target}", "*": "${_stem}", "<": "${_first}"}[text[at[4]:at[5]]], at[0], at[1])
			default:
				add("$", at[0], at[1])
			}
		}
		add(text[from:], from, len(text))
	}
	ch.text = string(b)
	return ch
}

// quoted is what stands between single quotes, where the shell expands nothing, and
// make has put its variables in all the same.
func (sh *shell) quoted(ch *chunk, from, to int) []text {
	out, last := strand{{}}, from
	for _, at := range makeVariable.FindAllStringSubmatchIndex(ch.text[from:to], -1) {
		if at[4] < 0 || ch.span(from+at[0], from+at[0]+1).text() == "$$" {
			continue
		}
		out = out.with(ch.pieces(last, from+at[0]))
		last = from + at[1]
		name := ch.text[from+at[4] : from+at[5]]
		vals, _ := sh.lookup(name)
		out = out.with(expanded(vals, name, ch.span(from+at[0], last), false)...)
	}
	return out.with(ch.pieces(last, to))
}

// unbraced is a variable that a change writes as the shell does.
var unbraced = regexp.MustCompile(`\$+[A-Za-z_][A-Za-z0-9_]*|\$+\(echo |\$+\{[A-Za-z_][A-Za-z0-9_]*:-`)

// inMakefile is what a change writes, as make reads it: $(NAME), and $$ for the shell, which alone
// knows defaults.
func inMakefile(with string) string {
	return unbraced.ReplaceAllStringFunc(with, func(s string) string {
		switch {
		case strings.HasPrefix(s, "$$"):
			return s
		case s == "$(echo ", s[1] == '{':
			return "$" + s
		}
		return "$(" + s[1:] + ")"
	})
}
