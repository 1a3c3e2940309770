package ciconfig

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// definition is a variable's value as a CI file writes it.
type definition struct {
	node *yaml.Node
	doc  *document
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
		e.take(c.root.kid("variables"), false)
		e.rules(c.root.kid("workflow").kid("rules"))
		return e
	case inherit == nil:
		e.defs = maps.Clone(c.env(nil).defs)
	case inherit.value() != "false":
		e.defs = maps.Clone(c.env(nil).defs)
		maps.DeleteFunc(e.defs, func(name string, _ []definition) bool { return !inherits(inherit, name) })
	}
	e.take(j.kid("variables"), false)
	e.rules(j.kid("rules"))
	e.matrix(j.kid("parallel").kid("matrix"))
	return e
}

// take sets the variables of a mapping; more adds to the values so far.
func (e *env) take(t *tree, more bool) {
	if t == nil {
		return
	}
	if t.node != nil && t.node.Tag == "!reference" {
		e.take(e.cfg.reference(t.node), more)
		return
	}
	for _, name := range t.keys {
		v := t.kids[name]
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
		if more {
			e.defs[name] = append(e.defs[name][:len(e.defs[name]):len(e.defs[name])], definition{n, d})
		} else {
			e.defs[name] = []definition{{n, d}}
		}
	}
}

// rules adds the values that rules:variables may give.
func (e *env) rules(t *tree) {
	if t == nil {
		return
	}
	for _, n := range items(t.node) {
		if n = deref(n); n == nil {
			continue
		}
		if n.Tag == "!reference" {
			e.rules(e.cfg.reference(n))
			continue
		}
		if v := child(n, "variables"); v != nil {
			e.take(e.cfg.grow(t.doc, v, 0), true)
		}
	}
}

// matrix sets the values of parallel:matrix.
func (e *env) matrix(t *tree) {
	if t == nil {
		return
	}
	found := map[string][]definition{}
	doc := t.doc
	for _, n := range items(t.node) {
		n = deref(n)
		if n != nil && n.Tag == "!reference" {
			if r := e.cfg.reference(n); r != nil {
				e.matrix(r)
			}
			continue
		}
		for _, x := range entries(n, 0) {
			for _, v := range items(x.value) {
				if v = deref(v); v != nil && v.Kind == yaml.ScalarNode {
					found[x.key.Value] = append(found[x.key.Value], definition{v, doc})
				}
			}
		}
	}
	for k, v := range found {
		e.defs[k] = v
	}
}

// lookup gives the values of a variable. Predefined variables are holes.
func (e *env) lookup(name string) ([]text, bool) {
	if v, ok := e.cache[name]; ok {
		return v, len(v) > 0
	}
	if predefined(name) {
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
	if v, ok := e.settings[name]; ok {
		t := []text{{piece{text: v}}}
		e.cache[name] = t
		return t, true
	}
	defs := e.defs[name]
	if len(defs) == 0 {
		return nil, false
	}
	if e.asked++; e.busy[name] || e.asked > maxLookups {
		e.circular = true
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
		out = union(out, e.expand(ch, d.doc))
	}
	delete(e.busy, name)
	if !e.circular || len(e.busy) == 0 {
		e.cache[name] = out // what a circle leaves out depends on where it was entered
	}
	e.circular = e.circular || outer
	return out, len(out) > 0
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

var variable = regexp.MustCompile(`\$\$|\$([A-Za-z_][A-Za-z0-9_]*)|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\[\[\s*inputs\.([A-Za-z0-9_.-]+)[^\]]*\]\]`)

// expand evaluates a string in which GitLab puts the variables in.
func (e *env) expand(ch *chunk, d *document) []text {
	if strings.IndexByte(ch.text, '$') < 0 {
		return []text{ch.pieces(0, len(ch.text))}
	}
	out := strand{{}}
	last := 0
	for _, m := range variable.FindAllStringSubmatchIndex(ch.text, -1) {
		out = out.with(ch.pieces(last, m[0]))
		last = m[1]
		at := ch.span(m[0], m[1])
		switch {
		case m[6] >= 0:
			name := ch.text[m[6]:m[7]]
			vals := []text(nil)
			if d != nil {
				vals = e.inputs(d, name)
			}
			out = out.with(expanded(vals, "inputs."+name, at, false)...)
		case m[2] < 0 && m[4] < 0:
			out = out.with(text{{text: "$", at: at}})
		default:
			name := ch.text[max(m[2], m[4]):max(m[3], m[5])]
			vals, _ := e.lookup(name)
			out = out.with(expanded(vals, name, at, false)...)
		}
	}
	return out.with(ch.pieces(last, len(ch.text)))
}

// inputs are the values of an input, themselves expanded.
func (e *env) inputs(d *document, name string) []text {
	var out []text
	for _, raw := range d.inputs[name] {
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
		out = append(out, e.expand(ch, nil)...)
	}
	return out
}

// expanded is what an expansion at a place gives: the values, or a hole.
func expanded(vals []text, name string, at span, split bool) []text {
	if at.src != nil {
		at.src.mark(at.start)
	}
	if len(vals) == 0 {
		return []text{{piece{hole: name, at: at, split: split}}}
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
