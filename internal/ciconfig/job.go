package ciconfig

import (
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// job is a job of the pipeline, extends and default resolved.
type job struct {
	name   string
	tree   *tree              // merged
	own    *tree              // as written under its own key
	chain  []string           // what it extends, nearest first, all generations
	hidden bool               // a template nobody extends, looked at for its references
	gone   []string           // templates that it extends and that cannot be seen
	in     *config            // its pipeline
	may    map[[3]string]bool // see Project.runs
	script []line             // see scriptOf

	ordered *order // see place
}

// reserved are the keys of the top level that are no jobs.
// https://docs.gitlab.com/ci/yaml/#global-keywords
var reserved = map[string]bool{
	"default": true, "include": true, "stages": true, "variables": true, "workflow": true, "spec": true,
	"image": true, "services": true, "cache": true, "before_script": true, "after_script": true, "types": true,
}

// inherited are the keys that a job takes from default.
var inherited = []string{"image", "services", "before_script", "after_script", "cache", "artifacts", "tags", "id_tokens"}

// jobs are the jobs of the configuration in file order, then the templates
// that no job extends.
func (c *config) jobs() []*job {
	if c.root == nil || c.made != nil {
		return c.made
	}
	var out, hidden []*job
	used := map[string]bool{}
	for _, name := range c.root.keys {
		t := c.root.kids[name]
		if reserved[name] || t.kids == nil {
			continue
		}
		j := &job{name: name, own: t, hidden: strings.HasPrefix(name, "."), in: c}
		j.tree = c.extended(t, j, 0)
		if j.hidden {
			hidden = append(hidden, j)
			continue
		}
		for _, x := range j.chain {
			used[x] = true
		}
		j.tree = c.withDefaults(j.tree)
		if rules := j.tree.kid("rules"); rules != nil {
			j.tree.set("rules", c.ruleList(rules))
		}
		out = append(out, j)
	}
	for _, j := range hidden {
		if !used[j.name] {
			out = append(out, j)
		}
	}
	c.made = out
	return out
}

// workflowRules are those of the pipeline.
func (c *config) workflowRules() *tree {
	if !c.ruled {
		c.ruled, c.rules = true, c.ruleList(c.root.kid("workflow").kid("rules"))
	}
	return c.rules
}

// ruleList are rules in one list, with those that they take by !reference or an alias in place
// of it. What is in no file that could be read stays as it is.
func (c *config) ruleList(t *tree) *tree {
	if t == nil || t.kids != nil || !slices.ContainsFunc(items(t.node), func(n *yaml.Node) bool {
		n = deref(n)
		return t.node.Tag == "!reference" || n != nil && n.Kind == yaml.SequenceNode
	}) {
		return t
	}
	list := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Line: t.node.Line, Column: t.node.Column}
	seen := 0
	var walk func(n *yaml.Node, d *document, depth int)
	walk = func(n *yaml.Node, d *document, depth int) {
		n = deref(n)
		if seen++; n == nil || seen > maxRules {
			return
		}
		from := (*tree)(nil)
		if n.Tag == "!reference" && depth < maxDepth {
			from = c.reference(n)
		}
		switch {
		case from != nil:
			walk(from.node, from.doc, depth+1)
		case n.Kind == yaml.SequenceNode && n.Tag != "!reference" && depth < maxDepth:
			for _, x := range n.Content {
				walk(x, d, depth+1)
			}
		default:
			if v := child(n, "variables"); v != nil {
				c.grow(d, v, 0) // which remembers the file
			}
			list.Content = append(list.Content, n)
		}
	}
	walk(t.node, t.doc, 0)
	if seen > maxRules {
		return t
	}
	return c.tree(list, t.doc)
}

// templates are all hidden jobs in file order.
func (c *config) templates() []*job {
	if c.root == nil {
		return nil
	}
	var out []*job
	for _, name := range c.root.keys {
		if t := c.root.kids[name]; strings.HasPrefix(name, ".") && t.kids != nil {
			j := &job{name: name, own: t, hidden: true, in: c}
			j.tree = c.extended(t, j, 0)
			out = append(out, j)
		}
	}
	return out
}

