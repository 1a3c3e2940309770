package ci

import (
	"slices"
	"strings"
)

// root is a configuration whose entries were read and found well-formed.
type root struct {
	stages    []string
	variables []Variable
	workflow  []rule
	ruled     bool // workflow:rules was given, which turns off only's default
	jobs      []*definition
}

// reservedKeys are top-level keywords; every other key is a job.
var reservedKeys = []string{"default", "include", "before_script", "image", "services",
	"after_script", "variables", "stages", "cache", "workflow"}

// inheritable are the keywords that default: gives to jobs.
var inheritable = []string{"before_script", "image", "services", "after_script", "cache",
	"interruptible", "timeout", "retry", "tags", "artifacts", "hooks", "id_tokens", "identity"}

// globals are those that may still stand at the top level.
var globals = []string{"before_script", "image", "services", "after_script", "cache"}

var defaultStages = []string{"build", "test", "deploy"}

// edgeStages puts .pre and .post around the stages given.
func edgeStages(config *hash) *hash {
	list, ok := config.get("stages").([]any)
	if !ok {
		return config
	}
	stages := []any{".pre"}
	for _, s := range list {
		if s != ".pre" && s != ".post" {
			stages = append(stages, s)
		}
	}
	out := newHash()
	for _, k := range config.keys {
		out.set(k, config.vals[k])
	}
	out.set("stages", append(stages, ".post"))
	return out
}

func (c *compiler) root(config *hash) *root {
	r := &root{stages: c.stages(config.get("stages"))}
	defaults := c.defaults(config)
	r.variables = c.variables("variables", config.get("variables"), "value", "description", "expand", "options")
	c.workflow(r, config.get("workflow"))

	jobs := newHash()
	for _, k := range config.keys {
		if !slices.Contains(reservedKeys, k) || (k == "default" || k == "workflow") && isJob(config.vals[k]) {
			jobs.set(k, config.vals[k])
		}
	}
	visible := false
	for _, name := range jobs.keys {
		if strings.HasPrefix(name, ".") {
			continue
		}
		h, ok := jobs.vals[name].(*hash)
		if !ok || !h.has("script") && !h.has("run") && !h.has("trigger") && !h.has("needs") {
			shown := name
			if plainName(name) {
				shown = strings.ReplaceAll(name, " ", "_")
			}
			c.problem("jobs "+shown, "config should implement the script:, run:, or trigger: keyword")
			continue
		}
		visible = true
		r.jobs = append(r.jobs, c.job(name, h, defaults, r.ruled))
	}
	if !visible {
		c.problem("jobs", "config should contain at least one visible job")
	}
	return r
}

func isJob(v any) bool {
	h, ok := v.(*hash)
	return ok && (h.has("script") || h.has("run") || h.has("trigger"))
}

// plainName is a name whose blanks GitLab shows as underscores in one message.
func plainName(s string) bool {
	return strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz ") == ""
}

func (c *compiler) stages(v any) []string {
	if v == nil {
		return append(append([]string{".pre"}, defaultStages...), ".post")
	}
	list, ok := v.([]any)
	if ok {
		list, ok = c.flatten(list, 0)
	}
	var stages []string
	for _, e := range list {
		s, isString := e.(string)
		if !isString {
			ok = false
			break
		}
		if !slices.Contains(stages, s) {
			stages = append(stages, s)
		}
	}
	if !ok {
		c.problem("stages", "config should be an array of strings or a nested array of strings up to %d levels deep", maxNesting)
	}
	return stages
}

// defaults merges `default:` with the older keywords at the top level.
func (c *compiler) defaults(config *hash) *hash {
	out := newHash()
	given := newHash()
	if v := config.get("default"); v != nil && !isJob(v) {
		h, ok := v.(*hash)
		if !ok {
			c.problem("default", "config should be a hash")
		} else {
			given = h
		}
		c.unknown("default", given, inheritable)
	}
	for _, k := range inheritable {
		top := config.get(k)
		switch {
		case slices.Contains(globals, k) && top != nil && given.get(k) != nil:
			fail("%s is defined in top-level and `default:` entry", k)
		case given.get(k) != nil:
			c.shared("default:"+k, k, given.get(k))
			out.set(k, given.get(k))
		case slices.Contains(globals, k) && top != nil:
			c.shared(k, k, top)
			out.set(k, top)
		}
	}
	return out
}

// shared checks a keyword that jobs will inherit, once and at its own place.
func (c *compiler) shared(location, key string, v any) {
	switch key {
	case "before_script", "after_script":
		c.script(location, v)
	case "image":
		c.image(location, v, imageKeys)
	case "services":
		c.services(location, v)
	case "cache":
		c.cache(location, v)
	case "retry":
		c.retry(location, v)
	case "tags":
		c.tags(location, v)
	case "artifacts":
		c.artifacts(location, v, &Job{})
	}
}

func (c *compiler) workflow(r *root, v any) {
	if v == nil || isJob(v) {
		return
	}
	h, ok := v.(*hash)
	if !ok {
		c.problem("workflow", "config should be a hash")
		return
	}
	c.unknown("workflow", h, []string{"rules", "name", "auto_cancel"})
	if rules := h.get("rules"); rules != nil {
		r.ruled = true
		r.workflow = c.rules("workflow:rules", rules, workflowRules)
	}
}
