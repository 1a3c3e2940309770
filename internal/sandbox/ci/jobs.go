package ci

import (
	"fmt"
	"slices"
	"strings"
)

// definition is a job as it stands in the configuration: before parallel makes
// several of it and before rules decide whether it runs.
type definition struct {
	Job
	variables   []Variable // its own
	inherits    func(name string) bool
	rules       []rule
	ruled       bool
	only        *policy
	except      *policy
	parallel    []instance
	isParallel  bool
	needsMatrix map[string][]instance // needs:parallel:matrix, by job
}

// processable are the keywords of jobs and trigger jobs alike.
var processable = []string{"extends", "stage", "only", "except", "rules", "variables", "inherit",
	"allow_failure", "when", "needs", "resource_group", "environment", "interruptible"}

var (
	jobKeys = append([]string{"tags", "script", "image", "services", "start_in", "artifacts", "cache",
		"dependencies", "before_script", "after_script", "hooks", "coverage", "retry", "parallel",
		"timeout", "release", "id_tokens", "publish", "pages", "manual_confirmation", "run", "inputs",
		"secrets", "identity", "dast_configuration"}, processable...)
	bridgeKeys = append([]string{"trigger", "parallel", "inputs", "start_in"}, processable...)
)

var jobWhen = []string{"on_success", "on_failure", "always", "manual", "delayed"}

// job reads one job. Faults are noted; the value is then not to be used.
func (c *compiler) job(name string, h *hash, defaults *hash, workflowRuled bool) *definition {
	d := &definition{Job: Job{Name: name, Group: name, ArtifactsWhen: "on_success"}}
	at := "jobs:" + name
	if name == "" {
		c.problem("jobs", "name can't be blank")
	}
	if len(name) > 255 {
		c.problem(at, "name is too long (maximum is 255 characters)")
	}
	bridge := !h.has("script") && !h.has("run")
	if h.has("trigger") && !bridge {
		c.problem(at, "config these keys cannot be used together: script, trigger")
	}
	allowed := jobKeys
	if bridge {
		allowed = bridgeKeys
	}
	c.unknown(at, h.without("trigger"), allowed)
	c.common(d, at, h, workflowRuled)
	inherit := c.inheritance(at, h.get("inherit"), d)
	get := func(key string) any {
		if v := h.get(key); v != nil || !inherit(key) {
			return v
		}
		return defaults.get(key)
	}
	own := func(key string) string { // where a fault of the keyword is to be noted
		if h.get(key) == nil {
			return ""
		}
		return at + ":" + key
	}
	if bridge {
		c.bridge(d, at, h)
	} else {
		c.body(d, at, h, get, own)
	}
	c.needsOf(d, at, h)
	c.parallelOf(d, at, h.get("parallel"))
	return d
}

// common reads what jobs and trigger jobs share.
func (c *compiler) common(d *definition, at string, h *hash, workflowRuled bool) {
	d.Stage = "test"
	if v := h.get("stage"); v != nil {
		s, ok := v.(string)
		if !ok {
			c.problem(at+":stage", "config should be a string")
		}
		d.Stage = s
	}
	d.variables = c.variables(at+":variables", h.get("variables"), "value", "expand")
	d.When = "on_success"
	if v := h.get("when"); v != nil {
		d.When = text(v)
		if !slices.Contains(jobWhen, d.When) {
			c.problem(at, "when should be one of: %s", strings.Join(jobWhen, ", "))
		}
	}
	d.AllowFailure = d.When == "manual"
	switch v := h.get("allow_failure").(type) {
	case nil:
	case bool:
		d.AllowFailure = v
	case *hash:
		c.unknown(at+":allow_failure", v, []string{"exit_codes"})
		d.AllowFailure = false
		for _, code := range wrap(v.get("exit_codes")) {
			n, ok := code.(int64)
			if !ok {
				c.problem(at+":allow_failure", "exit codes should be an array of integers or an integer")
				break
			}
			d.FailureCodes = append(d.FailureCodes, int(n))
		}
	default:
		c.problem(at, "allow failure should be a hash or a boolean value")
	}
	if v := h.get("resource_group"); v != nil {
		s, ok := v.(string)
		if !ok {
			c.problem(at, "resource group should be a string")
		}
		d.ResourceGroup = s
	}
	if v := h.get("environment"); v != nil {
		d.Environment = c.environment(at+":environment", v)
	}
	if v := h.get("rules"); v != nil {
		d.ruled = true
		var mixed []string
		for _, k := range []string{"only", "except", "start_in"} {
			if h.get(k) != nil {
				mixed = append(mixed, k)
			}
		}
		if len(mixed) > 0 {
			c.problem(at, "config key may not be used with `rules`: %s", strings.Join(mixed, ", "))
		}
		d.rules = c.rules(at+":rules", v, jobRules)
		c.warnRules(d.Name, v, workflowRuled)
		return
	}
	d.only = c.policy(at+":only", h.get("only"))
	d.except = c.policy(at+":except", h.get("except"))
	if !workflowRuled {
		switch {
		case d.only == nil:
			d.only = &policy{refs: []string{"branches", "tags"}, hasRefs: true}
		case !d.only.hasRefs: // only's default is merged below what is given
			d.only.refs, d.only.hasRefs = []string{"branches", "tags"}, true
		}
	}
}