// extended lays a job over what it extends.
func (c *config) extended(t *tree, j *job, depth int) *tree {
	ext := t.kid("extends")
	if ext == nil || depth > 11 { // GitLab allows eleven generations
		return t
	}
	var base *tree
	for _, n := range items(ext.node) {
		n = deref(n)
		if n == nil || n.Kind != yaml.ScalarNode {
			continue
		}
		j.chain = append(j.chain, n.Value)
		parent := c.root.kid(n.Value)
		if parent == nil {
			j.gone = append(j.gone, n.Value)
			continue
		}
		base = merged(base, c.extended(parent, j, depth+1), 0)
	}
	return merged(base, t, 0)
}

// withDefaults adds what default: and the old global keys give every job.
func (c *config) withDefaults(t *tree) *tree {
	out := &tree{node: t.node, doc: t.doc, kids: maps.Clone(t.kids), keys: slices.Clone(t.keys)}
	inherit := t.kid("inherit").kid("default")
	for _, key := range inherited {
		if out.kid(key) != nil {
			continue
		}
		if inherit != nil && !inherits(inherit, key) {
			continue
		}
		if d := c.root.kid("default").kid(key); d != nil {
			out.set(key, d)
		} else if d := c.root.kid(key); d != nil {
			out.set(key, d)
		}
	}
	return out
}

func inherits(t *tree, key string) bool {
	if t.node != nil && t.node.Kind == yaml.ScalarNode {
		return t.node.Value != "false"
	}
	for _, n := range items(t.node) {
		if n != nil && n.Value == key {
			return true
		}
	}
	return false
}

// line is an entry of a script: a scalar and the file that it stands in.
type line struct {
	node *yaml.Node
	doc  *document
	list *yaml.Node // the list that holds it

	several bool // one of the lists that includes give an input
}

// at is where the job's name is written.
func (j *job) at(c *config) span {
	d := j.own.doc
	if k, ok := c.keyLines(d, deref(d.root), j.name); ok {
		s := d.src.offset(k.key.Line, k.key.Column)
		return span{d.src, s, s + len(j.name)}
	}
	return span{d.src, 0, 0}
}

// lines are the entries of a script, nested lists and !reference resolved.
func (c *config) lines(t *tree) []line {
	out, _ := c.entries(t)
	return out
}

// entries are the lines of a script, and apart from them each !reference to something
// that is in no file which could be read.
func (c *config) entries(t *tree) (out []line, unread []*yaml.Node) {
	if t == nil {
		return nil, nil
	}
	budget, several := 5000, false
	var walk func(n *yaml.Node, d *document, list *yaml.Node, depth int)
	walk = func(n *yaml.Node, d *document, list *yaml.Node, depth int) {
		n = deref(n)
		if budget--; n == nil || depth > 12 || budget < 0 {
			return
		}
		switch {
		case n.Tag == "!reference":
			if r := c.reference(n); r != nil {
				walk(r.node, r.doc, nil, depth+1)
			} else {
				unread = append(unread, n)
			}
		case n.Kind == yaml.SequenceNode:
			for _, x := range n.Content {
				walk(x, d, n, depth+1)
			}
		case isNull(n):
		case d.listed(n) != nil:
			lists, was := d.listed(n), several
			several = several || len(lists) > 1
			for _, l := range lists {
				walk(l.node, l.doc, nil, depth+1)
			}
			several = was
		case n.Kind == yaml.ScalarNode, n.Kind == yaml.MappingNode: // a mapping is no text, which is reported
			out = append(out, line{n, d, list, several})
		}
	}
	walk(t.node, t.doc, nil, 0)
	return out, unread
}

// reference finds what !reference [job, key, ...] names.
func (c *config) reference(n *yaml.Node) *tree {
	t := c.root
	for i, k := range n.Content {
		if k = deref(k); k == nil {
			return nil
		}
		next := t.kid(k.Value)
		if next == nil && i == 1 {
			next = c.extended(t, &job{}, 0).kid(k.Value)
		}
		if next == nil {
			return nil
		}
		t = next
	}
	if t == c.root {
		return nil
	}
	return t
}
