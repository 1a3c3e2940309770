package ci

import (
	"fmt"
	"strings"
)

// maxParallel is GitLab's limit for parallel, as a number and as a matrix.
const maxParallel = 200

// instance is one of the jobs that parallel makes.
type instance struct {
	name      string
	variables []Variable
}

func (c *compiler) parallelOf(d *definition, at string, v any) {
	switch v := v.(type) {
	case nil:
		return
	case int64:
		switch {
		case v < 1:
			c.problem(at+":parallel", "config must be greater than or equal to 1")
			return
		case v > maxParallel:
			c.problem(at+":parallel", "config must be less than or equal to %d", maxParallel)
			return
		}
		for i := range v {
			d.parallel = append(d.parallel, instance{name: fmt.Sprintf("%s %d/%d", d.Name, i+1, v)})
		}
	case *hash:
		c.unknown(at+":parallel", v, []string{"matrix"})
		d.parallel = c.matrix(at+":parallel:matrix", d.Name, v.get("matrix"))
	default:
		c.complain(at + ":parallel should be an integer or a hash")
		return
	}
	d.isParallel = true
}

// matrix makes every combination of each row, the last variable first to vary.
func (c *compiler) matrix(location, name string, v any) []instance {
	rows, ok := v.([]any)
	if ok {
		rows, ok = c.flatten(rows, 0)
	}
	if !ok {
		c.problem(location, "config should be an array of hashes")
		return nil
	}
	var out []instance
	for _, r := range rows {
		row, ok := r.(*hash)
		if !ok {
			c.problem(location, "config should be an array of hashes")
			return nil
		}
		combined := []instance{{}}
		for _, key := range row.keys {
			options, ok := c.flatten(wrap(row.vals[key]), 0)
			for _, o := range options {
				ok = ok && isScalar(o)
			}
			if !ok || len(options) == 0 {
				c.problem(location+":variables", "config should be a hash of key value pairs, value can be an array")
				return nil
			}
			var next []instance
			for _, before := range combined {
				for _, o := range options {
					if len(next) > maxParallel {
						break
					}
					next = append(next, instance{variables: override(before.variables, []Variable{{Key: key, Value: text(o)}})})
				}
			}
			combined = next
		}
		out = append(out, combined...)
		if len(out) > maxParallel {
			c.problem(location, "config generates too many jobs (maximum is %d)", maxParallel)
			return nil
		}
	}
	for i := range out {
		var words []string
		for _, v := range out[i].variables {
			words = append(words, v.Value)
		}
		out[i].name = name + ": [" + strings.Join(words, ", ") + "]"
	}
	return out
}

// normalize makes the jobs of parallel ones, and lets needs and dependencies
// name all of them.
func normalize(c *compiler, r *root) []*definition {
	several := map[string][]instance{}
	for _, d := range r.jobs {
		if d.isParallel {
			several[d.Name] = d.parallel
		}
	}
	var out []*definition
	for _, d := range r.jobs {
		d.Needs = expandNeeds(d.Needs, several, d.needsMatrix)
		for i := range d.rules {
			d.rules[i].needs = expandNeeds(d.rules[i].needs, several, nil)
		}
		if d.Dependencies != nil {
			names := []string{}
			for _, name := range d.Dependencies {
				if all, ok := several[name]; ok {
					for _, i := range all {
						names = append(names, i.name)
					}
					continue
				}
				names = append(names, name)
			}
			d.Dependencies = names
		}
		if !d.isParallel {
			out = append(out, d)
			continue
		}
		for i, one := range d.parallel {
			c.spend(1 + len(d.variables) + len(d.Needs))
			e := *d
			e.Name = one.name
			e.NodeIndex, e.NodeTotal = i+1, len(d.parallel)
			e.variables = override(d.variables, one.variables)
			e.Needs = matrixNeeds(d.Needs, one.variables)
			out = append(out, &e)
		}
	}
	return out
}

func expandNeeds(needs []Need, several, chosen map[string][]instance) []Need {
	var out []Need
	for _, n := range needs {
		all, ok := several[n.Job]
		if !ok {
			out = append(out, n)
			continue
		}
		if some, ok := chosen[n.Job]; ok {
			all = some
		}
		for _, i := range all {
			n.Job = i.name
			out = append(out, n)
		}
	}
	return out
}

// matrixNeeds replaces $[[ matrix.NAME ]] in the names of needed jobs.
func matrixNeeds(needs []Need, vars []Variable) []Need {
	known := values(vars)
	out := make([]Need, len(needs))
	for i, n := range needs {
		n.Job = block.ReplaceAllStringFunc(n.Job, func(m string) string {
			name, ok := strings.CutPrefix(block.FindStringSubmatch(m)[1], "matrix.")
			if v, found := known[name]; ok && found {
				return v
			}
			return m
		})
		out[i] = n
	}
	return out
}
