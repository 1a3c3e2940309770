package ciconfig

import (
	"bytes"
	"path"
	"regexp"
	"slices"
	"strings"
)

// makeVariable is a variable as a Makefile reads it, make's own or, behind two
// dollars, the shell's; or what a command prints.
// https://www.gnu.org/software/make/manual/html_node/Reference.html
var makeVariable = regexp.MustCompile(`\$\(([A-Za-z_][A-Za-z0-9_]*)\)|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?|\$\((shell) (?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)`)

// makeSets is a line that sets a variable.
// https://www.gnu.org/software/make/manual/html_node/Setting.html
var makeSets = regexp.MustCompile(`^ *(?:(?:export|override) +)*([A-Za-z_][A-Za-z0-9_]*)[ \t]*(:{0,3}=|\?=|\+=)[ \t]*`)

func isMakefile(p string) bool {
	base := strings.ToLower(path.Base(p))
	return base == "makefile" || base == "gnumakefile" || path.Ext(base) == ".mk"
}

// makefile is a Makefile with the variables that it sets.
type makefile struct {
	run    *run
	ask    func(name string) ([]text, bool) // the environment
	given  map[string][]text                // on the command line
	used   map[string]bool                  // which of them
	sets   map[string][]makeSetting
	always map[string]bool // set whatever the environment holds
	hands  map[string]bool // what it exports to the commands of its recipes
	all    bool            // which is all that it sets
	cache  map[string][]text
	busy   map[string]bool
}

// makefiles looks at the images that Makefiles name: by variables of their own,
// or of the jobs that run make.
func (r *run) makefiles() {
	var e *env
	for _, f := range r.in.Files {
		s := r.files[f.Path]
		if !isMakefile(f.Path) || !r.mayMention(s) {
			continue
		}
		if len(s.data) > maxFile {
			r.report("file-too-large", span{s, 0, 0}, "")
			continue
		}
		if e == nil {
			if e = r.everyone(); !r.makes { // no job's variables reach it
				e.jobs, e.assigned = nil, nil
			}
		}
		m := newMakefile(r, s)
		for _, o := range r.includedWith(s) {
			m.merge(newMakefile(r, o))
		}
		if r.makes {
			m.ask = e.lookup
		}
		s.makeLines(func(at span, line *chunk) {
			if !r.recipes[at] {
				m.look(line)
			}
		})
	}
}

func newMakefile(r *run, s *source) *makefile {
	m := &makefile{run: r, sets: map[string][]makeSetting{}, always: map[string]bool{}, hands: map[string]bool{}, cache: map[string][]text{}, busy: map[string]bool{}}
	for _, set := range s.makeSettings() {
		if !r.recipes[set.line] {
			m.sets[set.name] = append(m.sets[set.name], set)
			m.always[set.name] = m.always[set.name] || !set.weak
			m.hands[set.name] = m.hands[set.name] || set.exported
		}
	}
	if s.exports == nil {
		s.exports = [][]string{}
		for _, e := range makeExports.FindAllSubmatch(s.data, -1) {
			s.exports = append(s.exports, strings.Fields(string(e[1])))
		}
	}
	for _, names := range s.exports {
		m.all = m.all || len(names) == 0
		for _, name := range names {
			m.hands[name] = true
		}
	}
	return m
}

// makeExports is a line that exports variables, or all of them.
// https://www.gnu.org/software/make/manual/html_node/Variables_002fRecursion.html
var makeExports = regexp.MustCompile(`(?m)^(?:\.EXPORT_ALL_VARIABLES:.*|export((?: +[A-Za-z_][A-Za-z0-9_]*)*)) *\r?$`)

// merge adds the variables of another Makefile.
func (m *makefile) merge(o *makefile) {
	for name, settings := range o.sets {
		m.sets[name] = append(m.sets[name], settings...)
		m.always[name] = m.always[name] || o.always[name]
		m.hands[name] = m.hands[name] || o.hands[name]
	}
	for name := range o.hands {
		m.hands[name] = true
	}
	m.all = m.all || o.all
}

// includedBy are the Makefiles that a statement includes.
func (r *run) includedBy(s *source, st makeStatement) (out []*source) {
	for _, name := range st.included {
		if o := r.find(name); o != nil && o != s && len(o.data) <= maxFile {
			out = append(out, o)
		}
	}
	return out
}

