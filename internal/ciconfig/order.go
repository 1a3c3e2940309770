package ciconfig

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The jobs of a pipeline run stage by stage, and those with needs as soon as the jobs that
// they name are over. A tag of the build, other than one that moves, is not there for who
// comes before the job that pushes it.

// order is what is over when a job starts.
type order struct {
	stage int           // all jobs of the stages before this one
	over  map[*job]bool // and these
	open  bool          // or it cannot be told
}

// follows says whether a job starts when another is over, as far as the files tell. Jobs of
// child pipelines have the places of those that start them.
func (j *job) follows(other *job) bool {
	if j == nil || other == nil || j == other {
		return true
	}
	for a, b := j.below(), other.below(); j.in != other.in; {
		if a >= b && a > 0 {
			j, a = j.in.trigger, a-1
		} else if b > 0 {
			other, b = other.in.trigger, b-1
		}
		if a+b == 0 && j.in != other.in || j == nil || other == nil || j == other {
			return true
		}
	}
	if j.tree.kid("stage") == nil && other.tree.kid("stage") == nil && j.tree.kid("needs") == nil {
		return true // nobody has thought of an order: the file is a sketch, or leaves it to chance
	}
	o := j.place(0)
	stage, known := other.stage()
	return o.open || !known || stage < o.stage || o.over[other]
}

// below is how many pipelines are above that of a job.
func (j *job) below() (n int) {
	if j.in == nil {
		return 0
	}
	for c := j.in; c.parent != nil; c = c.parent {
		n++
	}
	return n
}

// place is what is over when a job starts.
// https://docs.gitlab.com/ci/yaml/#needs
func (j *job) place(depth int) *order {
	if j.ordered != nil {
		return j.ordered
	}
	o := &order{}
	j.ordered = o // needs in a circle end here
	t := j.tree.kid("needs")
	if t == nil || j.in == nil || depth > maxDepth {
		var known bool
		o.stage, known = j.stage()
		o.open = !known || depth > maxDepth
		return o
	}
	o.over = map[*job]bool{}
	for _, n := range items(t.node) {
		if n = deref(n); n == nil || n.Kind != yaml.ScalarNode && n.Kind != yaml.MappingNode {
			o.open = true // put in from elsewhere
		}
	}
	for _, need := range j.needed("needs") {
		i := slices.IndexFunc(j.in.jobs(), func(m *job) bool { return m.name == need.name })
		if i < 0 {
			o.open = true
			continue
		}
		m := j.in.jobs()[i]
		if o.over[m] = true; need.optional && m.ruled() && !sameRules(m, j) {
			continue // without it, nothing has to be over that it waits for
		}
		before := m.place(depth + 1)
		o.open, o.stage = o.open || before.open, max(o.stage, before.stage)
		for k := range before.over {
			o.over[k] = true
		}
	}
	return o
}

// ruled says whether a job says anything of the pipelines that it is in.
func (j *job) ruled() bool {
	return j.tree.kid("rules") != nil || j.tree.kid("only") != nil || j.tree.kid("except") != nil
}

// stage is the place of a job's stage in the row of all; it is not known where a template
// that cannot be read may have given the stages or the job's own.
func (j *job) stage() (n int, known bool) {
	if j.in == nil || len(j.gone) > 0 {
		return 0, false
	}
	name := "test"
	if t := j.tree.kid("stage"); t != nil {
		if name = t.value(); name == "" {
			return 0, false
		}
	}
	n, known = j.in.stageRow()[name]
	return n, known
}

// stageRow are the places of the stages.
// https://docs.gitlab.com/ci/yaml/#stages
func (c *config) stageRow() map[string]int {
	if c.stages != nil {
		return c.stages
	}
	names := []string{"build", "test", "deploy"}
	for _, key := range []string{"types", "stages"} {
		if t := c.root.kid(key); t != nil {
			names = nil
			for _, n := range items(t.node) {
				if n = deref(n); n != nil {
					names = append(names, n.Value)
				}
			}
		} else if key == "stages" && (len(c.missing) > 0 || c.unseen) {
			names = nil
		}
	}
	c.stages = map[string]int{".pre": -1, ".post": len(names)}
	for i, name := range names {
		c.stages[name] = i
	}
	return c.stages
}

// asksFor says whether a job needs another, without which GitLab makes no pipeline of it.
// https://docs.gitlab.com/ci/yaml/#needs
func (j *job) asksFor(other *job) bool {
	return slices.Contains(j.needed("needs"), neededJob{name: other.name})
}

// ofMatrix is the name of a job without the values of parallel:matrix behind it.
// https://docs.gitlab.com/ci/yaml/#needsparallelmatrix
func ofMatrix(name string) string {
	name, _, _ = strings.Cut(name, ": [")
	return name
}

// neededJob is a job of the same pipeline that another one names.
type neededJob struct {
	name     string
	optional bool
}

// needed are the jobs of its pipeline that a job names under a key.
func (j *job) needed(key string) (out []neededJob) {
	t := j.tree.kid(key)
	if t == nil {
		return nil
	}
	for _, l := range j.in.lines(t) {
		var need neededJob
		n := l.node
		if n.Kind == yaml.MappingNode && child(n, "pipeline") == nil && child(n, "project") == nil {
			if optional := deref(child(n, "optional")); optional != nil {
				need.optional = optional.Value == "true"
			}
			n = deref(child(n, "job"))
		}
		if n != nil && n.Kind == yaml.ScalarNode {
			need.name = ofMatrix(n.Value)
			out = append(out, need)
		}
	}
	return out
}
