package ci

import (
	"os"
	"regexp"
	"slices"
	"strings"
)

// maxValue is where expansion stops: values that name each other twice over
// would double with every step.
const maxValue = 1 << 20

var mention = regexp.MustCompile(`\$\$|\$([a-zA-Z_][a-zA-Z0-9_]*)|\$\{([a-zA-Z_][a-zA-Z0-9_]*)\}`)

// Expand replaces $NAME and ${NAME} in s as GitLab and its runner do together.
// GitLab expands the values of variables within each other, except that raw
// and file variables and names that lead back to themselves stay; the runner
// then replaces what is left: raw values as they are, file variables by their
// path, unknown names by nothing, and $$ by one dollar sign. A value that names
// itself keeps that name.
// See https://docs.gitlab.com/ci/variables/where_variables_can_be_used/.
func Expand(s string, vars []Variable) string {
	return newExpander(vars).expand(s)
}

// maxWork bounds the text that the expansion of one job's variables produces.
const maxWork = 16 << 20

type expander struct {
	vars map[string]Variable
	done map[string]string // expanded values of variables outside any circle
	open map[string]bool   // those being expanded
	work int
}

func newExpander(vars []Variable) *expander {
	x := &expander{vars: make(map[string]Variable, len(vars)), done: map[string]string{}, open: map[string]bool{}}
	for _, v := range vars {
		x.vars[v.Key] = v
	}
	return x
}

func (x *expander) expand(s string) string {
	if !strings.Contains(s, "$") {
		return s
	}
	inlined, _ := x.inline(s)
	return x.runner(inlined, nil)
}

// value is a variable's value in the job's environment.
func (x *expander) value(v Variable) string {
	if v.Raw || v.File || !strings.Contains(v.Value, "$") {
		return v.Value
	}
	x.open[v.Key] = true
	inlined, circle := x.inline(v.Value)
	delete(x.open, v.Key)
	return x.runner(inlined, append(circle, v.Key))
}

// inline is GitLab's part. Circle lists the names that led back to an open one.
func (x *expander) inline(s string) (out string, circle []string) {
	size := len(s)
	out = mention.ReplaceAllStringFunc(s, func(m string) string {
		if m == "$$" {
			return m
		}
		name := strings.Trim(m, "${}")
		v, ok := x.vars[name]
		if !ok || v.Raw || v.File || size > maxValue || x.work > maxWork {
			return m
		}
		if x.open[name] {
			if !slices.Contains(circle, name) {
				circle = append(circle, name)
			}
			return m
		}
		value, ok := x.done[name]
		if !ok {
			var inner []string
			x.open[name] = true
			value, inner = x.inline(v.Value)
			delete(x.open, name)
			if len(inner) == 0 {
				x.done[name] = value
			}
			for _, name := range inner {
				if !slices.Contains(circle, name) {
					circle = append(circle, name)
				}
			}
		}
		size += len(value)
		x.work += len(value)
		return value
	})
	return out, circle
}

// runner is the runner's single pass; names in keep stay as they are.
func (x *expander) runner(s string, keep []string) string {
	if !strings.Contains(s, "$") {
		return s
	}
	size := 0
	return os.Expand(s, func(name string) string {
		if name == "$" {
			return name
		}
		if slices.Contains(keep, name) {
			return "$" + name
		}
		v, ok := x.vars[name]
		if !ok || size > maxValue {
			return ""
		}
		value := v.Value
		if v.File {
			value = x.vars["CI_PROJECT_DIR"].Value + ".tmp/" + name
		}
		size += len(value)
		return value
	})
}

// circular lists variables that lead back to themselves through each other;
// GitLab refuses to create a pipeline with such a job.
func (x *expander) circular(order []Variable) []string {
	finished := map[string]bool{}
	var path []string
	var visit func(name string) (circle []string)
	visit = func(name string) []string {
		v, ok := x.vars[name]
		if !ok || v.Raw || v.File || finished[name] || !strings.Contains(v.Value, "$") {
			return nil
		}
		if x.open[name] {
			return slices.Clone(path[slices.Index(path, name):])
		}
		x.open[name] = true
		path = append(path, name)
		defer func() {
			delete(x.open, name)
			path = path[:len(path)-1]
			finished[name] = true
		}()
		for _, m := range mention.FindAllString(v.Value, -1) {
			next := strings.Trim(m, "${}")
			if next == "" || next == name {
				continue // a name that leads to itself at once is left alone
			}
			if circle := visit(next); circle != nil {
				return circle
			}
		}
		return nil
	}
	for _, v := range order {
		if circle := visit(v.Key); circle != nil {
			return circle
		}
	}
	return nil
}

// expandExisting expands once and leaves unknown names as they are.
func expandExisting(s string, known map[string]string) string {
	return mention.ReplaceAllStringFunc(s, func(m string) string {
		if v, ok := known[strings.Trim(m, "${}")]; ok && m != "$$" {
			return v
		}
		return m
	})
}

// expandBlank expands once; unknown names become nothing.
func expandBlank(s string, known map[string]string) string {
	return mention.ReplaceAllStringFunc(s, func(m string) string {
		if m == "$$" {
			return m
		}
		return known[strings.Trim(m, "${}")]
	})
}