// includedWith are the Makefiles that one includes or that include it, and so on: they
// share their variables.
func (r *run) includedWith(s *source) []*source {
	if r.makeFamilies == nil {
		r.makeFamilies = map[*source][]*source{}
		for _, f := range r.in.Files {
			o := r.files[f.Path]
			if !isMakefile(f.Path) || len(o.data) > maxFile || !bytes.Contains(o.data, []byte("include")) {
				continue
			}
			for _, st := range o.makeStatements() {
				for _, k := range r.includedBy(o, st) {
					r.makeFamilies[o] = append(r.makeFamilies[o], k)
					r.makeFamilies[k] = append(r.makeFamilies[k], o)
				}
			}
		}
	}
	family := []*source{s}
	for i := 0; i < len(family) && i < maxCalls*maxCalls; i++ {
		for _, k := range r.makeFamilies[family[i]] {
			if !slices.Contains(family, k) {
				family = append(family, k)
			}
		}
	}
	return family[1:]
}

// makeSetting is a line of a Makefile that sets a variable.
type makeSetting struct {
	line     span
	name     string
	value    *chunk
	weak     bool // by ?=, which leaves what the environment holds
	exported bool
	where    makeConditions
}

// makeSettings are the lines of a Makefile that set variables. Each call of make asks
// for them, so they are kept.
func (s *source) makeSettings() []makeSetting {
	if s.settings == nil {
		s.settings = []makeSetting{}
		var asks makeConditions
		s.makeLines(func(at span, line *chunk) {
			asks.line(line.text)
			if strings.IndexByte(line.text, '=') < 0 {
				return
			}
			if m := makeSets.FindStringSubmatchIndex(line.text); m != nil {
				name := line.text[m[2]:m[3]]
				s.settings = append(s.settings, makeSetting{at, name, line.sub(m[1], len(line.text)), line.text[m[4]:m[5]] == "?=" || asks.whetherEmpty(name), strings.Contains(line.text[:m[2]], "export "), slices.Clone(asks)})
			}
		})
	}
	return s.settings
}

// makeConditions are the conditions around a line, of which the variable is known that
// one asks for.
type makeConditions []makeCondition

type makeCondition struct {
	name  string
	empty bool   // the lines count where it has no value
	value string // or that one, where it is compared with it
	other bool   // or any other
}

// makeAsks is a condition that asks whether a variable has a value.
// https://www.gnu.org/software/make/manual/html_node/Conditional-Syntax.html
var makeAsks = regexp.MustCompile(`^ *if(n?)(?:def +([A-Za-z_][A-Za-z0-9_]*)|eq +\( *(?:,? *\$[({](?:strip +\$[({])?([A-Za-z_][A-Za-z0-9_]*)[)}]+ *,?) *\))$`)

// makeCompares is a condition that compares a variable with a value.
var makeCompares = regexp.MustCompile(`^ *(?:else +)?if(n?)eq +(?:\( *\$[({](?:strip +\$[({])?([A-Za-z_][A-Za-z0-9_]*)[)}]+ *, *([\w./-]+) *\)|["']\$[({]([A-Za-z_][A-Za-z0-9_]*)[)}]["'] +["']([\w./-]+)["'])$`)

func (c *makeConditions) line(text string) {
	word, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	last := len(*c) - 1
	switch {
	case word == "ifdef" || word == "ifndef" || word == "ifeq" || word == "ifneq":
		*c = append(*c, makeConditionOf(text))
	case word == "else" && last >= 0 && rest == "" && (*c)[last].value != "":
		(*c)[last].other = !(*c)[last].other
	case word == "else" && last >= 0 && rest == "":
		(*c)[last].empty = !(*c)[last].empty
	case word == "else" && last >= 0:
		(*c)[last] = makeConditionOf(text)
	case word == "endif" && last >= 0:
		*c = (*c)[:last]
	}
}

// makeConditionOf is the condition of a line, without a name where it is no such one.
func makeConditionOf(text string) makeCondition {
	if m := makeAsks.FindStringSubmatch(text); m != nil {
		return makeCondition{name: m[2] + m[3], empty: (m[1] == "n") == (m[2] != "")}
	}
	if m := makeCompares.FindStringSubmatch(text); m != nil {
		return makeCondition{name: m[2] + m[4], value: m[3] + m[5], other: m[1] == "n"}
	}
	return makeCondition{}
}

// countsOut says whether a call of make passes over a line: a variable that its command line
// writes out is compared with another value. Those of the job may have another one at any time.
func (m *makefile) countsOut(where makeConditions) bool {
	return slices.ContainsFunc(where, func(c makeCondition) bool {
		vals := m.given[c.name]
		if c.value == "" || len(vals) != 1 || slices.ContainsFunc(vals[0], func(p piece) bool { return len(p.via) > 0 }) {
			return false
		}
		is, known := vals[0].literal()
		return known && (is == c.value) == c.other
	})
}

// whetherEmpty says that a line counts only where a variable has no value yet.
func (c makeConditions) whetherEmpty(name string) bool {
	return slices.Contains(c, makeCondition{name: name, empty: true})
}

// included is a line that includes other Makefiles.
// https://www.gnu.org/software/make/manual/html_node/Include.html
var included = regexp.MustCompile(`^(?:-|s)?include[ \t]+([^$]+)$`)

