package ciconfig

import (
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A job with trigger:include starts a pipeline of its own. Its configuration is
// evaluated like the first one's, with the variables that the trigger job hands
// down, and all uses are judged together.
// https://docs.gitlab.com/ci/pipelines/downstream_pipelines/

// maxGenerations is how many pipelines GitLab starts below one another, and
// maxChildren bounds the pipelines of a rewrite.
const (
	maxGenerations = 2
	maxChildren    = 200
)

// children loads the pipelines that the jobs of this one start.
func (c *config) children() {
	for _, j := range c.jobs() {
		inc := j.tree.kid("trigger").kid("include")
		if t := j.tree.kid("trigger"); j.hidden || inc == nil || t.kid("project") != nil {
			continue
		}
		generation := 1
		for p := c; p.trigger != nil; p = p.parent {
			generation++
		}
		at := j.at(c)
		if n := deref(inc.node); n != nil {
			o := inc.doc.src.offset(n.Line, n.Column)
			_, end := inc.doc.src.line(o)
			at = span{inc.doc.src, o, max(o, end-len(inc.doc.src.eol()))}
		}
		switch {
		case generation > maxGenerations && !c.in.Project.runs(j):
			continue // a file that starts itself, held by a rule
		case generation > maxGenerations:
			c.top().problems = append(c.top().problems, problem{"child-unseen", at, "GitLab starts no third generation of child pipelines"})
			continue
		case len(c.top().pipelines()) > maxChildren:
			c.top().problems = append(c.top().problems, problem{"child-unseen", at, "the project has too many child pipelines"})
			continue
		}
		for _, list := range c.childIncludes(j, inc) {
			c.startChild(j, inc, at, list)
		}
	}
}

// startChild reads the configuration of one pipeline that a job starts.
func (c *config) startChild(j *job, inc *tree, at span, list []*yaml.Node) {
	k := c.child(j)
	c.kids = append(c.kids, k)
	for _, n := range list {
		if child(n, "artifact") != nil {
			c.top().problems = append(c.top().problems, problem{"child-unseen", at, "it comes out of the job " + value(child(n, "job"))})
			k.unseen = true
			continue
		}
		k.given = child(deref(j.tree.kid("trigger").node), "inputs")
		k.root = merged(k.root, k.include(inc.doc, n), 0)
	}
	if k.root == nil {
		if !k.unseen && !allOfGitLab(inc.node) {
			c.top().problems = append(c.top().problems, problem{"child-unseen", at, "its configuration is not there"})
		}
		k.unseen = true
		return
	}
	k.children()
}

// childIncludes are the files of each pipeline that a trigger job starts: a matrix may have
// a variable for the folder of each.
func (c *config) childIncludes(j *job, inc *tree) [][]*yaml.Node {
	out := [][]*yaml.Node{nil}
	for _, n := range items(inc.node) {
		if n = deref(n); n == nil {
			continue
		}
		var longer [][]*yaml.Node
		for _, one := range c.filesOfInclude(j, inc.doc, n) {
			for _, list := range out {
				longer = append(longer, append(slices.Clip(list), one))
			}
		}
		out = longer
	}
	return out
}

// filesOfInclude are an include of a trigger job with the values of its variables in the path.
func (c *config) filesOfInclude(j *job, d *document, n *yaml.Node) (out []*yaml.Node) {
	file := n
	if n.Kind == yaml.MappingNode {
		file = deref(child(n, "local"))
	}
	if file == nil || !strings.Contains(c.expand(file.Value), "$") {
		return []*yaml.Node{n}
	}
	e, ch := c.env(j.tree), c.scalar(d, file)
	if ch == nil {
		return []*yaml.Node{n}
	}
	for _, v := range e.expand(ch, d) {
		name, known := v.literal()
		if !known || c.files[path.Clean(strings.TrimPrefix(name, "/"))] == nil {
			return []*yaml.Node{n}
		}
		one := *file
		one.Value = name
		if n == file {
			out = append(out, &one)
			continue
		}
		whole := *n
		whole.Content = slices.Clone(n.Content)
		for i := 1; i < len(whole.Content); i += 2 {
			if whole.Content[i-1].Value == "local" {
				whole.Content[i] = &one
			}
		}
		out = append(out, &whole)
	}
	return out
}

// allOfGitLab says whether a list of includes is of GitLab's own templates, other than those
// that name the image themselves: what they run has nothing to do with the project's images.
func allOfGitLab(n *yaml.Node) bool {
	return !slices.ContainsFunc(items(n), func(n *yaml.Node) bool {
		n = deref(n)
		if n == nil || n.Kind != yaml.MappingNode || child(n, "template") == nil {
			return true
		}
		name := value(child(n, "template"))
		return autoTemplate.MatchString(name) || scanTemplate.MatchString(name)
	})
}

func value(n *yaml.Node) string {
	if n == nil {
		return ""
	}
	return n.Value
}

// child is an empty pipeline below this one. It shares what the files say, not
// what their templates and inputs mean.
func (c *config) child(j *job) *config {
	return &config{in: c.in, files: c.files, byPath: map[string]*document{}, grown: map[*yaml.Node]*tree{}, unplaced: c.unplaced,
		active: map[string]bool{}, unread: c.unread, parent: c, trigger: j}
}

// top is the pipeline that all others come from.
func (c *config) top() *config {
	for c.parent != nil {
		c = c.parent
	}
	return c
}

// pipelines are this one and all below it.
func (c *config) pipelines() []*config {
	out := []*config{c}
	for _, k := range c.kids {
		out = append(out, k.pipelines()...)
	}
	return out
}

// received are the variables that the trigger job hands down. In this pipeline
// they win over everything that the files and the settings say.
// https://docs.gitlab.com/ci/yaml/#triggerforward
func (c *config) received() map[string][]text {
	if c.trigger == nil || c.passed != nil {
		return c.passed
	}
	c.passed = map[string][]text{}
	forward := c.trigger.tree.kid("trigger").kid("forward")
	if forward.kid("yaml_variables").value() != "false" {
		e := c.parent.env(c.trigger.tree)
		for name := range e.defs {
			if vals := e.defined(name); len(vals) > 0 && !predefined(name) {
				c.passed[name] = upstream(vals)
			}
		}
	}
	if forward.kid("pipeline_variables").value() == "true" {
		maps.Copy(c.passed, c.parent.received())
	}
	return c.passed
}

// upstream marks what the pipeline above has put in: its ID is not the child's.
func upstream(vals []text) []text {
	out := make([]text, len(vals))
	for i, v := range vals {
		out[i] = slices.Clone(v)
		for k, p := range v {
			if strings.HasPrefix(p.hole, "CI_PIPELINE_") || strings.HasPrefix(p.hole, "CI_JOB_") {
				out[i][k].hole = "PARENT_" + p.hole
			}
		}
	}
	return out
}

// defined are the values that the files give a variable, whatever wins over
// them in the pipeline itself.
func (e *env) defined(name string) []text {
	if _, ok := e.received[name]; !ok {
		if _, ok := e.settings[name]; !ok {
			vals, _ := e.lookup(name)
			return vals
		}
	}
	var out []text
	for _, d := range e.defs[name] {
		if ch := e.cfg.scalar(d.doc, d.node); ch != nil {
			out = union(out, e.expand(ch, d.doc))
		}
	}
	return out
}

// each does something for every pipeline, with the run looking at it.
func (r *run) each(f func()) {
	first := r.cfg
	defer func() { r.cfg = first }()
	for _, c := range first.pipelines() {
		r.cfg = c
		f()
	}
}

// followed says whether a trigger job starts a child pipeline that was read.
func (c *config) followed(j *job) bool {
	return slices.ContainsFunc(c.kids, func(k *config) bool { return k.trigger == j && !k.unseen })
}

// extendedAnywhere are the templates that a job of any pipeline extends. One
// that only another pipeline uses says nothing by itself.
func (c *config) extendedAnywhere() map[*yaml.Node]bool {
	out := map[*yaml.Node]bool{}
	for _, p := range c.pipelines() {
		for _, j := range p.jobs() {
			for _, name := range j.chain {
				if t := p.root.kid(name); t != nil && !j.hidden {
					out[t.node] = true
				}
			}
		}
	}
	return out
}

// startedBy are the trigger jobs above a job, nearest first.
func (j *job) startedBy() []*job {
	var out []*job
	for c := j.in; c != nil && c.trigger != nil; c = c.parent {
		out = append(out, c.trigger)
	}
	return out
}

// jobImagesOfAll rewrites the jobs in own images of every pipeline. A file that
// several pipelines read has to become the same for all of them.
func (r *run) jobImagesOfAll() []change {
	var all []change
	var lists [][]change
	var readers []*config
	r.each(func() {
		list := r.jobImages()
		lists, readers = append(lists, list), append(readers, r.cfg)
		all = append(all, list...)
	})
	for i, a := range readers {
		for k, b := range readers[:i] {
			for p := range a.byPath {
				if b.byPath[p] == nil || sameIn(p, lists[i], lists[k]) {
					continue
				}
				r.report("job-image", span{a.byPath[p].src, 0, 0}, "two pipelines read this file, and would need it in different forms")
				return nil
			}
		}
	}
	return distinct(all)
}

// sameIn says whether two lists of changes do the same to a file.
func sameIn(p string, a, b []change) bool {
	in := func(list []change) map[change]bool {
		out := map[change]bool{}
		for _, c := range list {
			if c.path() == p && !strings.Contains(c.with, "asm/gitlab-ci-helpers") {
				out[c] = true
			}
		}
		return out
	}
	return maps.Equal(in(a), in(b))
}

// elsewhere is the file as another pipeline has read it.
func (c *config) elsewhere(path string) *document {
	for _, p := range c.top().pipelines() {
		if d := p.byPath[path]; d != nil {
			return d
		}
	}
	return nil
}

// carries says whether a tag means the same to a use as to the push that it was
// taken from: each child pipeline has an ID of its own, and each job.
func (r *run) carries(tag string, push, u *use) bool {
	jobs := append(append([]*job{push.job, u.job}, push.also...), u.also...)
	switch {
	case strings.Contains(tag, "CI_JOB_"), strings.Contains(tag, "CI_BUILD_ID"):
		return !slices.ContainsFunc(jobs, func(j *job) bool { return j == nil || j != jobs[0] })
	case strings.Contains(tag, "CI_PIPELINE_"), strings.Contains(tag, "CI_REGISTRY_TAG"):
		return len(r.cfg.kids) == 0 || !slices.ContainsFunc(jobs, func(j *job) bool { return j == nil || jobs[0] == nil || j.in != jobs[0].in })
	}
	return true
}
