package ci

import (
	"slices"
	"strings"
)

// needsOf reads a job's needs.
func (c *compiler) needsOf(d *definition, at string, h *hash) {
	v := h.get("needs")
	if v == nil {
		return
	}
	d.HasNeeds = true
	d.needsMatrix = map[string][]instance{}
	d.Needs = c.needs(at+":needs", v)
	for _, e := range wrap(v) {
		n, ok := e.(*hash)
		if !ok || n.get("parallel") == nil {
			continue
		}
		p, _ := n.get("parallel").(*hash)
		d.needsMatrix[text(n.get("job"))] = c.matrix(at+":needs:need:parallel:matrix", text(n.get("job")), p.get("matrix"))
	}
	if d.Trigger != nil && d.Trigger.Project == "" && len(d.Trigger.Include) == 0 {
		d.HasNeeds = len(d.Needs) > 0
	}
	var missing []string
	for _, dep := range d.Dependencies {
		if len(d.Needs) > 0 && !slices.ContainsFunc(d.Needs, func(n Need) bool { return n.Job == dep }) {
			missing = append(missing, dep)
		}
	}
	if len(missing) > 0 {
		c.problem(at, "dependencies the %s should be part of needs", strings.Join(missing, ", "))
	}
}

// needs reads the list; needs on other pipelines and projects bring artifacts
// only and are not kept.
func (c *compiler) needs(location string, v any) []Need {
	list, ok := v.([]any)
	if !ok {
		h, isHash := v.(*hash)
		if !isHash {
			c.problem(location, "config can only be a hash or an array")
			return nil
		}
		list = []any{h}
	}
	list, ok = c.flatten(list, 0)
	if !ok {
		c.problem(location, "config has too many levels")
	}
	var out []Need
	for _, e := range list {
		switch e := e.(type) {
		case nil:
		case string:
			if blank(e) {
				c.problem(location+":need", "config can't be blank")
			}
			out = append(out, Need{Job: e, Artifacts: true})
		case *hash:
			if n, ok := c.need(location+":need", e); ok {
				out = append(out, n)
			}
		default:
			c.complain(location + ":need has an unsupported type")
		}
	}
	if len(out) > 50 {
		c.problem(location, "config has too many entries (maximum 50)")
	}
	return out
}

func (c *compiler) need(location string, h *hash) (Need, bool) {
	artifacts := h.get("artifacts")
	if _, ok := artifacts.(bool); artifacts != nil && !ok {
		c.problem(location, "artifacts should be a boolean value")
	}
	switch {
	case h.has("project"):
		c.unknown(location, h, []string{"project", "ref", "job", "artifacts", "parallel"})
		return Need{}, false
	case h.has("pipeline"):
		c.unknown(location, h, []string{"pipeline", "job", "artifacts", "parallel"})
		return Need{}, false
	case !h.has("job"):
		c.complain(location + " has an unsupported type")
		return Need{}, false
	}
	c.unknown(location, h, []string{"job", "artifacts", "optional", "parallel"})
	job, ok := h.get("job").(string)
	if !ok || blank(job) {
		c.problem(location, "job can't be blank")
	}
	optional := h.get("optional")
	if _, ok := optional.(bool); optional != nil && !ok {
		c.problem(location, "optional should be a boolean value")
	}
	return Need{Job: job, Optional: optional == true, Artifacts: artifacts != false}, true
}
