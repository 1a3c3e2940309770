package ciconfig

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// answer is what can be said of a condition before the pipeline runs.
type answer int

const (
	maybe answer = iota
	yes
	no
)

// runs says whether a job may run in a pipeline: that for a push to the default branch,
// where the project does not say another. Only what is certain keeps a job out.
// https://docs.gitlab.com/ci/jobs/job_rules/
func (p Project) runs(j *job) bool {
	kind := [3]string{p.source, p.branch, p.tag}
	if p.open {
		kind[0] += " open"
	}
	may, known := j.may[kind]
	if !known {
		may = p.admits(j)
		if j.may == nil {
			j.may = map[[3]string]bool{}
		}
		j.may[kind] = may
	}
	return may
}

func (p Project) admits(j *job) bool {
	if j.hidden || j.tree.kid("when").value() == "never" {
		return false
	}
	everywhere := false // that a workflow allows
	if j.in != nil {
		if t := j.in.trigger; t != nil {
			if !p.runs(t) {
				return false
			}
			p.source = "parent_pipeline"
		}
		if t := j.in.workflowRules(); t != nil {
			if everywhere = true; !p.rules(t.node) {
				return false
			}
		}
	}
	if t := j.tree.kid("rules"); t != nil {
		return p.rules(t.node)
	}
	if t := j.tree.kid("only"); t != nil {
		if refs, all := refsOf(t); all && len(refs) > 0 && !slices.ContainsFunc(refs, p.mayBe) {
			return false
		}
	}
	if j.tree.kid("only") == nil && p.source == mergeRequest && !everywhere {
		return false // a job without rules and only: is for branches and tags
	}
	if t := j.tree.kid("except"); t != nil && (t.kids == nil || len(t.kids) == 1) {
		refs, _ := refsOf(t)
		return !slices.ContainsFunc(refs, p.is)
	}
	return true
}

// maxRules bounds nested lists of rules, which may hold themselves.
const maxRules = 500

// rules says whether a list of rules may let a job in.
func (p Project) rules(n *yaml.Node) bool {
	list := items(n)
	for i := 0; i < len(list); i++ {
		rule := deref(list[i])
		if rule == nil || rule.Kind != yaml.MappingNode {
			if rule != nil && rule.Kind == yaml.SequenceNode && rule.Tag != "!reference" && len(list) < maxRules {
				list = slices.Concat(list[:i+1], rule.Content, list[i+1:])
				continue
			}
			return true // what it stands for is not looked at
		}
		holds := yes
		if c := child(rule, "if"); c != nil {
			holds = p.condition(c.Value)
		}
		if holds == no {
			continue
		}
		if child(rule, "changes") != nil || child(rule, "exists") != nil {
			holds = maybe
		}
		if w := child(rule, "when"); w == nil || w.Value != "never" {
			return true
		} else if holds == yes {
			return false
		}
	}
	return len(list) == 0
}

// refsOf are the refs of only or except; all is false for one with other keys
// alone.
func refsOf(t *tree) (refs []string, all bool) {
	if t.kids != nil {
		if t = t.kid("refs"); t == nil {
			return nil, false
		}
	}
	for _, n := range items(t.node) {
		if n = deref(n); n != nil {
			refs = append(refs, n.Value)
		}
	}
	return refs, true
}

// mergeRequest is the source of a pipeline for a merge request.
const mergeRequest = "merge_request_event"

// refSources are the words of only: and except: for the source of a pipeline.
var refSources = map[string]string{"pushes": "push", "merge_requests": mergeRequest, "schedules": "schedule", "triggers": "trigger", "web": "web", "api": "api",
	"pipelines": "pipeline", "external": "external", "external_pull_requests": "external_pull_request_event", "chat": "chat"}

// is says whether a ref of only: or except: is that of the pipeline.
func (p Project) is(ref string) bool {
	if kind, project, ok := ofOneProject(ref); ok {
		return strings.EqualFold(project, p.Path) && p.is(kind)
	}
	source, known := p.value("CI_PIPELINE_SOURCE")
	switch {
	case ref == "tags":
		return p.tag != ""
	case ref == "branches":
		return p.tag == "" && source != mergeRequest
	case refSources[ref] != "":
		return known == yes && source == refSources[ref]
	}
	name, _ := p.value("CI_COMMIT_REF_NAME")
	return source != mergeRequest && ref == name
}

// mayBe says whether it may be, where the ref is a pattern or holds a variable. GitLab
// holds names and patterns against branches and tags only, never against a merge request's
// pipeline.
func (p Project) mayBe(ref string) bool {
	name, _ := p.value("CI_COMMIT_REF_NAME")
	if expr, ok := strings.CutPrefix(ref, "/"); ok {
		return p.source != mergeRequest && matches(expr, name) != no
	}
	if _, _, ok := ofOneProject(ref); ok {
		return p.is(ref)
	}
	return p.is(ref) || strings.ContainsAny(ref, "$@")
}

// ofOneProject parts a ref that means a kind of pipelines of one project, and not of its
// forks: tags@group/project.
func ofOneProject(ref string) (kind, project string, ok bool) {
	kind, project, ok = strings.Cut(ref, "@")
	return kind, project, ok && (kind == "tags" || kind == "branches" || refSources[kind] != "")
}

// maxParentheses bounds those of one expression.
const maxParentheses = 100

// condition judges the expression of a rule: && binds closer than ||.
func (p Project) condition(expr string) answer {
	if p.known == nil {
		return p.evaluate(expr)
	}
	q := question{p.source, p.branch, p.tag, p.open, p.all, expr}
	holds, ok := p.known.holds[q]
	if !ok {
		holds = p.evaluate(expr)
		p.known.holds[q] = holds
	}
	return holds
}

