package gitlab

import (
	"context"
	"maps"
	"slices"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
)

// maxTrace is where GitLab cuts a job's log by default, in bytes (4 MiB).
const maxTrace = 4 << 20

// trace is a job's log while it is written.
type trace struct {
	s *Server
	j *job
}

func (t trace) Write(b []byte) (int, error) {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	if room := maxTrace - len(t.j.Trace); room > 0 {
		t.j.Trace = append(t.j.Trace, b[:min(room, len(b))]...)
		t.s.touch(t.s.st.projects[t.j.ProjectID])
	}
	return len(b), nil
}

// run starts a pending job on a runner. s.mu is held.
func (s *Server) run(j *job) {
	p, x := s.st.projects[j.ProjectID], s.pipes[j.PipelineID]
	if s.outdated(p, j) {
		s.fail(j, "failed_outdated_deployment_job")
		// The pipeline goes on only after the caller has left the queue.
		s.spawn(func() { s.mu.Lock(); defer s.mu.Unlock(); s.advance(x) })
		return
	}
	ctx, cancel := context.WithCancel(s.ctx)
	s.active[j.ID] = cancel
	s.move(j, "running")
	s.settle(p, x)
	project := s.ciProject(p)
	s.spawn(func() {
		defer cancel()
		instance, group := s.outside(project)
		s.mu.Lock()
		e := s.execution(p, x, j, append(s.predefined(p, x), instance...), group)
		e.Checkout = checkout(p, x.SHA)
		s.mu.Unlock()
		result := s.opt.Executor.Execute(ctx, e, trace{s, j})

		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.active, j.ID)
		if s.ctx.Err() != nil {
			return // we were stopped: the next start decides
		}
		if j.Status == "running" { // else it was canceled meanwhile
			s.finish(p, j, result)
		}
		s.release(j)
		s.advance(x)
	})
}

func (s *Server) finish(p *project, j *job, r ci.Result) {
	keep := map[string]bool{"": r.Status == "success", "on_success": r.Status == "success", "on_failure": r.Status != "success", "always": true}
	if keep[j.Spec.ArtifactsWhen] {
		j.Artifacts, j.Dotenv = r.Artifacts, r.Dotenv
	}
	if r.Status == "success" {
		s.move(j, "success")
		return
	}
	if r.FailureReason == "" {
		r.FailureReason = "script_failure"
	}
	if slices.Contains(j.Spec.FailureCodes, r.ExitCode) {
		j.Spec.AllowFailure = true // allow_failure:exit_codes
	}
	s.fail(j, r.FailureReason)
	if j.Attempt < j.Spec.Retry {
		n := s.clone(p, j)
		n.Attempt = j.Attempt + 1
		s.enqueue(n)
	}
}

func (s *Server) fail(j *job, reason string) {
	j.FailureReason = reason
	s.move(j, "failed")
}

// clone is the job that a retry runs in the place of an old one.
func (s *Server) clone(p *project, j *job) *job {
	j.Retried = true
	n := &job{
		ID: s.id(), PipelineID: j.PipelineID, ProjectID: j.ProjectID, StageIndex: j.StageIndex, Status: "created", UserID: j.UserID,
		Environment: j.Environment, Spec: j.Spec, Given: j.Given, CreatedAt: s.now(),
	}
	p.Jobs = append(p.Jobs, n)
	s.jobs[n.ID] = n
	s.ensureDeployment(p, s.pipes[j.PipelineID], n)
	return n
}

// revive sets skipped jobs back that depend on one which now runs after all:
// those of later stages, and those that need it directly or through others.
func (s *Server) revive(p *project, j *job) {
	jobs := p.jobsOf(j.PipelineID, false)
	alive := []*job{j}
	for i := 0; i < len(alive); i++ {
		for _, other := range jobs {
			depends := needs(other, alive[i])
			if !other.Spec.HasNeeds {
				depends = other.StageIndex > alive[i].StageIndex
			}
			if depends && other.Status == "skipped" {
				s.move(other, "created")
				alive = append(alive, other)
			}
		}
	}
}

// execution gathers what a run of the job gets, except the checkout. s.mu is held.
func (s *Server) execution(p *project, x *pipeline, j *job, instance, group []ci.Variable) ci.Execution {
	e := ci.Execution{
		Project: s.ciProject(p), Trigger: s.trigger(p, x), Job: j.Spec, JobID: j.ID,
		Settings: ci.Settings{
			Instance: append(slices.Clone(instance), s.predefinedJob(p, j)...), Group: group,
			Project: scoped(p.Variables, j.Environment, p.protectedRef(x)),
		},
	}
	e.Trigger.Variables = append(e.Trigger.Variables, j.Given...)
	for _, other := range p.jobsOf(x.ID, false) {
		files, dotenv := handsOn(other, j)
		if files {
			e.Artifacts = append(e.Artifacts, other.Artifacts...)
		}
		if dotenv {
			e.Dotenv = append(e.Dotenv, other.Dotenv...)
		}
	}
	return e
}

// handsOn says what a job gets from an earlier one: what needs or dependencies
// name, or else everything of earlier stages.
func handsOn(from, to *job) (files, dotenv bool) {
	if from.Status != "success" && from.Status != "failed" {
		return false, false
	}
	named := to.Spec.Dependencies == nil || slices.ContainsFunc(to.Spec.Dependencies, func(d string) bool { return instanceOf(from, d) })
	if to.Spec.HasNeeds {
		ok := slices.ContainsFunc(to.Spec.Needs, func(n ci.Need) bool { return n.Artifacts && instanceOf(from, n.Job) })
		return ok && named, ok && named
	}
	ok := from.StageIndex < to.StageIndex && named
	return ok, ok
}

func checkout(p *project, sha string) []ci.Artifact {
	k := p.Repo.Commits[sha]
	var out []ci.Artifact
	for _, path := range slices.Sorted(maps.Keys(k.Files)) {
		e := k.Files[path]
		mode := uint32(0o644)
		if e.Exec {
			mode = 0o755
		}
		out = append(out, ci.Artifact{Path: path, Content: p.Repo.Blobs[e.Blob], Mode: mode})
	}
	return out
}