// warnRules gives GitLab's warning about jobs that may run twice for one push.
func (c *compiler) warnRules(name string, v any, workflowRuled bool) {
	list, _ := v.([]any)
	list, _ = c.flatten(list, 0)
	if workflowRuled || len(list) == 0 {
		return
	}
	last, ok := list[len(list)-1].(*hash)
	if ok && last.len() == 1 && last.has("when") && last.get("when") != "never" {
		c.warnings = append(c.warnings, fmt.Sprintf("jobs:%s may allow multiple pipelines to run for a single action due to `rules:when` clause with no `workflow:rules` - read more: https://docs.gitlab.com/ci/jobs/job_troubleshooting/#job-may-allow-multiple-pipelines-to-run-for-a-single-action-warning", name))
	}
}

// inheritance reads inherit: which defaults and which global variables the job
// takes.
func (c *compiler) inheritance(at string, v any, d *definition) func(key string) bool {
	all := func(string) bool { return true }
	d.inherits = all
	if v == nil {
		return all
	}
	h, ok := v.(*hash)
	if !ok {
		c.problem(at+":inherit", "config should be a hash")
		return all
	}
	c.unknown(at+":inherit", h, []string{"default", "variables"})
	read := func(key string) func(string) bool {
		switch v := h.get(key).(type) {
		case nil:
			return all
		case bool:
			return func(string) bool { return v }
		default:
			names, ok := stringList(v)
			if !ok {
				c.problem(at+":inherit:"+key, "config should be a bool or array of strings")
			}
			return func(name string) bool { return slices.Contains(names, name) }
		}
	}
	d.inherits = read("variables")
	return read("default")
}

// body reads what only jobs with a script have. An inherited keyword was
// checked where it stands; get gives its value and own no place for faults.
func (c *compiler) body(d *definition, at string, h *hash, get func(string) any, own func(string) string) {
	if h.has("script") {
		d.Script = c.commands(at+":script", h.get("script"))
		if blank(h.get("script")) {
			c.problem(at, "script can't be blank")
		}
	}
	d.BeforeScript = c.script(own("before_script"), get("before_script"))
	d.AfterScript = c.script(own("after_script"), get("after_script"))
	d.Image = c.image(own("image"), get("image"), imageKeys)
	d.Services = c.services(own("services"), get("services"))
	d.Tags = c.tags(own("tags"), get("tags"))
	d.Cache = c.cache(own("cache"), get("cache"))
	d.Retry = c.retry(own("retry"), get("retry"))
	c.artifacts(own("artifacts"), get("artifacts"), &d.Job)
	if v := h.get("dependencies"); v != nil {
		list, ok := stringList(v)
		if !ok {
			c.problem(at, "dependencies should be an array of strings")
		}
		d.Dependencies = append([]string{}, list...)
	}
	for _, key := range []string{"id_tokens", "secrets", "release", "hooks"} {
		if v := get(key); v != nil {
			if _, ok := v.(*hash); !ok {
				c.problem(at+":"+key, "config should be a hash")
			}
		}
	}
	if d.When == "delayed" && !d.ruled && blank(h.get("start_in")) {
		c.problem(at, "start in should be a duration")
	}
}