// makeHere is the directory in which make runs, and makeBeside that of the Makefile.
// https://www.gnu.org/software/make/manual/html_node/Special-Variables.html
var (
	makeHere   = regexp.MustCompile(`\$[({](?:CURDIR|PWD)[)}]/`)
	makeBeside = regexp.MustCompile(`\$[({]dir \$[({](?:lastword|abspath|realpath|firstword)? *\$[({](?:lastword +\$[({])?MAKEFILE_LIST[)}]+/?`)
)

// besideMakefile is a line whose names of files do not begin with these.
func besideMakefile(s *source, text string) string {
	text = makeHere.ReplaceAllLiteralString(text, "")
	return makeBeside.ReplaceAllLiteralString(text, path.Dir(s.path)+"/")
}

// makeLines gives each line without its comment, and where the whole of it stands.
func (s *source) makeLines(do func(at span, line *chunk)) {
	for start := 0; start < len(s.data); {
		from, end := s.line(start)
		if end <= start {
			return
		}
		start = end
		text := strings.TrimRight(uncommented(string(s.data[from:end])), " \t\r\n")
		if text != "" {
			do(span{s, from, end}, whole(s, from, from+len(text)))
		}
	}
}

// look finds the references of a line. One that a variable holds without a tag
// is looked at where the variable is used.
func (m *makefile) look(line *chunk) {
	r := m.run
	if makeAsks.MatchString(line.text) {
		return
	}
	sets := makeSets.FindStringSubmatch(line.text)
	vals := m.expand(line)
	own := slices.ContainsFunc(vals, r.mentions)
	for _, v := range vals {
		if own && !r.mentions(v) && (hosted(v.String()) || sets != nil && openHost.MatchString(makeSets.ReplaceAllString(v.String(), ""))) {
			r.others = append(r.others, v) // ifdef: the line serves two registries
		}
		for _, ref := range r.references(v) {
			f := ref.f
			if sets != nil && ref.own && makeFunction.MatchString(f.s[ref.end:]) {
				severity := Warning
				if r.makes {
					severity = Blocking
				}
				r.reportAs(severity, "name-unknown", line.span(0, len(line.text)), strings.TrimSuffix(ref.String(), ":latest")+"$(…)")
				continue
			}
			if sets != nil && (ref.host || ref.sep < 0 || ref.colon < 0 && ref.digest < 0 && m.reads(sets[1])) && !(ref.sep < 0 && literalBase(ref) && len(f.via(ref.start)) == 0) {
				continue
			}
			first, last := f.t[f.piece[ref.start]].outer(), f.t[f.piece[ref.end-1]].outer()
			u := &use{ref: ref, at: span{first.src, first.start, last.end}, command: "make", role: unclearRole, document: !r.makes, expands: r.makes}
			if s, ok := f.at(ref.start); ok && len(f.via(ref.start)) == 0 {
				u.at.start = s.start
			}
			if s, ok := f.at(ref.end - 1); ok && len(f.via(ref.end-1)) == 0 {
				u.at.end = s.end
			}
			switch {
			case sets != nil && ref.sep >= 0 && ref.colon < 0 && ref.digest < 0:
				u.bad = "unseen-use"
			case ref.colon >= 0 && ref.tagEnd == ref.colon+1 && (ref.tagEnd >= len(f.s) || f.s[ref.tagEnd] != '$'):
				if ref.sep < 0 && !literalBase(ref) {
					continue // nothing to change
				}
				u.bad = "name-unknown" // a target, perhaps
			case ref.colon < 0 && ref.digest < 0 && imageCommand.MatchString(line.text):
				u.role = imageRole
			}
			r.add(u)
		}
	}
}

// openHost is an image in a registry that a variable of the project's settings names.
var openHost = regexp.MustCompile(`^\$\{[A-Za-z_][A-Za-z0-9_]*\}\S*/`)

// makeFunction is a function behind the project's base: what name it gives is not known.
// https://www.gnu.org/software/make/manual/html_node/Functions.html
var makeFunction = regexp.MustCompile(`^[/-]*\$[({](call|subst|patsubst|addprefix|addsuffix|notdir|dir|basename|suffix|strip|word|wordlist|firstword|lastword|filter|filter-out|sort|if|or|and|foreach) `)

// listFunction is a function of make that puts tags to a name, which are not followed.
var listFunction = regexp.MustCompile(`^(foreach|addprefix|addsuffix|patsubst|subst|call)$`)

// imageCommand is a recipe's line in which a missing tag means latest.
var imageCommand = regexp.MustCompile(`\b(docker|podman|nerdctl) +(push|pull|tag|run|build|image)\b`)

