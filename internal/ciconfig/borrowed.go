package ciconfig

import (
	"slices"

	"go.yaml.in/yaml/v3"
)

// A job may take a part of another: by an anchor there, by !reference, by a merge key or by
// extends. What is taken out of a job, or put into a container, would be so for both.

// borrowing is a place that takes a part of a job.
type borrowing struct {
	src    *source
	at     int
	anchor int    // where that part stands, in the same file
	key    string // of the job that !reference names, "" for all of it
}

// borrowings are those of a pipeline: by the file with the anchor, and by the job's name.
type borrowings struct {
	anchors map[*source][]borrowing
	names   map[string][]borrowing
}

func (c *config) borrowings() *borrowings {
	if c.borrowed == nil {
		c.borrowed = &borrowings{map[*source][]borrowing{}, map[string][]borrowing{}}
		for _, d := range c.docs {
			c.borrowed.in(d.src, d.root, 0)
		}
	}
	return c.borrowed
}

// in looks through a file.
func (b *borrowings) in(s *source, n *yaml.Node, depth int) {
	if n == nil || depth > maxDepth {
		return
	}
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		b.anchors[s] = append(b.anchors[s], borrowing{src: s, at: s.offset(n.Line, n.Column), anchor: s.offset(n.Alias.Line, n.Alias.Column)})
		return
	}
	if n.Tag == "!reference" && len(n.Content) > 0 {
		x := borrowing{src: s, at: s.offset(n.Line, n.Column)}
		if len(n.Content) > 1 {
			x.key = n.Content[1].Value
		}
		b.names[n.Content[0].Value] = append(b.names[n.Content[0].Value], x)
	}
	for _, k := range n.Content {
		b.in(s, k, depth+1)
	}
}

// takenElsewhere says whether something outside of a job's lines takes a part of it.
func (r *run) takenElsewhere(name string, lines span) bool {
	within := func(at int) bool { return lines.start <= at && at < lines.end }
	return slices.ContainsFunc(r.cfg.pipelines(), func(c *config) bool {
		b := c.borrowings()
		return slices.ContainsFunc(b.names[name], func(x borrowing) bool { return x.src != lines.src || !within(x.at) }) ||
			slices.ContainsFunc(b.anchors[lines.src], func(x borrowing) bool { return within(x.anchor) && !within(x.at) })
	})
}

// lenders says of jobs that start a container now what takes a part of them and stays as it
// is: it would get the commands for docker, too.
func (r *run) lenders(sites []*site) func(s *site) string {
	in := map[string]bool{}
	var changed []change
	for _, s := range sites {
		in[s.job.name] = true
		for _, u := range s.users {
			in[u.name] = true
		}
		for _, lines := range r.said(s.job) {
			changed = append(changed, change{span: lines})
		}
	}
	children, readers := map[string]*job{}, map[*yaml.Node]*job{}
	for _, j := range r.cfg.jobs() {
		if j.hidden || in[j.name] || j.own.node == nil {
			continue
		}
		for _, k := range []string{"before_script", "script", "after_script"} {
			if t := j.tree.kid(k); t != nil && t.node != nil {
				readers[deref(t.node)] = j
			}
		}
		if has(j.own.node, "before_script") && has(j.own.node, "script") {
			continue
		}
		for _, name := range j.chain {
			children[name] = j
		}
		for i := 0; j.own.node.Kind == yaml.MappingNode && i+1 < len(j.own.node.Content); i += 2 {
			if merges(j.own.node.Content[i]) {
				for _, n := range items(j.own.node.Content[i+1]) {
					readers[deref(n)] = j // it would extend .docker, too
				}
			}
		}
	}
	all, there := r.cfg.borrowings(), covering(changed)
	return func(s *site) string {
		const what = " takes a part of it and stays as it is"
		for _, j := range []*job{children[s.job.name], readers[s.job.own.node]} {
			if j != nil {
				return j.name + what
			}
		}
		lines := r.said(s.job)
		for _, k := range decisive {
			at, ok := lines[k]
			if !ok {
				continue
			}
			if t := s.job.own.kids[k]; t != nil && readers[deref(t.node)] != nil {
				return readers[deref(t.node)].name + what
			}
			for _, x := range all.anchors[at.src] {
				if at.start <= x.anchor && x.anchor < at.end && !there.covers(span{x.src, x.at, x.at + 1}) {
					return "an anchor in its " + k + ": is used elsewhere"
				}
			}
		}
		for _, x := range all.names[s.job.name] {
			if (x.key == "" || lines[x.key].src != nil) && !there.covers(span{x.src, x.at, x.at + 1}) {
				return "!reference" + what
			}
		}
		return ""
	}
}

// said are the lines in which a job says something itself of its image and its scripts.
func (r *run) said(j *job) map[string]span {
	out := map[string]span{}
	if j.own.doc == nil || j.own.node == nil {
		return out
	}
	for _, k := range decisive {
		if l, ok := r.cfg.keyLines(j.own.doc, j.own.node, k); ok {
			out[k] = l.lines
		}
	}
	return out
}