// evaluate is condition, with nothing kept.
func (p Project) evaluate(expr string) answer {
	if strings.Count(expr, "(") > maxParentheses {
		return maybe
	}
	out := no
	for _, either := range alternatives(expr, "||") {
		all := yes
		for _, term := range alternatives(either, "&&") {
			switch p.term(strings.TrimSpace(term)) {
			case no:
				all = no
			case maybe:
				if all == yes {
					all = maybe
				}
			}
		}
		if all == yes {
			return yes
		}
		if all == maybe {
			out = maybe
		}
	}
	return out
}

// covered is the length of the regular expression, with its operator, or of the string that
// a part of a condition begins with, 0 without one.
func covered(s string) int {
	switch quote := s[0]; {
	case quote == '"' || quote == '\'':
		if end := strings.IndexByte(s[1:], quote); end >= 0 {
			return end + 2
		}
	case strings.HasPrefix(s, "=~") || strings.HasPrefix(s, "!~"):
		at := len(s) - len(strings.TrimLeft(s[2:], " \t\n\f\r"))
		if at == len(s) || s[at] != '/' {
			return 0
		}
		for at++; at < len(s) && s[at] != '/'; at++ {
			if s[at] == '\\' {
				if at++; at < len(s) && s[at] == '\n' {
					return 0
				}
			}
		}
		if at >= len(s) {
			return 0
		}
		return len(s) - len(strings.TrimPrefix(s[at+1:], "i"))
	}
	return 0
}

// alternatives parts a condition at an operator that stands outside of patterns and
// parentheses.
func alternatives(expr, operator string) []string {
	if !strings.Contains(expr, operator) {
		return []string{expr}
	}
	var out []string
	last, depth := 0, 0
	for i := 0; i+1 < len(expr); i++ {
		if n := covered(expr[i:]); n > 0 {
			i += n - 1
			continue
		}
		switch {
		case expr[i] == '(':
			depth++
		case expr[i] == ')':
			depth--
		case depth == 0 && expr[i:i+2] == operator:
			out = append(out, expr[last:i])
			last = i + 2
			i++
		}
	}
	return append(out, expr[last:])
}

var comparison = regexp.MustCompile(`^\$([A-Za-z0-9_]+)\s*(==|!=|=~|!~)\s*(.+)$`)

// term judges one comparison, a variable alone, or what stands in parentheses.
func (p Project) term(s string) answer {
	if strings.HasPrefix(s, "(") && strings.HasSuffix(s, ")") {
		return p.condition(s[1 : len(s)-1])
	}
	if name, ok := strings.CutPrefix(s, "$"); ok && !strings.ContainsAny(name, " =!~") {
		v, known := p.value(name)
		return known.and(v != "")
	}
	m := comparison.FindStringSubmatch(s)
	if m == nil {
		return maybe
	}
	v, known := p.value(m[1])
	right := strings.TrimSpace(m[3])
	switch m[2] {
	case "==", "!=":
		want, ok := "", right == "null"
		if name, is := strings.CutPrefix(right, "$"); is {
			var k answer
			want, k = p.value(name)
			ok = k == yes
		} else if len(right) > 1 && (right[0] == '"' || right[0] == '\'') && right[len(right)-1] == right[0] {
			want, ok = right[1:len(right)-1], true
		}
		if !ok {
			return maybe
		}
		return known.and((v == want) == (m[2] == "=="))
	}
	if known != yes || !strings.HasPrefix(right, "/") {
		return maybe
	}
	is := matches(right[1:], v)
	if is == maybe {
		return maybe
	}
	return yes.and((is == yes) == (m[2] == "=~"))
}

func (a answer) and(holds bool) answer {
	switch {
	case a != yes:
		return maybe
	case holds:
		return yes
	}
	return no
}

// unnamed stands for a name that no condition spells out: only a pattern may fit.
const unnamed = "\x00"

// value is a predefined variable in the pipeline; an absent one is empty.
func (p Project) value(name string) (string, answer) {
	ref := p.branch
	switch {
	case p.tag != "":
		ref = p.tag
	case ref == "":
		ref = p.defaultBranch()
	}
	switch name {
	case "CI_DEFAULT_BRANCH":
		return p.defaultBranch(), yes
	case "CI_COMMIT_REF_NAME":
		return ref, yes
	case "CI_COMMIT_BRANCH":
		if p.tag != "" || p.source == mergeRequest {
			return "", yes
		}
		return ref, yes
	case "CI_PIPELINE_SOURCE":
		if p.source != "" {
			return p.source, yes
		}
		return "push", yes
	case "CI_COMMIT_TAG":
		return p.tag, yes
	case "CI_OPEN_MERGE_REQUESTS":
		if p.open {
			return unnamed, yes
		}
	case "CI_MERGE_REQUEST_IID", "CI_MERGE_REQUEST_ID", "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME":
		if p.source == mergeRequest && name == "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME" && p.branch != "" {
			return p.branch, yes
		}
		if p.source == mergeRequest {
			return unnamed, yes
		}
		return "", yes
	case "CI_MERGE_REQUEST_TARGET_BRANCH_NAME":
		if p.source != mergeRequest {
			return "", yes
		}
	}
	return "", maybe
}

// matches compares with what follows the first slash of /expression/i.
func matches(expr, s string) answer {
	end := strings.LastIndexByte(expr, '/')
	if end < 0 {
		return maybe
	}
	flag := ""
	if expr[end+1:] == "i" {
		flag = "(?i)"
	}
	re, err := regexp.Compile(flag + expr[:end])
	switch {
	case err != nil, s == unnamed:
		return maybe
	case re.MatchString(s):
		return yes
	}
	return no
}