// reads says whether a Makefile reads a variable: this one, or one that includes it; or a file
// does to whose reader it is exported.
func (m *makefile) reads(name string) bool {
	handed := m.run.makes && (m.all || m.hands[name])
	for _, f := range m.run.in.Files {
		if (isMakefile(f.Path) || handed && !prose(f.Path)) && (handed && bytes.Contains(f.Content, []byte("$"+name)) || bytes.Contains(f.Content, []byte("$("+name+")")) || bytes.Contains(f.Content, []byte("${"+name+"}")) || bytes.Contains(f.Content, []byte("$$"+name))) {
			return true
		}
	}
	return false
}

// expand puts the variables in.
func (m *makefile) expand(ch *chunk) []text {
	if strings.IndexByte(ch.text, '$') < 0 {
		return []text{ch.pieces(0, len(ch.text))}
	}
	out, last := []text{{}}, 0
	for _, at := range makeVariable.FindAllStringSubmatchIndex(ch.text, -1) {
		if at[0] < last {
			continue // in a function
		}
		for _, f := range makeStarts.FindAllStringIndex(ch.text[last:at[1]], -1) {
			from := last + f[0]
			vals, end := m.function(ch, from)
			if vals == nil {
				continue
			}
			out = product(out, []text{ch.pieces(last, from)})
			out, last = product(out, vals), end
			break
		}
		if at[0] < last {
			continue
		}
		out = product(out, []text{ch.pieces(last, at[0])})
		last = at[1]
		if at[8] >= 0 && strings.Contains(ch.text[at[0]:at[1]], "CI_REGISTRY") {
			out = product(out, []text{ch.pieces(at[0], at[1])})
			continue
		}
		from, to := max(at[2], at[4], at[6]), max(at[3], at[5], at[7])
		name, vals := unknown, []text(nil)
		if at[8] < 0 {
			name = ch.text[from:to]
			vals = m.lookup(name)
		}
		out = product(out, expanded(vals, name, ch.span(at[0], at[1]), false))
	}
	out = product(out, []text{ch.pieces(last, len(ch.text))})
	for i, v := range out {
		if len(v) > maxPieces {
			if m.run.mentions(v) {
				m.run.report("truncated", ch.span(0, len(ch.text)), "")
			}
			out[i] = v.blot()
		}
	}
	return out
}

// makeStarts is the beginning of a condition among the functions of make.
var makeStarts = regexp.MustCompile(`\$[({](if|or)[ \t]`)

// function is what a condition gives, one of its arguments, and where it ends. It is nil for one
// that gives an image of its own, and without end.
// https://www.gnu.org/software/make/manual/html_node/Conditional-Functions.html
func (m *makefile) function(ch *chunk, from int) (vals []text, end int) {
	name, depth := makeStarts.FindStringSubmatch(ch.text[from:])[1], 0
	at := from + len("$(") + len(name)
	starts := []int{at + 1}
	for i := from; i < len(ch.text) && end == 0; i++ {
		switch ch.text[i] {
		case '(', '{':
			depth++
		case ')', '}':
			if depth--; depth == 0 {
				end = i + 1
			}
		case ',':
			if depth == 1 {
				starts = append(starts, i+1)
			}
		}
	}
	if end == 0 {
		return nil, 0
	}
	for i, start := range starts {
		to := end - 1
		if i+1 < len(starts) {
			to = starts[i+1] - 1
		}
		start += len(ch.text[start:to]) - len(strings.TrimLeft(ch.text[start:to], " \t"))
		if v := m.expand(ch.sub(start, to)); name == "or" || i > 0 {
			vals = union(vals, v)
		}
	}
	if slices.ContainsFunc(vals, m.run.mentions) {
		return nil, 0
	}
	if name == "if" && len(starts) == 2 {
		vals = union(vals, []text{{}})
	}
	for i := range vals {
		vals[i] = vals[i].through(ch.span(from, end), false)
	}
	return vals, end
}

// maxPieces bounds the parts of a line: variables that double one another would
// make it as long as they like.
const maxPieces = 100

// lookup gives the values of a variable: the command line wins over the Makefile, and
// what that sets over the environment, but for ?=.
// https://www.gnu.org/software/make/manual/html_node/Environment.html
func (m *makefile) lookup(name string) []text {
	if v, ok := m.given[name]; ok {
		m.used[name] = true
		return v
	}
	if v, ok := m.cache[name]; ok {
		return v
	}
	if !m.always[name] && m.ask != nil {
		if predefined(name) {
			return nil
		}
		if v, ok := m.ask(name); ok {
			m.cache[name] = v
			return v
		}
	}
	if m.busy[name] || len(m.busy) > maxDepth {
		return nil
	}
	m.busy[name] = true
	var out []text
	for _, set := range m.sets[name] {
		if !m.countsOut(set.where) {
			out = union(out, m.expand(set.value))
		}
	}
	delete(m.busy, name)
	m.cache[name] = out
	return out
}
