package ci

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// maxNesting is how deep GitLab lets lists of scripts and rules nest.
const maxNesting = 10

// ruleSet is what a rule may say, which differs between a job, the workflow
// and an include.
type ruleSet struct {
	keys, when []string
}

var (
	jobRules = ruleSet{
		[]string{"if", "changes", "exists", "when", "start_in", "allow_failure", "variables", "needs", "interruptible"},
		[]string{"on_success", "on_failure", "always", "never", "manual", "delayed"},
	}
	workflowRules = ruleSet{
		[]string{"if", "changes", "exists", "when", "start_in", "allow_failure", "variables", "needs", "auto_cancel"},
		[]string{"always", "never"},
	}
	includeRules = ruleSet{
		[]string{"if", "changes", "exists", "when"},
		[]string{"always", "never"},
	}
)

// rule is one entry of rules. Fields that the entry leaves open are nil or "".
type rule struct {
	condition    expression
	changes      []string // nil without the clause
	exists       []string
	existsAt     place
	when         string
	allowFailure *bool
	variables    []Variable
	needs        []Need
	hasNeeds     bool
}

// rules reads a list of rules at a location; lists in it are flattened.
func (c *compiler) rules(location string, v any, allowed ruleSet) []rule {
	list, ok := v.([]any)
	if ok {
		list, ok = c.flatten(list, 0)
	}
	if !ok {
		c.problem(location[:strings.LastIndex(location, ":")], "rules should be an array containing hashes and arrays of hashes")
		return nil
	}
	out := make([]rule, 0, len(list))
	for _, e := range list {
		h, ok := e.(*hash)
		if !ok {
			c.problem(location[:strings.LastIndex(location, ":")], "rules should be an array containing hashes and arrays of hashes")
			return nil
		}
		out = append(out, c.rule(location+":rule", h, allowed))
	}
	return out
}

func (c *compiler) rule(location string, h *hash, allowed ruleSet) (r rule) {
	if h.len() == 0 {
		c.problem(location, "config can't be blank")
	}
	c.unknown(location, h, allowed.keys)
	if v := h.get("if"); v != nil {
		s, _ := v.(string)
		e, err := parse(s)
		if err != nil {
			c.problem(location, "if invalid expression syntax")
		}
		r.condition = e
	}
	if v := h.get("when"); v != nil {
		r.when = text(v)
		if !slices.Contains(allowed.when, r.when) {
			c.problem(location, "when unknown value: %s", r.when)
		}
	}
	if v := h.get("allow_failure"); v != nil {
		b, ok := v.(bool)
		if !ok {
			c.problem(location, "allow failure should be a boolean value")
		}
		r.allowFailure = &b
	}
	r.changes = c.pathClause(location+":changes", h.get("changes"), "paths", "compare_to")
	r.exists = c.pathClause(location+":exists", h.get("exists"), "paths", "project", "ref")
	if e, ok := h.get("exists").(*hash); ok {
		r.existsAt = place{text(e.get("project")), text(e.get("ref"))}
	}
	if v := h.get("variables"); v != nil {
		r.variables = c.variables(location+":variables", v)
	}
	if v := h.get("needs"); v != nil {
		r.needs, r.hasNeeds = c.needs(location+":needs", v), true
	}
	return r
}

// pathClause reads changes or exists, a list or a mapping with paths.
func (c *compiler) pathClause(location string, v any, keys ...string) []string {
	if h, ok := v.(*hash); ok {
		c.unknown(location, h, keys)
		v = h.get("paths")
	}
	if v == nil {
		return nil
	}
	paths, ok := stringList(v)
	if !ok {
		c.problem(location, "config should be an array of strings")
		return nil
	}
	if len(paths) > 50 {
		c.problem(location, "config has too many entries (maximum 50)")
	}
	if paths == nil {
		paths = []string{}
	}
	return paths
}

// flatten makes one list of nested ones; ok is false beyond maxNesting.
func (c *compiler) flatten(list []any, depth int) (out []any, ok bool) {
	for _, e := range list {
		c.spend(1)
		inner, nested := e.([]any)
		if !nested {
			out = append(out, e)
			continue
		}
		if depth == maxNesting {
			return nil, false
		}
		flat, ok := c.flatten(inner, depth+1)
		if !ok {
			return nil, false
		}
		out = append(out, flat...)
	}
	return out, true
}

// match finds the first rule that holds; nil when none does.
func (c *compiler) match(rules []rule, known map[string]string, at place) *rule {
	for i := range rules {
		r := &rules[i]
		c.spend(1)
		if r.condition != nil && !truthful(r.condition, known) {
			continue
		}
		if r.changes != nil && !c.changed(r.changes, known) {
			continue
		}
		if r.exists != nil && !c.present(r, known, at) {
			continue
		}
		return r
	}
	return nil
}

// changed holds when the push changed a file that fits, or when nobody knows
// what it changed, as for a new branch.
func (c *compiler) changed(patterns []string, known map[string]string) bool {
	if c.trigger.Changed == nil {
		return true
	}
	return anyPath(patterns, known, c.trigger.Changed)
}

func (c *compiler) present(r *rule, known map[string]string, at place) bool {
	if r.existsAt.project != "" {
		at = place{expandBlank(r.existsAt.project, known), expandBlank(r.existsAt.ref, known)}
	}
	return anyPath(r.exists, known, c.list(at))
}

func anyPath(patterns []string, known map[string]string, paths []string) bool {
	for _, p := range patterns {
		p = strings.TrimPrefix(expandExisting(p, known), "/")
		for _, path := range paths {
			if ok, err := doublestar.Match(p, path); ok && err == nil {
				return true
			}
		}
	}
	return false
}

// list is every path of a repository; that of the project is kept.
func (c *compiler) list(at place) []string {
	own := at == place{c.project.Path, c.trigger.SHA}
	if own && c.hasPaths {
		return c.paths
	}
	paths, err := c.files.Paths(at.project, at.ref)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		abort(fmt.Errorf("ci: list %s: %w", at.project, err))
	}
	if own {
		c.paths, c.hasPaths = paths, true
	}
	return paths
}

// wanted evaluates the rules of an include.
func (c *compiler) wanted(v any, at place) bool {
	if v == nil {
		return true
	}
	rules := c.rules("include:rules", v, includeRules)
	c.check()
	r := c.match(rules, c.known, at)
	return r != nil && r.when != "never"
}

// unknownKeys lists the keys that are not allowed, "" when all are.
func unknownKeys(h *hash, allowed []string) string {
	var unknown []string
	for _, k := range h.keys {
		if !slices.Contains(allowed, k) {
			unknown = append(unknown, k)
		}
	}
	return strings.Join(unknown, ", ")
}

func (c *compiler) unknown(location string, h *hash, allowed []string) {
	if u := unknownKeys(h, allowed); u != "" {
		c.problem(location, "config contains unknown keys: %s", u)
	}
}
