package ci

import (
	"slices"
	"strings"
)

// logical checks how jobs refer to stages and to each other; like GitLab it
// stops at the first fault.
func logical(r *root, jobs []*definition) {
	byName := map[string]*definition{}
	for _, d := range jobs {
		byName[d.Name] = d
	}
	stage := func(d *definition) int { return slices.Index(r.stages, d.Stage) }
	depend := func(d *definition, name, kind string, optional bool) {
		other, ok := byName[name]
		switch {
		case !ok && optional:
		case !ok:
			fail("%s job: undefined %s: %s", d.Name, kind, name)
		case stage(other) < 0 || stage(other) > stage(d):
			fail("%s job: %s %s is not defined in current or prior stages", d.Name, kind, name)
		}
	}
	needed := func(d *definition, needs []Need) {
		seen, twice := map[string]bool{}, []string(nil)
		for _, n := range needs {
			depend(d, n.Job, "need", n.Optional)
			if seen[n.Job] && !slices.Contains(twice, n.Job) {
				twice = append(twice, n.Job)
			}
			seen[n.Job] = true
		}
		if len(twice) > 0 {
			fail("%s has the following needs duplicated: %s.", d.Name, strings.Join(twice, ", "))
		}
	}
	for _, d := range jobs {
		if stage(d) < 0 {
			fail("%s job: chosen stage %s does not exist; available stages are %s", d.Name, d.Stage, strings.Join(r.stages, ", "))
		}
		for _, name := range d.Dependencies {
			depend(d, name, "dependency", false)
		}
		needed(d, d.Needs)
		for _, rule := range d.rules {
			needed(d, rule.needs)
		}
		stops(d, byName)
	}
	if circular(jobs, byName) {
		fail("The pipeline has circular dependencies")
	}
}

func stops(d *definition, byName map[string]*definition) {
	if d.Environment == nil || d.Environment.OnStop == "" {
		return
	}
	name := d.Environment.OnStop
	stop, ok := byName[name]
	switch {
	case !ok:
		fail("%s job: on_stop job %s is not defined", d.Name, name)
	case stop.Environment == nil:
		fail("%s job: on_stop job %s does not have environment defined", d.Name, name)
	case stop.Environment.Name != d.Environment.Name:
		fail("%s job: on_stop job %s have different environment name", d.Name, name)
	case stop.Environment.Action != "stop":
		fail("%s job: on_stop job %s needs to have action stop defined", d.Name, name)
	}
}

func circular(jobs []*definition, byName map[string]*definition) bool {
	const visiting, visited = 1, 2
	state := map[string]int{}
	var visit func(d *definition) bool
	visit = func(d *definition) bool {
		switch state[d.Name] {
		case visited:
			return false
		case visiting:
			return true
		}
		state[d.Name] = visiting
		for _, n := range d.Needs {
			if next, ok := byName[n.Job]; ok && visit(next) {
				return true
			}
		}
		state[d.Name] = visited
		return false
	}
	return slices.ContainsFunc(jobs, visit)
}
