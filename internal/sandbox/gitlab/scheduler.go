package gitlab

import (
	"slices"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
)

// advance moves a pipeline's jobs as far as they can go now: what came before
// each is looked at, and it is queued, skipped or left for a human. s.mu is held.
func (s *Server) advance(x *pipeline) {
	p := s.st.projects[x.ProjectID]
	jobs := p.jobsOf(x.ID, false)
	slices.SortStableFunc(jobs, func(a, b *job) int { return a.StageIndex - b.StageIndex })
	for moved := true; moved; {
		moved = false
		for _, j := range jobs {
			if j.Status != "created" {
				continue
			}
			before := statusBefore(jobs, j)
			if !finished(before) {
				continue
			}
			moved = true
			s.ensureDeployment(p, x, j)
			switch {
			case !admits(j, before):
				s.move(j, "skipped")
			case j.Spec.When == "manual":
				s.move(j, "manual")
			default: // a delayed job is not kept waiting: nobody here has the time
				s.enqueue(j)
			}
		}
	}
	s.settle(p, x)
	s.dispatch()
}

// statusBefore is the status of what a job waits for: the jobs it needs, or
// all jobs of earlier stages.
func statusBefore(jobs []*job, j *job) string {
	var before []*job
	for _, other := range jobs {
		if j.Spec.HasNeeds && needs(j, other) || !j.Spec.HasNeeds && other.StageIndex < j.StageIndex {
			before = append(before, other)
		}
	}
	if status := composite(before, j.Spec.HasNeeds); status != "" {
		return status
	}
	return "success"
}

// needs says whether j names the other job; the name of a parallel job means
// all its instances.
func needs(j, other *job) bool {
	return slices.ContainsFunc(j.Spec.Needs, func(n ci.Need) bool { return instanceOf(other, n.Job) })
}

func instanceOf(j *job, name string) bool { return j.Spec.Name == name || j.Spec.Group == name }

// enqueue makes a job pending, or lets it wait for its resource group.
func (s *Server) enqueue(j *job) {
	if g := j.Spec.ResourceGroup; g != "" && s.holder(j) != nil {
		s.move(j, "waiting_for_resource")
		return
	}
	s.move(j, "pending")
	s.queue = append(s.queue, j.ID)
}

// holder is the job that has the resource group which j asks for.
func (s *Server) holder(j *job) *job {
	for _, other := range s.st.projects[j.ProjectID].Jobs {
		if other != j && other.Spec.ResourceGroup == j.Spec.ResourceGroup && (other.Status == "pending" || other.Status == "running") {
			return other
		}
	}
	return nil
}

// release gives a freed resource group to the job that has waited longest.
func (s *Server) release(j *job) {
	if j.Spec.ResourceGroup == "" || s.holder(j) != nil {
		return
	}
	for _, other := range s.st.projects[j.ProjectID].Jobs {
		if other.Status == "waiting_for_resource" && other.Spec.ResourceGroup == j.Spec.ResourceGroup {
			s.enqueue(other)
			s.settle(s.st.projects[other.ProjectID], s.pipes[other.PipelineID])
			return
		}
	}
}

// move gives a job another status, with all that hangs on it.
func (s *Server) move(j *job, status string) {
	now := s.now()
	j.Status = status
	switch status {
	case "pending":
		j.QueuedAt = &now
	case "running":
		j.StartedAt = &now
	case "success", "failed", "canceled":
		j.FinishedAt = &now
	}
	p := s.st.projects[j.ProjectID]
	s.syncDeployment(p, j)
	s.touch(p)
}

// settle computes a pipeline's status and tells those who wait for it.
func (s *Server) settle(p *project, x *pipeline) {
	status := composite(p.jobsOf(x.ID, false), false)
	if status == "" || status == x.Status {
		return
	}
	now := s.now()
	x.Status, x.UpdatedAt, x.FinishedAt = status, now, nil
	if status == "running" && x.StartedAt == nil {
		x.StartedAt = &now
	}
	if finished(status) {
		x.FinishedAt = &now
	}
	s.touch(p)
	s.reportUp(x)
	s.autoMerge(p, x)
}

// dispatch hands pending jobs to free runners, the oldest first; a job for
// whose tags there is no runner stays pending. s.mu is held.
func (s *Server) dispatch() {
	if s.closed {
		return
	}
	var rest []int64
	for i, id := range s.queue {
		j := s.jobs[id]
		switch {
		case j == nil || j.Status != "pending":
		case j.Spec.Trigger != nil:
			s.spawn(func() { s.runBridge(j) })
		case !s.hasRunner(j):
			rest = append(rest, id)
		case len(s.active) >= s.opt.Runners:
			rest = append(rest, s.queue[i:]...)
			s.queue = rest
			return
		default:
			s.run(j)
		}
	}
	s.queue = rest
}

func (s *Server) hasRunner(j *job) bool {
	if s.opt.Executor == nil {
		return false
	}
	return !slices.ContainsFunc(j.Spec.Tags, func(t string) bool { return !slices.Contains(s.opt.RunnerTags, t) })
}

// resume goes on where the last process stopped. Jobs that were running died
// with it; bridges only wait, and are looked at again. s.mu is held.
func (s *Server) resume() {
	for _, p := range s.st.projects {
		for _, u := range p.Pushes {
			s.await(p, u)
		}
		for _, j := range slices.Clone(p.Jobs) {
			switch {
			case j.Status == "running" && j.Spec.Trigger != nil && j.Downstream == 0, j.Status == "pending":
				j.Status = "pending"
				s.queue = append(s.queue, j.ID)
			case j.Status == "running" && j.Spec.Trigger == nil:
				s.fail(j, "runner_system_failure")
			}
		}
	}
	slices.Sort(s.queue)
	for _, p := range s.st.projects {
		for _, x := range slices.Clone(p.Pipelines) {
			if !finished(x.Status) {
				s.advance(x)
			}
			s.reportUp(x)
		}
	}
}
