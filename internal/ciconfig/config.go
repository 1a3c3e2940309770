package ciconfig

import (
	"fmt"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"
)

// tree is a node of the merged configuration. A mapping may come from several
// files; scalars and lists keep the node that they were written as.
type tree struct {
	node *yaml.Node
	doc  *document
	keys []string
	kids map[string]*tree // nil unless a mapping

	under *tree // what holds where the file of this one is not included
}

// document is a CI file.
type document struct {
	src    *source
	docs   []*yaml.Node
	root   *yaml.Node
	spec   *yaml.Node
	inputs map[string][]given
	lists  map[string][]line // those that are lists, as includes write them

	only *yaml.Node // the include whose rules leave it out of some pipelines
}

// given is a value that an include gives to a file.
type given struct {
	value text
	by    *choice
}

// kid is what a key has, nil also where it says null: GitLab takes that for nothing.
// https://gitlab.com/gitlab-org/gitlab/-/blob/master/lib/gitlab/config/entry/factory.rb
func (t *tree) kid(key string) *tree {
	if t == nil {
		return nil
	}
	if k := t.kids[key]; k != nil && (k.node == nil || !isNull(k.node)) {
		return k
	}
	return nil
}

func (t *tree) value() string {
	if t == nil || t.node == nil {
		return ""
	}
	return t.node.Value
}

func (t *tree) set(key string, k *tree) {
	if _, ok := t.kids[key]; !ok {
		t.keys = append(t.keys, key)
	}
	t.kids[key] = k
}

// grow makes the tree of a node. Nodes behind an alias are shared, so an alias
// bomb costs no more than its text.
func (c *config) grow(d *document, n *yaml.Node, depth int) *tree {
	n = deref(n)
	if n == nil {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return c.tree(n, d)
	}
	if t, ok := c.grown[n]; ok {
		return t
	}
	t := c.tree(n, d)
	c.grown[n] = t
	if depth < maxDepth {
		list := entries(n, 0)
		t.kids, t.keys = make(map[string]*tree, len(list)), make([]string, 0, len(list))
		for _, e := range list {
			if k := c.grow(d, e.value, depth+1); k != nil {
				t.set(e.key.Value, k)
			}
		}
	}
	return t
}

// tree is a new tree without anything below it.
func (c *config) tree(n *yaml.Node, d *document) *tree {
	if len(c.room) == 0 {
		c.room = make([]tree, 64)
	}
	t := &c.room[0]
	c.room = c.room[1:]
	t.node, t.doc = n, d
	return t
}

// stack is a tree that others are laid over, one after the other.
type stack struct {
	tree *tree
	own  bool // nobody else has the tree
}

// lay lays a tree over those below.
func (s *stack) lay(over *tree) {
	switch under := s.tree; {
	case over == nil:
	case under == nil || under.kids == nil || over.kids == nil || !s.own:
		s.own = under != nil && under.kids != nil && over.kids != nil
		s.tree = merged(under, over, 0)
	default:
		under.node, under.doc = over.node, over.doc
		for _, k := range over.keys {
			under.set(k, merged(under.kids[k], over.kids[k], 1))
		}
	}
}

// merged lays one tree over another: mappings are merged, all else replaced.
func merged(under, over *tree, depth int) *tree {
	if under == nil || under.kids == nil || over == nil || over.kids == nil || depth > maxDepth {
		switch {
		case over == nil:
			return under
		case under != nil && over.doc != nil && over.doc.only != nil && over.doc.only != under.doc.only:
			both := *over
			both.under = under
			return &both
		}
		return over
	}
	most := len(under.kids) + len(over.kids)
	out := &tree{node: over.node, doc: over.doc, kids: make(map[string]*tree, most), keys: make([]string, len(under.keys), most)}
	copy(out.keys, under.keys)
	maps.Copy(out.kids, under.kids)
	for _, k := range over.keys {
		out.set(k, merged(under.kids[k], over.kids[k], depth+1))
	}
	return out
}

// config is the effective configuration: the root file and all it includes.
type config struct {
	in       *Input
	files    map[string]*source
	root     *tree
	docs     []*document
	byPath   map[string]*document
	grown    map[*yaml.Node]*tree // of mappings
	room     []tree               // for the next ones
	unplaced map[*yaml.Node]bool  // scalars whose bytes were not found
	borrowed *borrowings          // see borrowings
	missing  []Include
	unread   map[string]string // extends or include that cannot be seen -> why
	problems []problem
	active   map[string]bool // includes being read, against cycles
	only     *yaml.Node      // the include of what is read now, where only some pipelines have it
	count    int

	parent    *config           // the pipeline that started this one, nil for the first
	trigger   *job              // the job that did
	kids      []*config         // the pipelines that its jobs start
	given     *yaml.Node        // trigger:inputs
	entry     string            // the first file of a child pipeline
	unseen    bool              // its configuration, or a part of it, is not there
	passed    map[string][]text // see received
	made      []*job            // see jobs
	asked     map[string]bool   // see wantedNames
	rules     *tree             // see workflowRules
	ruled     bool
	released  answer            // see releases
	scheduled answer            // see schedules
	stages    map[string]int    // see stageRow
	dotenvs   map[string]bool   // see reported
	handed    map[string][]text // variables out of dotenv reports, of the topmost pipeline
	handedBy  map[string][]*job // and the jobs that write them
	readFiles []string          // files that substitutions in scripts read, see findReadFiles
	writers   []string          // scripts of the repository that write one
	envs      map[*tree]*env    // see env
	deep      bool              // see tooDeep
}

