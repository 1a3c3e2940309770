package ciconfig

import (
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// definition is a variable's value as a CI file writes it.
type definition struct {
	node *yaml.Node
	doc  *document
	by   *choice
}

// env are the variables that a job sees. Values are found when they are asked
// for, as GitLab does: a variable may name another that is defined later.
type env struct {
	cfg      *config
	defs     map[string][]definition
	settings map[string]string // CI/CD settings, which win over files
	received map[string][]text // handed down by a trigger job, which win over all
	cache    map[string][]text
	busy     map[string]bool
	asked    int
	jobs     []*env            // whose values these are, of an environment of everyone
	assigned map[string][]text // what scripts assign, for everyone
	circular bool              // a variable led back to itself
}

// env are the variables of a job, of the whole pipeline when j is nil. Whoever asks
// again gets the values that are known by then.
func (c *config) env(j *tree) *env {
	if c.envs[j] == nil {
		if c.envs == nil {
			c.envs = map[*tree]*env{}
		}
		c.envs[j] = c.gather(j)
	}
	return c.envs[j]
}

func (c *config) gather(j *tree) *env {
	e := &env{cfg: c, defs: map[string][]definition{}, settings: c.in.Project.Variables, cache: map[string][]text{}, busy: map[string]bool{}}
	e.received = c.received()
	inherit := j.kid("inherit").kid("variables")
	switch {
	case j == nil:
		e.take(c.root.kid("variables"), nil)
		e.rules(c.workflowRules())
		return e
	case inherit == nil && !j.varies():
		e.defs = c.env(nil).defs
		return e
	case inherit == nil:
		e.defs = maps.Clone(c.env(nil).defs)
	case inherit.value() != "false":
		e.defs = maps.Clone(c.env(nil).defs)
		maps.DeleteFunc(e.defs, func(name string, _ []definition) bool { return !inherits(inherit, name) })
	}
	e.take(j.kid("variables"), nil)
	e.rules(j.kid("rules"))
	e.matrix(j.kid("parallel").kid("matrix"))
	return e
}

// varies says whether a job may have variables that the pipeline has not.
func (t *tree) varies() bool {
	return t.kid("variables") != nil || t.kid("rules") != nil || t.kid("parallel") != nil
}

// take sets the variables of a mapping; those of an alternative add to the values so
// far.
func (e *env) take(t *tree, by *choice) {
	if t == nil {
		return
	}
	if t.node != nil && t.node.Tag == "!reference" {
		e.take(e.cfg.reference(t.node), by)
		return
	}
	for _, name := range t.keys {
		v := t.kids[name]
		options := v.kid("options")
		if v.kids != nil {
			if v = v.kid("value"); v == nil {
				continue
			}
		}
		n, d := v.node, v.doc
		if n != nil && n.Tag == "!reference" {
			if r := e.cfg.reference(n); r != nil {
				n, d = r.node, r.doc
			}
		}
		if n == nil || n.Kind != yaml.ScalarNode {
			continue
		}
		if by != nil {
			mine := *by
			mine.name, mine.value = name, n
			e.defs[name] = append(slices.Clip(e.defs[name]), definition{n, d, &mine})
			continue
		}
		if v.doc.only != nil {
			e.defs[name] = append(slices.Clip(e.below(t.kids[name], name)), definition{n, d, &choice{among: v.doc, one: v.doc, name: name, value: n}})
		} else {
			e.defs[name] = []definition{{n, d, nil}}
		}
		if options == nil {
			continue
		}
		for _, o := range items(options.node) { // the value has to be one of them
			if o = deref(o); e.cfg.namesImage(o) {
				e.defs[name] = append(e.defs[name], definition{o, options.doc, &choice{spare: true}})
			}
		}
	}
}

// below are the values that a variable has where the file of one of them is not included.
func (e *env) below(t *tree, name string) []definition {
	under := t.under
	if v := t.kid("value"); under == nil && v != nil {
		under = v.under
	}
	if under == nil {
		return e.defs[name]
	}
	var out []definition
	if under.doc.only != nil {
		out = e.below(under, name)
	}
	if under.kids != nil {
		under = under.kid("value")
	}
	if under == nil || under.node == nil || under.node.Kind != yaml.ScalarNode {
		return out
	}
	return append(slices.Clip(out), definition{under.node, under.doc, nil})
}

// rules adds the values that rules:variables may give. Nothing takes what was there before
// where each rule gives a variable another one.
func (e *env) rules(t *tree) {
	if t == nil {
		return
	}
	base, given := map[string][]definition{}, map[string]int{}
	rules := e.ruleValues(t, base, given)
	for name, n := range given {
		for i, d := range base[name] {
			if n == rules && d.by == nil {
				e.defs[name][i].by = &choice{spare: true}
			}
		}
	}
}

// ruleValues adds them, and counts the rules, and for each variable those that give it one,
// and keeps what was there before.
func (e *env) ruleValues(t *tree, base map[string][]definition, given map[string]int) (rules int) {
	if t == nil {
		return 1 // that are not seen
	}
	for _, n := range items(t.node) {
		if n = deref(n); n == nil {
			continue
		}
		if n.Tag == "!reference" {
			rules += e.ruleValues(e.cfg.reference(n), base, given)
			continue
		}
		if w := child(n, "when"); w != nil && w.Value == "never" {
			continue
		}
		rules++
		if v := child(n, "variables"); v != nil {
			vars := e.cfg.grow(t.doc, v, 0)
			for _, name := range vars.keys {
				if given[name]++; given[name] == 1 {
					base[name] = e.defs[name]
				}
			}
			e.take(vars, &choice{among: t.node, one: n})
		}
	}
	return rules
}

// matrix sets the values of parallel:matrix. A variable that an entry leaves out
// keeps its value there.
func (e *env) matrix(t *tree) {
	if t == nil {
		return
	}
	found := map[string][]definition{}
	entered := map[string]int{}
	rows := 0
	for _, n := range items(t.node) {
		n = deref(n)
		if n != nil && n.Tag == "!reference" {
			if r := e.cfg.reference(n); r != nil {
				e.matrix(r)
			}
			continue
		}
		rows++
		for _, x := range entries(n, 0) {
			name := x.key.Value
			entered[name]++
			for _, v := range items(x.value) {
				if v = deref(v); v != nil && v.Kind == yaml.ScalarNode {
					found[name] = append(found[name], definition{v, t.doc, &choice{among: t.node, one: n, name: name, value: v}})
				}
			}
		}
	}
	for name, list := range found {
		if entered[name] < rows {
			list = append(list, e.defs[name]...)
		}
		e.defs[name] = list
	}
}

// lookup gives the values of a variable. Predefined variables are holes, unless a
// file gives them another value.
// https://docs.gitlab.com/ci/variables/#cicd-variable-precedence
func (e *env) lookup(name string) ([]text, bool) {
	if v, ok := e.cache[name]; ok {
		return v, len(v) > 0
	}
	if predefined(name) && !e.defines(name) {
		return nil, false
	}
	if v, ok := e.received[name]; ok {
		return v, true
	}
	if len(e.jobs) > 0 {
		if v := e.anywhere(name); len(v) > 0 {
			e.cache[name] = v
			return v, true
		}
	}
	if v, ok := e.settings[name]; ok && !predefined(name) {
		t := []text{{piece{text: v}}}
		e.cache[name] = t
		return t, true
	}
	defs, handed := e.defs[name], e.cfg.top().handed[name]
	if len(defs) == 0 {
		return handed, len(handed) > 0
	}
	if e.asked++; e.busy[name] || e.asked > maxLookups {
		e.circular = true
		return nil, false
	}
	if len(e.busy) > maxDepth {
		e.cfg.tooDeep(defs[0])
	}
	if e.cfg.top().deep { // the project is not rewritten
		return nil, false
	}
	e.busy[name] = true
	outer := e.circular
	e.circular = false
	var out []text
	for _, d := range defs {
		ch := e.cfg.scalar(d.doc, d.node)
		if ch == nil {
			continue
		}
		out = union(out, chosen(e.expand(ch, d.doc), d.by))
	}
	if slices.ContainsFunc(out, text.deep) {
		e.cfg.tooDeep(defs[0])
		out = nil
	}
	if predefined(name) && !slices.ContainsFunc(out, text.tells) {
		out = nil // what the settings give it: the registry, as far as anybody knows
	}
	out = union(out, handed)
	delete(e.busy, name)
	if !e.circular || len(e.busy) == 0 {
		e.cache[name] = out // what a circle leaves out depends on where it was entered
	}
	e.circular = e.circular || outer
	return out, len(out) > 0
}

// tooDeep reports, once, variables that name one another in a longer row than anybody
// writes: each of them adds to the way of every character.
func (c *config) tooDeep(d definition) {
	c = c.top()
	if s := d.doc.src; !c.deep {
		c.deep = true
		at := s.offset(d.node.Line, d.node.Column)
		c.problems = append(c.problems, problem{"truncated", span{s, at, min(at+len(d.node.Value), len(s.data))}, "variables that name one another"})
	}
}

// deep says whether a text came through more variables than are followed.
func (t text) deep() bool {
	return slices.ContainsFunc(t, func(p piece) bool { return len(p.via) > maxDepth })
}

// tells says whether anything of the text is known.
func (t text) tells() bool {
	return slices.ContainsFunc(t, func(p piece) bool { return p.text != "" || predefined(p.hole) })
}

// defines says whether a file gives the variable a value.
func (e *env) defines(name string) bool {
	return len(e.defs[name]) > 0 || slices.ContainsFunc(e.jobs, func(one *env) bool { return len(one.defs[name]) > 0 })
}

// maxLookups bounds the variables that are put in for one job.
const maxLookups = 50_000

// predefined says whether the value comes from GitLab or the platform.
func predefined(name string) bool {
	switch name {
	case "CI_REGISTRY_IMAGE", "CI_REGISTRY", "CI_PROJECT_PATH", "CI_PROJECT_NAME", "CI_PROJECT_NAMESPACE", "CI_PROJECT_ROOT_NAMESPACE":
		return true
	}
	return false
}

// expand evaluates a string in which GitLab puts the variables in: $NAME, ${NAME}, $$ for
// a dollar sign, and inputs.
func (e *env) expand(ch *chunk, d *document) []text {
	at := strings.IndexByte(ch.text, '$')
	if at < 0 {
		return ch.value(0, len(ch.text))
	}
	out := strand{make(text, 0, 4)}
	last := 0
	for ; at < len(ch.text); at++ {
		if ch.text[at] != '$' {
			continue
		}
		name, end := putIn(ch.text, at)
		if end == 0 {
			continue
		}
		out = out.with(ch.pieces(last, at))
		s := ch.span(at, end)
		switch {
		case name == "":
			out = out.with(text{{text: "$", at: s}})
		case strings.HasPrefix(name, "inputs."):
			vals := []text(nil)
			if d != nil {
				vals = e.whole(e.inputs(d, name[len("inputs."):]), s)
			}
			out = out.with(expanded(vals, name, s, false)...)
		default:
			vals, _ := e.lookup(name)
			out = out.with(expanded(vals, name, s, false)...)
		}
		last, at = end, end-1
	}
	return out.with(ch.pieces(last, len(ch.text)))
}

// longestInput bounds what an input that is put in is written as, with its functions.
const longestInput = 2000

// putIn reads what begins with the dollar sign at i: the name, "" for $$, and where
// it ends, 0 without one.
func putIn(s string, i int) (name string, end int) {
	from := i + 1
	switch {
	case strings.HasPrefix(s[from:], "$"):
		return "", from + 1
	case strings.HasPrefix(s[from:], "[["):
		if m := interpolation.FindStringSubmatchIndex(s[i:min(len(s), i+longestInput)]); m != nil && m[0] == 0 {
			return "inputs." + s[i+m[2]:i+m[3]], i + m[1]
		}
		return "", 0
	case strings.HasPrefix(s[from:], "{"):
		from++
	}
	end = from
	for end < len(s) && s[end] != gap && wordByte(s[end]) {
		end++
	}
	switch {
	case end == from || s[from] >= '0' && s[from] <= '9':
		return "", 0
	case s[from-1] != '{':
		return s[from:end], end
	case end < len(s) && s[end] == '}':
		return s[from:end], end + 1
	}
	return "", 0
}

// whole are the values of an input that is put in, none where a function cuts them.
// https://docs.gitlab.com/ci/inputs/#specify-functions-to-manipulate-input-values
func (e *env) whole(vals []text, at span) []text {
	if !strings.Contains(at.text(), "truncate") {
		return vals
	}
	for _, v := range vals {
		if s := v.String(); strings.Contains(s, "CI_REGISTRY") || strings.Contains(s, e.cfg.in.Project.OldHost) {
			e.cfg.top().problems = append(e.cfg.top().problems, problem{"string-operation", at, s})
		}
	}
	return nil
}

// inputs are the values of an input, themselves expanded.
func (e *env) inputs(d *document, name string) []text {
	var out []text
	for _, g := range d.inputs[name] {
		raw := g.value
		if len(raw) == 0 {
			out = append(out, raw)
			continue
		}
		src := raw[0].at.src
		ch := &chunk{src: src}
		var b []byte
		for _, p := range raw {
			ch.add(&b, p.text, p.at.start, p.at.end)
		}
		ch.text = string(b)
		out = append(out, chosen(e.expand(ch, nil), g.by)...)
	}
	return out
}

// expanded is what an expansion at a place gives: the values, or a hole.
func expanded(vals []text, name string, at span, split bool) []text {
	if at.src != nil {
		at.src.mark(at.start, vals)
	}
	if len(vals) == 0 {
		return lone(piece{hole: name, at: at, split: split})
	}
	if len(vals) == 1 && len(vals[0]) == 1 { // as nearly always
		p := vals[0][0]
		p.via, p.split, p.single = append([]span{at}, p.via...), split, false
		return lone(p)
	}
	out := make([]text, len(vals))
	for i, v := range vals {
		out[i] = v.through(at, split)
	}
	return out
}

// scalar is the decoded scalar of a document.
func (c *config) scalar(d *document, n *yaml.Node) *chunk {
	ch := d.src.scalar(n)
	if ch == nil && !c.unplaced[n] && (strings.Contains(n.Value, "$") || strings.Contains(n.Value, c.in.Project.OldHost)) {
		c.unplaced[n] = true
		at := d.src.offset(n.Line, n.Column)
		c.top().problems = append(c.top().problems, problem{"position-unknown", span{d.src, at, at}, ""})
	}
	return ch
}

func sortedKeys[K ~string, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
