package gitlab

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
)

func (c *call) jobEntity(j *job) object {
	s := c.s
	p, x := s.st.projects[j.ProjectID], s.pipes[j.PipelineID]
	own := &call{s: s, user: c.user, project: p}
	var duration, queued, runner any
	if j.StartedAt != nil {
		end := s.now()
		if j.FinishedAt != nil {
			end = *j.FinishedAt
		}
		duration = end.Sub(*j.StartedAt).Seconds()
		if j.Spec.Trigger == nil {
			runner = object{"id": 1, "description": "sandbox", "ip_address": nil, "active": true, "paused": false, "is_shared": true, "runner_type": "instance_type", "name": "gitlab-runner", "online": true, "status": "online"}
		}
		if j.QueuedAt != nil {
			queued = j.StartedAt.Sub(*j.QueuedAt).Seconds()
		}
	}
	tags := j.Spec.Tags
	if tags == nil {
		tags = []string{}
	}
	o := object{
		"id": j.ID, "status": j.Status, "stage": j.Spec.Stage, "name": j.Spec.Name, "ref": x.Ref, "tag": x.Tag, "coverage": nil,
		"allow_failure": j.Spec.AllowFailure, "created_at": j.CreatedAt, "started_at": j.StartedAt, "finished_at": j.FinishedAt, "erased_at": nil,
		"duration": duration, "queued_duration": queued, "user": s.basicUser(j.UserID), "commit": own.commitEntity(p.Repo.Commits[x.SHA]),
		"pipeline": own.pipelineBasic(x), "web_url": s.URL + "/" + p.Path + "/-/jobs/" + strconv.FormatInt(j.ID, 10),
		"project": object{"ci_job_token_scope_enabled": false},
	}
	if j.Status == "failed" {
		o["failure_reason"] = j.FailureReason
	}
	if j.Spec.Trigger != nil {
		o["downstream_pipeline"] = nil
		if child := s.pipes[j.Downstream]; child != nil {
			o["downstream_pipeline"] = own.pipelineBasic(child)
		}
		return o
	}
	artifacts := []object{}
	if len(j.Trace) > 0 {
		artifacts = append(artifacts, object{"file_type": "trace", "size": len(j.Trace), "filename": "job.log", "file_format": nil})
	}
	o["artifacts"], o["artifacts_expire_at"], o["runner"], o["runner_manager"], o["tag_list"], o["archived"] = artifacts, nil, runner, nil, tags, false
	return o
}

// jobs lists jobs, the newest first, as scope and include_retried ask for.
func (c *call) jobs(all []*job) (int, any, error) {
	scope := c.params.list("scope")
	for _, want := range scope {
		if !slices.Contains(statuses, want) {
			return 0, nil, invalid("scope does not have a valid value")
		}
	}
	all = slices.DeleteFunc(all, func(j *job) bool { return len(scope) > 0 && !slices.Contains(scope, j.Status) })
	slices.SortFunc(all, func(a, b *job) int { return int(b.ID - a.ID) })
	some, err := page(c, all)
	out := make([]object, 0, len(some))
	for _, j := range some {
		out = append(out, c.jobEntity(j))
	}
	return http.StatusOK, out, err
}

func isBridge(j *job) bool { return j.Spec.Trigger != nil }
func isBuild(j *job) bool  { return j.Spec.Trigger == nil }

func listPipelineJobs(c *call) (int, any, error) {
	x, err := c.pipeline()
	if err != nil {
		return 0, nil, err
	}
	retried, err := c.params.boolean("include_retried", false)
	if err != nil {
		return 0, nil, err
	}
	return c.jobs(slices.DeleteFunc(c.project.jobsOf(x.ID, retried), isBridge))
}

func listBridges(c *call) (int, any, error) {
	x, err := c.pipeline()
	if err != nil {
		return 0, nil, err
	}
	return c.jobs(slices.DeleteFunc(c.project.jobsOf(x.ID, false), isBuild))
}

func listJobs(c *call) (int, any, error) {
	retried, err := c.params.boolean("include_retried", false)
	if err != nil {
		return 0, nil, err
	}
	return c.jobs(slices.DeleteFunc(slices.Clone(c.project.Jobs), func(j *job) bool { return isBridge(j) || j.Retried && !retried }))
}

func (c *call) job() (*job, error) {
	id, err := c.number("job")
	if err != nil {
		return nil, err
	}
	if j := c.s.jobs[id]; j != nil && j.ProjectID == c.project.ID {
		return j, nil
	}
	return nil, notFound("")
}

func getJob(c *call) (int, any, error) {
	j, err := c.job()
	if err != nil || isBridge(j) {
		return 0, nil, notFound("")
	}
	return http.StatusOK, c.jobEntity(j), nil
}

