package gitlab

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
)

// runBridge creates the pipeline that a trigger job asks for: a child of the
// same project from given files, or the pipeline of another project's branch.
func (s *Server) runBridge(j *job) {
	s.mu.Lock()
	if j.Status != "pending" {
		s.mu.Unlock()
		return
	}
	p, x := s.st.projects[j.ProjectID], s.pipes[j.PipelineID]
	s.move(j, "running")
	s.settle(p, x)
	b := j.Spec.Trigger
	project := s.ciProject(p)
	s.mu.Unlock()
	instance, group := s.outside(project)

	s.mu.Lock()
	e := s.execution(p, x, j, append(s.predefined(p, x), instance...), group)
	environ := ci.Environ(e)
	o := creation{project: p, ref: x.Ref, tag: x.Tag, sha: x.SHA, before: x.BeforeSHA, user: j.UserID, source: "parent_pipeline", mr: x.MR, bridge: j.ID}
	for _, v := range j.Spec.Variables { // YAML variables of a trigger job are handed down, expanded
		if !v.Raw {
			v.Value = ci.Expand(v.Value, environ)
		}
		o.variables = append(o.variables, v)
	}
	reason := ""
	if b.Project != "" {
		o.source, o.mr, o.tag, o.before = "pipeline", 0, false, ""
		o.project = s.projectByPath(ci.Expand(b.Project, environ))
		switch {
		case o.project == nil:
			reason = "downstream_bridge_project_not_found"
		case o.project.Archived || s.level(s.user(j.UserID), o.project) < Developer:
			reason = "insufficient_bridge_permissions"
		default:
			if o.ref = ci.Expand(b.Branch, environ); o.ref == "" {
				o.ref = o.project.DefaultBranch
			}
			o.sha = o.project.Repo.Branches[o.ref]
		}
	} else {
		o.content = includeLocal(b.Include, environ)
	}
	s.mu.Unlock()

	var child *pipeline
	var problems []string
	if reason == "" {
		if child, problems = s.create(o); child == nil {
			reason = "downstream_pipeline_creation_failed"
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case reason != "":
		s.log.Debug("no downstream pipeline", "project", p.Path, "job", j.Spec.Name, "reason", reason, "problems", problems)
		s.fail(j, reason)
	default:
		j.Downstream = child.ID
		if b.Depend {
			s.reportUp(child)
		} else {
			s.move(j, "success")
		}
	}
	s.advance(x)
}

// includeLocal is the configuration of a child pipeline made of files of the project.
func includeLocal(paths []string, environ []ci.Variable) []byte {
	var includes []map[string]string
	for _, p := range paths {
		includes = append(includes, map[string]string{"local": "/" + strings.TrimPrefix(ci.Expand(p, environ), "/")})
	}
	text, _ := yaml.Marshal(map[string]any{"include": includes}) // strings always marshal
	return text
}

// reportUp lets a bridge with strategy depend show what its pipeline came to.
// s.mu is held.
func (s *Server) reportUp(x *pipeline) {
	j := s.jobs[x.Bridge]
	if j == nil || j.Downstream != x.ID || j.Retried || j.Spec.Trigger == nil || !j.Spec.Trigger.Depend {
		return
	}
	status, reason := "running", ""
	switch x.Status {
	case "success", "skipped":
		status = "success"
	case "failed":
		status, reason = "failed", "downstream_pipeline_failed"
	case "canceled":
		status = "canceled"
	}
	if status == j.Status {
		return
	}
	j.FailureReason = reason
	s.move(j, status)
	s.spawn(func() { // not at once: the caller is in the middle of the child
		s.mu.Lock()
		defer s.mu.Unlock()
		s.advance(s.pipes[j.PipelineID])
	})
}

// descendants lists the pipelines below one, through bridges. s.mu is held.
func (s *Server) descendants(x *pipeline) []*pipeline {
	var out []*pipeline
	for _, j := range s.st.projects[x.ProjectID].jobsOf(x.ID, true) {
		if child := s.pipes[j.Downstream]; child != nil && !slices.Contains(out, child) {
			out = append(append(out, child), s.descendants(child)...)
		}
	}
	return out
}
