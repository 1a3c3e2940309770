package ci

import (
	"regexp"
	"slices"
	"strings"
)

// Environ returns every variable of a job in GitLab's precedence, expanded as
// GitLab and the runner do before the script starts. Each name occurs once.
// File variables keep their content as value: whoever runs the job writes it to
// $CI_PROJECT_DIR.tmp/NAME and gives the script that path.
//
// From weak to strong: predefined, YAML, dotenv reports, instance, group,
// project, trigger. What Settings.Instance gives under a name that GitLab
// predefines (CI_REGISTRY and its like) counts as predefined.
// See https://docs.gitlab.com/ci/variables/#cicd-variable-precedence.
func Environ(e Execution) []Variable {
	vars := collect(e.Project, e.Trigger, e.Settings, &e.Job, e.JobID, e.Dotenv)
	x := newExpander(vars)
	out := make([]Variable, len(vars))
	for i, v := range vars {
		v.Value = x.value(v)
		out[i] = v
	}
	return out
}

// reserved is how the names look that GitLab predefines.
var reserved = regexp.MustCompile(`^(CI|CI_.*|GITLAB_(CI|USER|FEATURES).*)$`)

// collect lists the variables of a job, or without one those of the pipeline,
// as written; each name once, with the value of the strongest layer.
func collect(p Project, t Trigger, s Settings, job *Job, jobID int64, dotenv []Variable) []Variable {
	var given, instance []Variable
	for _, v := range s.Instance {
		if reserved.MatchString(v.Key) {
			given = append(given, v)
		} else {
			instance = append(instance, v)
		}
	}
	base := override(predefined(p, t), given)
	var own []Variable
	name := ""
	if job != nil {
		own = job.Variables
		if job.Environment != nil {
			settings := override(instance, s.Group, s.Project)
			name = Expand(job.Environment.Name, override(base, own, settings, t.Variables))
			base = override(base, environmentVariables(name))
		}
		base = override(base, jobVariables(p, *job, jobID))
	}
	layers := [][]Variable{base, own, dotenv}
	for _, l := range [][]Variable{instance, s.Group, s.Project} {
		layers = append(layers, inScope(l, name, t.ProtectedRef))
	}
	layers = append(layers, t.Variables)
	all := override(layers...)
	if job != nil && job.Environment != nil && job.Environment.URL != "" {
		all = override(all, []Variable{{Key: "CI_ENVIRONMENT_URL", Value: job.Environment.URL}})
	}
	if job != nil && job.Image != nil {
		all = override(all, []Variable{{Key: "CI_JOB_IMAGE", Value: job.Image.Name}})
	}
	return all
}

// inScope drops the variables that a ref or an environment does not get, and
// puts those with the more exact scope last.
func inScope(vars []Variable, environment string, protected bool) []Variable {
	var out []Variable
	for _, v := range vars {
		if v.Protected && !protected {
			continue
		}
		if fitsScope(v.EnvironmentScope, environment) {
			out = append(out, v)
		}
	}
	slices.SortStableFunc(out, func(a, b Variable) int {
		return exactness(a.EnvironmentScope) - exactness(b.EnvironmentScope)
	})
	return out
}

func exactness(scope string) int {
	switch {
	case scope == "" || scope == "*":
		return 0
	case strings.Contains(scope, "*"):
		return len(scope)
	}
	return 1 << 20
}

func fitsScope(scope, environment string) bool {
	if scope == "" || scope == "*" {
		return true
	}
	if environment == "" {
		return false
	}
	parts := strings.Split(scope, "*")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	ok, err := regexp.MatchString("^"+strings.Join(parts, ".*")+"$", environment)
	return err == nil && ok
}