func getTrace(c *call) (int, any, error) {
	j, err := c.job()
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, raw{contentType: "text/plain", body: slices.Clone(j.Trace), header: http.Header{"Content-Disposition": {"inline"}}}, nil
}

// mayRun says whether the caller may run jobs on the pipeline's ref.
func (c *call) mayRun(x *pipeline) bool {
	return x.Tag || x.MR != 0 || c.canPush(x.Ref) || c.canMerge(x.Ref)
}

func retryable(j *job) bool {
	return !j.Retried && slices.Contains([]string{"success", "failed", "canceled"}, j.Status)
}

func retryJob(c *call) (int, any, error) {
	j, err := c.job()
	switch {
	case err != nil:
		return 0, nil, err
	case !c.mayRun(c.s.pipes[j.PipelineID]):
		return 0, nil, forbidden("")
	case !retryable(j):
		return 0, nil, forbidden("Job is not retryable")
	}
	n := c.s.retry(c.project, j, c.user.ID)
	c.s.advance(c.s.pipes[j.PipelineID])
	return http.StatusCreated, c.jobEntity(n), nil
}

// playJob starts a manual job. One that has ended is run once more, as a new
// job: GitLab takes playing it again for a retry.
func playJob(c *call) (int, any, error) {
	j, err := c.job()
	if err != nil {
		return 0, nil, err
	}
	given, err := readVariables(c.params, "job_variables_attributes")
	switch {
	case err != nil:
		return 0, nil, err
	case !c.mayRun(c.s.pipes[j.PipelineID]):
		return 0, nil, forbidden("")
	case j.Spec.When != "manual" || j.Status != "manual" && !retryable(j):
		return 0, nil, refuse(http.StatusBadRequest, "400 Bad request - Unplayable Job")
	case len(given) > 0 && !c.mayGive():
		return 0, nil, forbidden("")
	}
	j.Given = append(j.Given, given...)
	o := c.jobEntity(c.s.play(c.project, j, c.user.ID))
	for _, k := range []string{"artifacts", "artifacts_expire_at", "runner", "runner_manager", "tag_list", "archived"} {
		delete(o, k) // this endpoint alone answers with the short form
	}
	return http.StatusOK, o, nil
}

func cancelJob(c *call) (int, any, error) {
	j, err := c.job()
	if err != nil {
		return 0, nil, err
	}
	if !c.mayRun(c.s.pipes[j.PipelineID]) || !c.s.stop(j) {
		return 0, nil, forbidden("")
	}
	c.s.advance(c.s.pipes[j.PipelineID])
	return http.StatusCreated, c.jobEntity(j), nil
}

// play runs a manual job and whatever was skipped because it had not run.
func (s *Server) play(p *project, j *job, userID int64) *job {
	if j.Status != "manual" {
		j = s.retry(p, j, userID)
	} else {
		j.UserID = userID
		s.enqueue(j)
		s.revive(p, j)
	}
	s.advance(s.pipes[j.PipelineID])
	return j
}

func (s *Server) retry(p *project, j *job, userID int64) *job {
	n := s.clone(p, j)
	n.UserID = userID
	s.enqueue(n)
	s.revive(p, n)
	return n
}

// stop cancels a job that has not ended; it says whether there was something to cancel.
func (s *Server) stop(j *job) bool {
	if finished(j.Status) || j.Status == "manual" {
		return false
	}
	if cancel := s.active[j.ID]; cancel != nil {
		cancel()
	}
	s.move(j, "canceled")
	return true
}

// Play plays the newest job of that name which waits for a human, as a human
// developer would. The name may be of any pipeline of the project.
func (s *Server) Play(path, jobName string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.mustProject(path)
	if err != nil {
		return err
	}
	for _, j := range slices.Backward(p.Jobs) {
		if j.Spec.Name == jobName && j.Status == "manual" && !j.Retried {
			s.play(p, j, humanID)
			return nil
		}
	}
	return fmt.Errorf("gitlab stand-in: %s has no job %s that waits to be played", path, jobName)
}

// RunPipeline runs a pipeline as a human does with the button; ref "" is the
// default branch. It returns the pipeline's id.
func (s *Server) RunPipeline(path, ref string, variables ...ci.Variable) (int64, error) {
	s.mu.Lock()
	p, err := s.mustProject(path)
	if err != nil {
		s.mu.Unlock()
		return 0, err
	}
	if ref == "" {
		ref = p.DefaultBranch
	}
	o := creation{project: p, ref: ref, sha: p.Repo.Branches[ref], source: "web", user: humanID, variables: variables}
	s.mu.Unlock()
	x, problems := s.create(o)
	if x == nil {
		return 0, fmt.Errorf("gitlab stand-in: no pipeline for %s: %v", path, problems)
	}
	return x.ID, nil
}
