package ci

import "fmt"

// seed chooses the jobs that the trigger gets, as GitLab does when it creates
// the pipeline.
func (c *compiler) seed(p *Pipeline, r *root, jobs []*definition) {
	global := r.variables
	if r.ruled {
		known := values(override(collect(c.project, c.trigger, c.settings, &Job{Variables: global}, 0, nil)))
		matched := c.match(r.workflow, known, place{c.project.Path, c.trigger.SHA})
		if matched == nil || matched.when == "never" {
			p.Filtered = true
			return
		}
		global = override(global, matched.variables)
	}
	byStage := map[string][]Job{}
	chosen := map[string]bool{}
	real := false // a job outside .pre and .post
	var problems []string
	for _, d := range jobs {
		job, ok, problem := c.choose(d, global)
		if problem != "" {
			problems = append(problems, problem)
		}
		if ok {
			byStage[job.Stage] = append(byStage[job.Stage], job)
			chosen[job.Name] = true
			real = real || job.Stage != ".pre" && job.Stage != ".post"
		}
	}
	if !real && len(problems) == 0 {
		p.Filtered = true
		return
	}
	for _, stage := range r.stages {
		for _, job := range byStage[stage] {
			var missing []string
			job.Needs, missing = presentNeeds(job, chosen)
			problems = append(problems, missing...)
			p.Jobs = append(p.Jobs, job)
		}
	}
	if len(problems) > 0 {
		panic(failure{&ConfigError{Messages: problems}})
	}
}

// choose evaluates a job's rules or only and except.
func (c *compiler) choose(d *definition, global []Variable) (job Job, ok bool, problem string) {
	job = d.Job
	var inherited []Variable
	for _, v := range global {
		if d.inherits(v.Key) {
			inherited = append(inherited, v)
		}
	}
	job.Variables = override(inherited, d.variables)
	all := collect(c.project, c.trigger, c.settings, &job, 0, nil)
	c.spend(8 * len(all))
	known := values(all)
	switch {
	case d.ruled:
		r := c.match(d.rules, known, place{c.project.Path, c.trigger.SHA})
		if r == nil || r.when == "never" {
			return job, false, ""
		}
		if r.when != "" {
			job.When = r.when
		}
		if r.allowFailure != nil {
			job.AllowFailure, job.FailureCodes = *r.allowFailure, nil
		}
		if r.hasNeeds {
			job.Needs, job.HasNeeds = r.needs, true
		}
		job.Variables = override(job.Variables, r.variables)
	case d.only != nil && !d.only.all(c, known), d.except != nil && d.except.any(c, known):
		return job, false, ""
	}
	if circle := newExpander(all).circular(all); circle != nil {
		problem = fmt.Sprintf("%s: circular variable reference detected: %q", job.Name, circle)
	}
	tags := make([]string, len(job.Tags))
	for i, t := range job.Tags {
		tags[i] = expandExisting(t, known)
	}
	job.Tags = tags
	return job, true, problem
}

// presentNeeds drops optional needs on jobs that the pipeline lacks; other such
// needs are faults.
func presentNeeds(job Job, chosen map[string]bool) (needs []Need, missing []string) {
	for _, n := range job.Needs {
		switch {
		case chosen[n.Job]:
			needs = append(needs, n)
		case !n.Optional:
			missing = append(missing, fmt.Sprintf("'%s' job needs '%s' job, but '%s' does not exist in the pipeline. This might be because of the only, except, or rules keywords. To need a job that sometimes does not exist in the pipeline, use needs:optional.", job.Name, n.Job, n.Job))
		}
	}
	return needs, missing
}
