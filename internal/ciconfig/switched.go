package ciconfig

import (
	"slices"
	"strings"
)

// A job that only comes where somebody starts a pipeline with a variable of the project's,
// such as REBUILD, is in no ordinary one: what it pushes is not there for the jobs that are.

// switches are the variables that have to be set for a job to be in a pipeline, nil where it
// may be in one without.
func switches(j *job) []string {
	if j == nil || j.in == nil {
		return nil
	}
	var names []string
	for _, expr := range conditions(j) {
		found := j.switchedOn(expr)
		if len(found) == 0 {
			return nil
		}
		names = append(names, found...)
	}
	return names
}

// conditions are those by which a job gets into pipelines; an empty one always holds.
func conditions(j *job) []string {
	var out []string
	if t := j.tree.kid("rules"); t != nil {
		for _, n := range items(t.node) {
			n = deref(n)
			if w := child(n, "when"); w != nil && w.Value == "never" {
				continue
			}
			if c := child(n, "if"); c != nil {
				out = append(out, c.Value)
			} else {
				out = append(out, "")
			}
		}
		return out
	}
	if t := j.tree.kid("only"); t != nil && t.kid("variables") != nil {
		for _, n := range items(t.kid("variables").node) {
			if n = deref(n); n != nil {
				out = append(out, n.Value)
			}
		}
	}
	return out
}

// switchedOn are the variables without which a condition does not hold.
func (j *job) switchedOn(expr string) []string {
	if strings.Count(expr, "(") > maxParentheses {
		return nil
	}
	expr = laterVariable.ReplaceAllString(expr, "$$$1$2")
	var out []string
	for _, either := range alternatives(expr, "||") {
		n := len(out)
		for _, term := range alternatives(either, "&&") {
			term = strings.TrimSpace(term)
			if strings.HasPrefix(term, "(") && strings.HasSuffix(term, ")") {
				out = append(out, j.switchedOn(term[1:len(term)-1])...)
			} else if name := j.unset(term); name != "" {
				out = append(out, name)
			}
		}
		if len(out) == n {
			return nil
		}
	}
	return out
}

// unset is the variable of a term that does not hold, as nothing that is seen gives it such a
// value, or "".
func (j *job) unset(term string) string {
	name, fits := "", func(v string) bool { return v != "" }
	if m := comparison.FindStringSubmatch(term); m != nil {
		right := strings.Trim(strings.TrimSpace(m[3]), `"'`)
		name = m[1]
		switch {
		case m[2] == "==" && right != "null" && right != "" && right[0] != '$':
			fits = func(v string) bool { return v == right }
		case m[2] == "=~":
			fits = func(v string) bool { return matches(strings.TrimPrefix(right, "/"), v) != no }
		case m[2] == "!=" && (right == "null" || right == ""):
		default:
			return ""
		}
	} else if n, ok := strings.CutPrefix(term, "$"); ok && !strings.ContainsAny(n, " =!~") {
		name = n
	}
	if name == "" || givenByName.MatchString(name) {
		return ""
	}
	vals, _ := j.in.env(j.tree).lookup(name)
	if slices.ContainsFunc(vals, func(v text) bool {
		s, known := v.literal()
		return !known || fits(s)
	}) {
		return ""
	}
	return name
}

// onDemand says whether a job is not in all pipelines that have another, as it has to be
// switched on and the other has not.
func onDemand(j, other *job) bool {
	names, others := switches(j), switches(other)
	return slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(others, n) })
}
