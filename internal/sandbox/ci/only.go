package ci

import (
	"regexp"
	"strings"
)

// policy is only or except: every clause given must hold.
// See https://docs.gitlab.com/ci/yaml/deprecated_keywords/.
type policy struct {
	refs      []string
	variables []expression
	changes   []string
	hasRefs   bool
	hasVars   bool
}

var policyKeys = []string{"refs", "kubernetes", "variables", "changes"}

// policy reads only or except; nil when it is not given.
func (c *compiler) policy(location string, v any) *policy {
	if v == nil {
		return nil
	}
	p := &policy{}
	var vars any
	switch v := v.(type) {
	case []any:
		p.refs, p.hasRefs = c.refs(location, "config", v), true
		return p
	case *hash:
		if v.len() == 0 {
			c.problem(location, "config can't be blank")
		}
		c.unknown(location, v, policyKeys)
		if refs := v.get("refs"); refs != nil {
			p.refs, p.hasRefs = c.refs(location, "refs", refs), true
		}
		if k := v.get("kubernetes"); k != nil && text(k) != "active" {
			c.problem(location, "kubernetes unknown value: %s", text(k))
		}
		if ch := v.get("changes"); ch != nil {
			list, ok := stringList(ch)
			if !ok {
				c.problem(location, "changes should be an array of strings")
			}
			p.changes = append([]string{}, list...)
		}
		vars = v.get("variables")
	default:
		c.complain(location + " has to be either an array of conditions or a hash")
		return p
	}
	if vars == nil {
		return p
	}
	list, ok := stringList(vars)
	if !ok {
		c.problem(location, "variables should be an array of strings")
	}
	p.hasVars = true
	for _, s := range list {
		e, err := parse(s)
		if err != nil {
			c.problem(location, "variables invalid expression syntax")
			continue
		}
		p.variables = append(p.variables, e)
	}
	return p
}

func (c *compiler) refs(location, attribute string, v any) []string {
	list, ok := stringList(v)
	for _, s := range list {
		if hasPattern.MatchString(s) {
			if _, err := newPattern(s); err != nil {
				ok = false
			}
		}
	}
	if !ok {
		c.problem(location, "%s should be an array of strings or regular expressions using re2 syntax", attribute)
	}
	return list
}

// all is only's question, any is except's.
func (p *policy) all(c *compiler, known map[string]string) bool {
	return (!p.hasRefs || c.onRef(p.refs)) &&
		(!p.hasVars || anyTrue(p.variables, known)) &&
		(p.changes == nil || c.changed(p.changes, known))
}

func (p *policy) any(c *compiler, known map[string]string) bool {
	return p.hasRefs && c.onRef(p.refs) ||
		p.hasVars && anyTrue(p.variables, known) ||
		p.changes != nil && c.changed(p.changes, known)
}

func anyTrue(list []expression, known map[string]string) bool {
	for _, e := range list {
		if truthful(e, known) {
			return true
		}
	}
	return false
}

var hasPattern = regexp.MustCompile(`^/.+/[ismU]*$`)

// onRef is whether the pipeline is one of those that refs name: kinds of ref,
// sources in singular or plural, names and patterns, each with an optional
// @project.
func (c *compiler) onRef(refs []string) bool {
	t := c.trigger
	source := strings.TrimSuffix(t.Source, "_event")
	for _, ref := range refs {
		name, project, scoped := ref, "", false
		if !hasPattern.MatchString(ref) {
			if i := strings.LastIndex(ref, "@"); i >= 0 {
				name, project, scoped = ref[:i], ref[i+1:], true
			}
		}
		if scoped && project != c.project.Path {
			continue
		}
		switch {
		case name == "tags" && t.Tag,
			name == "branches" && !t.Tag && t.Source != "merge_request_event",
			source != "" && (name == source || name == plural(source)):
			return true
		case hasPattern.MatchString(name):
			if p, err := newPattern(name); err == nil && p.match(t.Ref) {
				return true
			}
		case name == t.Ref:
			return true
		}
	}
	return false
}

func plural(s string) string {
	if strings.HasSuffix(s, "sh") {
		return s + "es"
	}
	return s + "s"
}
