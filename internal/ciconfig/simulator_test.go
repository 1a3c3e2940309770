package ciconfig

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

// A simulator runs the pipelines of a project one after the other against a registry that
// it keeps: job by job in the order of the stages and needs, with an interpreter for the
// scripts and stand-ins for docker and the like. It knows as much of GitLab as the projects
// of TestSimulated use, and nothing of the code that it tests.
type simulator struct {
	files     map[string]string // of the repository
	base      string            // $CI_REGISTRY_IMAGE
	immutable bool
	tags      map[string]string // reference -> what was built
	digests   map[string]string // repository@digest -> what was built
	uses      map[place][]event
	says      map[place][]string // what jobs hand to programs that are no tools for images
	pushed    map[string]string  // what was built -> the reference that it was pushed to last
	pusher    map[string]place
	first     map[string]place  // who pushed it first
	released  map[string]string // references with a git tag -> what was built
	pushedBy  map[string]place  // reference -> who pushed it last
	twice     map[string]bool   // the names of images with a tag that several jobs pushed
	ran       map[place]bool
	faults    []fault
	read      map[string]map[string]any // CI files
}

// place is a job of a pipeline.
type place struct{ pipeline, job string }

// event is an own image that a job uses, and what the registry, or the job's docker, has of it.
type event struct {
	ref   string
	image string // what was built, "" for nothing
}

// fault is a push that a registry refuses, or of an image that is not there, or a reference that
// docker refuses: what the job does behind that is nothing to compare with.
type fault struct {
	place
	what string // pushed again, not there, invalid, own job image, script
	ref  string
}

// simulated is a pipeline that a project may have.
type simulated struct {
	name    string
	env     map[string]string
	asks    string // a word of the project without which there is none
	changed string // the directory that its commit has changed, "" for all
}

func pipelineOf(name, commit, source, branch, tag, asks, changed string) simulated {
	ref := branch + tag
	env := map[string]string{
		"CI_COMMIT_SHA": strings.Repeat(commit, 40), "CI_COMMIT_SHORT_SHA": strings.Repeat(commit, 8), "CI_PIPELINE_ID": "100" + name, "CI_PIPELINE_IID": name,
		"CI_PIPELINE_SOURCE": source, "CI_DEFAULT_BRANCH": "main", "CI_COMMIT_REF_NAME": ref, "CI_COMMIT_REF_SLUG": strings.NewReplacer("/", "-", ".", "-").Replace(ref), "CI": "true",
		"CI_PROJECT_PATH": "team/shop", "CI_PROJECT_NAMESPACE": "team", "CI_PROJECT_NAME": "shop", "CI_PROJECT_DIR": checkout,
	}
	switch {
	case source == mergeRequest:
		env["CI_MERGE_REQUEST_IID"] = "7"
	case branch != "":
		env["CI_COMMIT_BRANCH"] = branch
	default:
		env["CI_COMMIT_TAG"] = tag
	}
	return simulated{name, env, asks, changed}
}

// history is what happens to each project.
var history = []simulated{
	pipelineOf("1", "a", "push", "main", "", "", ""),
	pipelineOf("2", "b", "push", "feature/x", "", "", ""),
	pipelineOf("3", "b", mergeRequest, "feature/x", "", "merge_request", ""),
	pipelineOf("4", "c", "push", "main", "", "", "api"),
	pipelineOf("5", "c", "push", "", "v1.2.3", "TAGS", ""),
	pipelineOf("6", "c", "schedule", "main", "", "schedule", ""),
	pipelineOf("7", "d", "push", "main", "", "", "web"),
	pipelineOf("8", "e", "push", "release/1.2", "", "release[/]", ""),
}

// simulate runs the history of a project. The text of all its files before the rewrite says
// which pipelines there are.
func simulate(t *testing.T, files map[string]string, text, base string, immutable bool) *simulator {
	t.Helper()
	s := &simulator{
		files: files, base: base, immutable: immutable, tags: map[string]string{}, digests: map[string]string{}, uses: map[place][]event{}, says: map[place][]string{},
		pushed: map[string]string{}, pusher: map[string]place{}, first: map[string]place{}, released: map[string]string{}, pushedBy: map[string]place{}, twice: map[string]bool{}, ran: map[place]bool{}, read: map[string]map[string]any{},
	}
	for _, p := range history {
		if strings.Contains(text, p.asks) || p.asks == "TAGS" && (strings.Contains(text, "CI_COMMIT_TAG") || strings.Contains(text, "tags]")) {
			s.pipeline(t, p, ".gitlab-ci.yml", nil, "")
		}
	}
	return s
}

// outcome is what a job leaves to those after it.
type outcome struct {
	job     string
	stage   int
	reports map[string]string // variables of its dotenv report
	files   map[string]string // its artifacts
}

