package ci

import (
	"regexp"
	"slices"
	"strings"
)

// What a job has to do with the world outside its pipeline: environments and
// downstream pipelines.

var (
	environmentName = regexp.MustCompile(`^[a-zA-Z0-9_/\\$\{\}\. -]+$`)
	actions         = []string{"start", "stop", "prepare", "verify", "access"}
)

func (c *compiler) environment(location string, v any) *Environment {
	e := &Environment{Action: "start"}
	switch v := v.(type) {
	case string:
		e.Name = v
	case *hash:
		c.unknown(location, v, []string{"name", "url", "action", "on_stop", "auto_stop_in", "kubernetes", "deployment_tier"})
		e.Name, _ = v.get("name").(string)
		e.URL = text(v.get("url"))
		e.OnStop = text(v.get("on_stop"))
		if a := v.get("action"); a != nil {
			e.Action = text(a)
			if !slices.Contains(actions, e.Action) {
				c.problem(location, "action should be start, stop, prepare, verify, or access")
			}
		}
	default:
		c.problem(location, "config should be a hash or a string")
		return nil
	}
	switch {
	case blank(e.Name):
		c.problem(location, "name can't be blank")
	case !environmentName.MatchString(e.Name), strings.HasPrefix(e.Name, "/"), strings.HasSuffix(e.Name, "/"):
		c.problem(location, "name can contain only letters, digits, '-', '_', '/', '$', '{', '}', '.', and spaces, but it cannot start or end with '/'")
	}
	return e
}

// bridge reads a trigger job.
func (c *compiler) bridge(d *definition, at string, h *hash) {
	switch v := h.get("trigger").(type) {
	case string:
		if blank(v) {
			c.problem(at+":trigger", "config can't be blank")
		}
		d.Trigger = &Bridge{Project: v}
	case *hash:
		d.Trigger = c.downstream(at+":trigger", v)
	case nil:
		if !h.has("needs") || !bridgeNeed(h.get("needs")) {
			c.problem(at, "config should contain either a trigger or a needs:pipeline")
		}
		d.Trigger = &Bridge{}
	default:
		c.complain(at + ":trigger has to be either a string or a hash")
	}
}

func bridgeNeed(v any) bool {
	for _, e := range wrap(v) {
		if h, ok := e.(*hash); ok && h.has("pipeline") && !h.has("job") {
			return true
		}
	}
	return false
}

func (c *compiler) downstream(location string, h *hash) *Bridge {
	b := &Bridge{}
	switch s := text(h.get("strategy")); s {
	case "", "mirror":
	case "depend":
		b.Depend = true
	default:
		c.problem(location, "strategy should be depend or mirror")
	}
	if !h.has("include") {
		c.unknown(location, h, []string{"project", "branch", "strategy", "forward", "inputs"})
		b.Project, b.Branch = text(h.get("project")), text(h.get("branch"))
		if b.Project == "" {
			c.problem(location, "project can't be blank")
		}
		return b
	}
	c.unknown(location, h, []string{"strategy", "include", "forward", "inputs"})
	for _, e := range wrap(h.get("include")) {
		switch e := e.(type) {
		case string:
			b.Include = append(b.Include, e)
		case *hash:
			c.unknown(location+":include", e, append([]string{}, includeKeys...))
			if local := text(e.get("local")); local != "" {
				b.Include = append(b.Include, local)
			}
		default:
			c.problem(location+":include", "config should be a hash or a string")
		}
	}
	if len(wrap(h.get("include"))) > 3 {
		c.problem(location+":include", "config is too long (maximum is 3)")
	}
	return b
}
