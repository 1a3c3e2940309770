package gitlab

import (
	"net/http"
	"regexp"
	"slices"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
)

func action(j *job) string {
	if j.Spec.Environment == nil {
		return ""
	}
	if j.Spec.Environment.Action == "" {
		return "start"
	}
	return j.Spec.Environment.Action
}

var tiers = []struct {
	name string
	expr *regexp.Regexp
}{
	{"development", regexp.MustCompile(`(?i)(dev|review|trunk)`)},
	{"testing", regexp.MustCompile(`(?i)(test|tst|int|ac(ce|)pt|qa|qc|control|quality)`)},
	{"staging", regexp.MustCompile(`(?i)(st(a|)g|mod(e|)l|pre|demo|non)`)},
	{"production", regexp.MustCompile(`(?i)(pr(o|)d|live)`)},
}

// tier guesses an environment's tier from its name, see
// https://docs.gitlab.com/ci/environments/#deployment-tier-of-environments.
func tier(name string) string {
	for _, t := range tiers {
		if t.expr.MatchString(name) {
			return t.name
		}
	}
	return "other"
}

// ensureEnvironment makes the environment that a new job names. s.mu is held.
func (s *Server) ensureEnvironment(p *project, name string) *environment {
	if e := p.environment(name); e != nil || name == "" {
		return e
	}
	e := &environment{ID: s.id(), Name: name, Slug: ci.EnvironmentSlug(name), State: "available", CreatedAt: s.now(), UpdatedAt: s.now()}
	p.Environments = append(p.Environments, e)
	return e
}

// ensureDeployment makes a deployment when a job that starts an environment is
// reached, also when it then waits for a human.
func (s *Server) ensureDeployment(p *project, x *pipeline, j *job) {
	if j.Environment == "" || action(j) != "start" || j.Deployment != 0 {
		return
	}
	e := s.ensureEnvironment(p, j.Environment)
	d := &deployment{ID: s.id(), IID: int64(len(p.Deployments)) + 1, Env: e.ID, JobID: j.ID, Ref: x.Ref, Tag: x.Tag, SHA: x.SHA, Status: "created",
		UserID: j.UserID, CreatedAt: s.now(), UpdatedAt: s.now()}
	p.Deployments = append(p.Deployments, d)
	j.Deployment = d.ID
}

// syncDeployment carries a job's new status over to what it deploys or stops.
func (s *Server) syncDeployment(p *project, j *job) {
	now := s.now()
	e := p.environment(j.Environment)
	if e != nil && action(j) == "stop" && j.Status == "success" {
		e.State, e.UpdatedAt = "stopped", now
	}
	d := p.deployment(j.Deployment)
	if d == nil {
		return
	}
	status := j.Status
	if !finished(status) && status != "running" {
		status = "created"
	}
	if status == d.Status {
		return
	}
	d.Status, d.UpdatedAt, d.UserID, d.FinishedAt = status, now, j.UserID, nil
	if finished(status) {
		d.FinishedAt = &now
	}
	if status == "running" {
		e.State, e.UpdatedAt = "available", now
	}
	if status == "success" {
		x := s.pipes[j.PipelineID]
		environ := ci.Environ(s.execution(p, x, j, s.predefined(p, x), nil))
		e.URL = ci.Expand(j.Spec.Environment.URL, append(environ, j.Dotenv...))
	}
}

// last is the environment's newest successful deployment.
func (p *project) last(e *environment) *deployment {
	for _, d := range slices.Backward(p.Deployments) {
		if d.Env == e.ID && d.Status == "success" {
			return d
		}
	}
	return nil
}

// outdated says whether a newer deployment than the job's has already succeeded,
// see https://docs.gitlab.com/ci/environments/deployment_safety/.
func (s *Server) outdated(p *project, j *job) bool {
	d, e := p.deployment(j.Deployment), p.environment(j.Environment)
	if d == nil || e == nil {
		return false
	}
	last := p.last(e)
	return last != nil && last.ID > d.ID && last.SHA != d.SHA
}

func (c *call) environmentBasic(e *environment) object {
	var external any
	if e.URL != "" {
		external = e.URL
	}
	return object{"id": e.ID, "name": e.Name, "slug": e.Slug, "external_url": external, "created_at": e.CreatedAt, "updated_at": e.UpdatedAt}
}

func (c *call) environmentEntity(e *environment) object {
	o := c.environmentBasic(e)
	o["state"], o["tier"], o["description"] = e.State, tier(e.Name), nil
	o["auto_stop_at"], o["auto_stop_setting"], o["cluster_agent"], o["kubernetes_namespace"], o["flux_resource_path"] = nil, "always", nil, nil, nil
	o["project"] = c.simpleProject(c.project)
	return o
}

func listEnvironments(c *call) (int, any, error) {
	name, search := c.params.str("name"), strings.ToLower(c.params.str("search"))
	if name != "" && search != "" {
		return 0, nil, invalid("name, search are mutually exclusive")
	}
	states, err := c.params.oneOf("states", "", "available", "stopping", "stopped")
	if err != nil {
		return 0, nil, err
	}
	if search != "" && len(search) < 3 {
		return 0, nil, refuse(http.StatusBadRequest, "400 Bad request - Search query is less than 3 characters")
	}
	all := slices.DeleteFunc(slices.Clone(c.project.Environments), func(e *environment) bool {
		return name != "" && e.Name != name || !strings.Contains(strings.ToLower(e.Name), search) || states != "" && e.State != states
	})
	some, err := page(c, all)
	out := make([]object, 0, len(some))
	for _, e := range some {
		out = append(out, c.environmentEntity(e))
	}
	return http.StatusOK, out, err
}

// getEnvironment is the only answer that holds last_deployment.
func getEnvironment(c *call) (int, any, error) {
	id, err := c.number("environment")
	if err != nil {
		return 0, nil, err
	}
	for _, e := range c.project.Environments {
		if e.ID == id {
			o := c.environmentEntity(e)
			o["last_deployment"] = nil
			if d := c.project.last(e); d != nil {
				o["last_deployment"] = c.deploymentEntity(d)
			}
			return http.StatusOK, o, nil
		}
	}
	return 0, nil, notFound("Environment")
}