// pipeline runs one, or the child of one, whose trigger job hands variables down.
func (s *simulator) pipeline(t *testing.T, p simulated, file string, handed map[string]string, parent string) {
	t.Helper()
	c := s.configuration(t, file)
	var done []outcome
	for _, j := range c.jobs(p, s.files) {
		env := maps.Clone(p.env)
		env["CI_REGISTRY_IMAGE"], env["CI_REGISTRY"], env["CI_JOB_NAME"] = s.base, path.Dir(path.Dir(s.base)), j.name
		for _, vars := range []any{c.root["variables"], c.workflow(p), j.keys["variables"]} {
			addVariables(env, vars)
		}
		maps.Copy(env, j.matrix)
		addVariables(env, j.rule)
		files := maps.Clone(s.files)
		for _, o := range done {
			if j.takesFrom(o.job, o.stage) {
				maps.Copy(env, o.reports)
				maps.Copy(files, o.files)
			}
		}
		maps.Copy(env, handed)
		if name := environmentName(j.keys["environment"]); name != "" {
			env["CI_ENVIRONMENT_NAME"] = gitlabText(name, env, 0)
			env["CI_ENVIRONMENT_SLUG"] = strings.ReplaceAll(env["CI_ENVIRONMENT_NAME"], "/", "-")
		}
		for k, v := range env {
			env[k] = gitlabText(v, env, 0)
		}
		where := place{p.name, parent + j.name + fmt.Sprint(j.matrix)}
		s.ran[where] = true
		if trigger, ok := j.keys["trigger"].(map[string]any); ok && trigger["project"] != nil {
			s.triggered(where, j, env)
			continue
		} else if ok {
			s.child(t, p, trigger, j, c, env, parent)
			continue
		}
		d := &machine{simulator: s, place: where, env: env, local: map[string]string{}, files: files, built: map[string]int{}, containers: map[string]string{}}
		d.job(t, j)
		done = append(done, d.leaves(j))
	}
}

// environmentName is the name of a job's environment, "" for none.
func environmentName(v any) string {
	if m, ok := v.(map[string]any); ok {
		v = m["name"]
	}
	name, _ := v.(string)
	return name
}

// triggered is what a job hands to another project: own images with their tags, which are
// deployed there.
func (s *simulator) triggered(where place, j simulatedJob, env map[string]string) {
	vars, _ := j.keys["variables"].(map[string]any)
	for _, k := range sortedKeys(vars) {
		if rest, own := strings.CutPrefix(env[k], s.base); own && strings.Contains(rest, ":") {
			s.uses[where] = append(s.uses[where], event{env[k], s.has(env[k])})
		}
	}
}

// child runs the child pipeline of a trigger job.
func (s *simulator) child(t *testing.T, p simulated, trigger map[string]any, j simulatedJob, c configuration, env map[string]string, parent string) {
	t.Helper()
	handed := map[string]string{}
	for _, vars := range []any{c.root["variables"], j.keys["variables"], j.rule} {
		if m, ok := vars.(map[string]any); ok {
			for k := range m {
				handed[k] = env[k]
			}
		}
	}
	for k := range j.matrix {
		handed[k] = env[k]
	}
	p.env = maps.Clone(p.env)
	p.env["CI_PIPELINE_ID"] = fmt.Sprint(9, len(parent)/8, p.env["CI_PIPELINE_ID"], len(j.name))
	p.env["CI_PIPELINE_SOURCE"] = "parent_pipeline"
	for _, file := range localIncludes(trigger["include"]) {
		s.pipeline(t, p, gitlabText(file, env, 0), handed, parent+j.name+fmt.Sprint(j.matrix)+"/")
	}
}

func addVariables(env map[string]string, vars any) {
	if m, ok := vars.(map[string]any); ok {
		for k, v := range m {
			if described, ok := v.(map[string]any); ok {
				v = described["value"]
			}
			env[k] = fmt.Sprint(v)
		}
	}
}

// runnerSets is how the runner's shell begins: a command that fails ends the job.
const runnerSets = "set -eo pipefail\n"

// job runs a job's scripts in its image and beside its services.
func (d *machine) job(t *testing.T, j simulatedJob) {
	t.Helper()
	if image := imageName(j.keys["image"]); image != "" && !d.started(gitlabText(image, d.env, 0), d.place) {
		return
	}
	if services, ok := j.keys["services"].([]any); ok {
		for _, v := range services {
			d.started(gitlabText(imageName(v), d.env, 0), d.services())
		}
	}
	d.run(t, runnerSets+strings.Join(append(list(j.keys["before_script"]), list(j.keys["script"])...), "\n"), d.env, nil, "")
	d.run(t, runnerSets+strings.Join(list(j.keys["after_script"]), "\n"), d.env, nil, "")
}

// services is where the uses of services are counted, which no order binds to the others.
func (d *machine) services() place { return place{d.place.pipeline, d.place.job + " services"} }

// started says whether the runner can start an image that it pulls itself.
func (d *machine) started(image string, at place) bool {
	if !strings.HasPrefix(image, d.base) {
		return true
	}
	if d.immutable {
		d.fault("own job image", image)
	}
	d.uses[at] = append(d.uses[at], event{image, d.has(image)})
	return d.has(image) != ""
}

func imageName(v any) string {
	if m, ok := v.(map[string]any); ok {
		v = m["name"]
	}
	name, _ := v.(string)
	return name
}

// leaves is what a job that is done leaves to others.
func (d *machine) leaves(j simulatedJob) outcome {
	o := outcome{job: j.name, stage: j.stage, reports: map[string]string{}, files: map[string]string{}}
	artifacts, _ := j.keys["artifacts"].(map[string]any)
	for _, name := range list(artifacts["paths"]) {
		for file, text := range d.files {
			if file == name || strings.HasPrefix(file, strings.TrimSuffix(name, "*")) && strings.HasSuffix(name, "/*") {
				o.files[file] = text
			}
		}
	}
	if reports, ok := artifacts["reports"].(map[string]any); ok {
		for _, name := range list(reports["dotenv"]) {
			for line := range strings.Lines(d.files[name]) {
				if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
					o.reports[name] = value
				}
			}
		}
	}
	return o
}

// takesFrom says whether a job gets the artifacts of another: of those that it needs, else of
// all in earlier stages.
func (j simulatedJob) takesFrom(name string, stage int) bool {
	if _, ok := j.keys["needs"]; ok {
		return slices.ContainsFunc(j.needs(), func(n need) bool { return n.job == name && !n.bare })
	}
	return stage < j.stage
}