type problem struct {
	code   Code
	at     span
	detail string
}

// load reads the root file and follows its includes.
func load(in *Input, files map[string]*source) *config {
	c := &config{in: in, files: files, byPath: map[string]*document{}, grown: map[*yaml.Node]*tree{}, unplaced: map[*yaml.Node]bool{}, active: map[string]bool{}, unread: map[string]string{}}
	root := in.Project.ciPath()
	if s := files[root]; s != nil {
		c.root = c.read(s, nil, nil)
	}
	c.children()
	return c
}

// read parses a CI file and returns its merged tree, includes underneath.
func (c *config) read(src *source, with *yaml.Node, from *document) *tree {
	if c.active[src.path] || c.count > maxIncludes {
		return nil // GitLab refuses such a file; what is known so far is enough here
	}
	c.count++
	d := c.byPath[src.path]
	if d == nil {
		if c.entry == "" {
			c.entry = src.path
		}
		d = &document{src: src, inputs: map[string][]given{}, lists: map[string][]line{}, only: c.only}
		known := c.elsewhere(src.path)
		if known != nil {
			d.docs = known.docs
		} else {
			var err error
			d.docs, err = src.documents()
			if err != nil {
				c.top().problems = append(c.top().problems, problem{"yaml-invalid", span{src, 0, 0}, err.Error()})
			}
		}
		c.byPath[src.path] = d
		c.docs = append(c.docs, d)
		if len(d.docs) > 0 {
			d.root = d.docs[len(d.docs)-1]
		}
		if len(d.docs) > 1 {
			d.spec = child(d.docs[0], "spec")
		}
		if known == nil {
			c.duplicates(d)
		}
	}
	if d.only != c.only {
		d.only = nil // two include it
	}
	if d.root == nil || deref(d.root).Kind != yaml.MappingNode {
		return nil
	}
	c.fill(d, with, from)
	c.active[src.path] = true
	defer delete(c.active, src.path)
	var all stack
	self := c.grow(d, d.root, 0)
	for _, inc := range items(child(d.root, "include")) {
		all.lay(c.include(d, deref(inc)))
	}
	all.lay(self)
	return all.tree
}

// fill records the values that an include gives to a file's inputs. A default that
// it overrides, and other options, have to keep the form of the value.
func (c *config) fill(d *document, with *yaml.Node, from *document) {
	for _, e := range entries(child(d.spec, "inputs"), 0) {
		name, count := e.key.Value, 0
		var put func(n *yaml.Node, owner *document, by choice)
		put = func(n *yaml.Node, owner *document, by choice) {
			if n = deref(n); n == nil || owner == nil {
				return
			}
			if n.Kind == yaml.SequenceNode { // of which a matrix makes a job for each
				d.lists[name] = append(d.lists[name], line{node: n, doc: owner})
				for _, x := range n.Content {
					if x = deref(x); x != nil && x.Kind == yaml.ScalarNode {
						put(x, owner, by)
					}
				}
			}
			if count++; n.Kind != yaml.ScalarNode || count > 2*most { // of so many none is followed
				return
			}
			by.among, by.name, by.value = d.spec, name, n
			if ch := owner.src.scalar(n); ch != nil {
				v := ch.pieces(0, len(ch.text))
				if !slices.ContainsFunc(d.inputs[name], func(g given) bool { return g.by.one == by.one && g.value.same(v) }) {
					d.inputs[name] = append(d.inputs[name], given{v, &by})
				}
			}
		}
		value, standard := child(with, name), child(e.value, "default")
		if value != nil {
			put(value, from, choice{one: with})
		} else {
			put(standard, d, choice{one: with})
		}
		for _, n := range append(slices.Clone(items(child(e.value, "options"))), standard) {
			if n = deref(n); c.namesImage(n) && (value != nil || n != standard) {
				put(n, d, choice{spare: true})
			}
		}
	}
}

// duplicates notes keys that occur twice: YAML forbids it, GitLab takes the last.
func (c *config) duplicates(d *document) {
	count := 0
	var walk func(n *yaml.Node, depth int)
	walk = func(n *yaml.Node, depth int) {
		count++
		if n == nil || depth > maxDepth || count > maxNodes {
			return
		}
		if n.Kind == yaml.MappingNode {
			seen := map[string]bool{}
			for i := 0; i+1 < len(n.Content); i += 2 {
				k := n.Content[i]
				if k.Kind == yaml.ScalarNode && k.Value != "<<" && seen[k.Value] {
					at := d.src.offset(k.Line, k.Column)
					c.top().problems = append(c.top().problems, problem{"duplicate-key", span{d.src, at, min(at+len(k.Value), len(d.src.data))}, fmt.Sprintf("%q", k.Value)})
				}
				seen[k.Value] = true
			}
		}
		for _, x := range n.Content {
			walk(x, depth+1)
		}
	}
	for _, n := range d.docs {
		walk(n, 0)
	}
}
