package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/diagnose"
	"gitlab.sikt.no/platon/ecrferry/internal/gitlab"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// Baseline is what a project was before we came: the measure for what comes after.
type Baseline struct {
	Pipeline     *BaselinePipeline    `json:"pipeline,omitempty"`
	Environments []BaselineDeployment `json:"environments,omitempty"`
}

// BaselinePipeline is the default branch's last pipeline.
type BaselinePipeline struct {
	ID        int64         `json:"id"`
	SHA       string        `json:"sha"`
	Status    string        `json:"status"`
	URL       string        `json:"url"`
	Failed    []BaselineJob `json:"failed,omitempty"`
	Cause     string        `json:"cause,omitempty"`
	CreatedAt time.Time     `json:"created_at"`
}

// BaselineJob is a job that had failed before we came.
type BaselineJob struct {
	Project int64  `json:"project"` // of the job: a child pipeline's may be another one
	Name    string `json:"name"`
	Cause   string `json:"cause"`
	// Lasting says that the job fails for a reason of the project's own: neither
	// the move to ECR, which is what we are here for, nor a runner that broke down.
	Lasting bool `json:"lasting"`
}

// BaselineDeployment is the newest successful deployment of an environment.
type BaselineDeployment struct {
	Environment string `json:"environment"`
	Tier        string `json:"tier,omitempty"`
	ID          int64  `json:"id"`
	SHA         string `json:"sha"`
	PipelineID  int64  `json:"pipeline_id"`
}

// baselineOf reads what was before we came.
func baselineOf(m store.Migration) (Baseline, error) {
	var b Baseline
	if len(m.Baseline) == 0 {
		return b, nil
	}
	err := json.Unmarshal(m.Baseline, &b)
	return b, err
}

// names lists the jobs that had failed.
func (p BaselinePipeline) names() []string {
	var out []string
	for _, j := range p.Failed {
		out = append(out, j.Name)
	}
	return out
}

// baseline records the state of the default branch before we came.
func (s *survey) baseline(ctx context.Context, t *Task) (Baseline, error) {
	var b Baseline
	pipelines, err := s.GitLab.Pipelines(ctx, t.Project.ID, gitlab.PipelineQuery{Ref: t.Project.DefaultBranch, Limit: 20})
	if err != nil {
		return b, err
	}
	if i := newest(pipelines, func(p gitlab.Pipeline) bool { return p.Status != "skipped" }); i >= 0 {
		if b.Pipeline, err = s.measure(ctx, t, pipelines[i]); err != nil {
			return b, err
		}
	}
	environments, err := s.GitLab.Environments(ctx, t.Project.ID)
	if err != nil {
		return b, err
	}
	for _, e := range environments {
		if e.State != "available" {
			continue
		}
		d, err := s.GitLab.LatestDeployment(ctx, t.Project.ID, e.Name)
		if errors.Is(err, gitlab.ErrNotFound) {
			continue
		}
		if err != nil {
			return b, err
		}
		b.Environments = append(b.Environments, BaselineDeployment{
			Environment: e.Name, Tier: e.Tier, ID: d.ID, SHA: d.SHA, PipelineID: d.PipelineID,
		})
	}
	return b, nil
}

// measure reads how a pipeline ended, job by job.
func (s *survey) measure(ctx context.Context, t *Task, p gitlab.Pipeline) (*BaselinePipeline, error) {
	out := &BaselinePipeline{ID: p.ID, SHA: p.SHA, Status: p.Status, URL: p.WebURL, CreatedAt: p.CreatedAt}
	if p.Status != "failed" {
		return out, nil
	}
	failures, err := s.treeFailures(ctx, t, t.Project.ID, p, 0)
	if err != nil {
		return nil, err
	}
	for _, f := range failures {
		out.Failed = append(out.Failed, BaselineJob{
			Project: f.Project, Name: f.Job, Cause: string(f.Cause), Lasting: !f.Ours && f.Retry != diagnose.JobOnce,
		})
		if out.Cause == "" || !f.Ours {
			out.Cause = string(f.Cause)
		}
	}
	return out, nil
}

// broken says whether the pipeline was red for reasons that are not the move to
// ECR. One that failed without a failed job is: its configuration is broken.
func (p *BaselinePipeline) broken() bool {
	if p == nil || p.Status != "failed" {
		return false
	}
	return len(p.Failed) == 0 || slices.ContainsFunc(p.Failed, func(j BaselineJob) bool {
		return j.Lasting || diagnose.Cause(j.Cause) == diagnose.RunnerFailure || diagnose.Cause(j.Cause) == diagnose.NoRunner
	})
}

// ofAttempt says whether a pipeline came of an attempt of ours: of its commit, or
// started by it.
func ofAttempt(m store.Migration, pipeline int64, sha string) bool {
	return m.PipelineID == pipeline || sha != "" && m.CommitSHA == sha && m.CommitSHA != m.BaseSHA
}

// redBefore says whether the project's pipeline was red for reasons that
// are neither the move to ECR nor an earlier attempt of ours.
func (s *survey) redBefore(ctx context.Context, t *Task, b Baseline) (bool, error) {
	if !b.Pipeline.broken() {
		return false, nil
	}
	attempts, err := t.store.Migrations(ctx, t.Project.ID)
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(attempts, func(m store.Migration) bool {
		return m.ID != t.Migration.ID && ofAttempt(m, b.Pipeline.ID, b.Pipeline.SHA)
	}), nil
}

// before returns the pipeline to measure ours by: the last one on the commit
// that ours builds on, which somebody may have pushed after the baseline was
// taken, else the baseline's, as it ended if it was still running then. Nil
// without either.
func (s *survey) before(ctx context.Context, t *Task, ours gitlab.Pipeline) (*BaselinePipeline, error) {
	base, err := baselineOf(t.Migration)
	if err != nil {
		return nil, err
	}
	if sha := t.Migration.BaseSHA; sha != "" {
		attempts, err := t.store.Migrations(ctx, t.Project.ID)
		if err != nil {
			return nil, err
		}
		pipelines, err := s.GitLab.Pipelines(ctx, t.Project.ID, gitlab.PipelineQuery{SHA: sha, Ref: t.Project.DefaultBranch})
		if err != nil {
			return nil, err
		}
		i := newest(pipelines, func(p gitlab.Pipeline) bool {
			return p.ID < ours.ID && fullRun(p.Source) && (p.Status == "failed" || p.Status == "success" || p.Status == "manual") &&
				!slices.ContainsFunc(attempts, func(m store.Migration) bool { return ofAttempt(m, p.ID, p.SHA) })
		})
		if i >= 0 && (base.Pipeline == nil || pipelines[i].ID != base.Pipeline.ID) {
			return s.measure(ctx, t, pipelines[i])
		}
	}
	if base.Pipeline == nil || base.Pipeline.ID == ours.ID {
		return nil, nil
	}
	if gitlab.Finished(base.Pipeline.Status) || base.Pipeline.Status == "manual" {
		return base.Pipeline, nil
	}
	p, err := s.GitLab.Pipeline(ctx, t.Project.ID, base.Pipeline.ID)
	if errors.Is(err, gitlab.ErrNotFound) {
		return base.Pipeline, nil
	}
	if err != nil {
		return nil, err
	}
	return s.measure(ctx, t, p)
}

// compare splits failures by whether the same job had failed before, for a
// reason that lasts. One that now fails for the move to ECR is new even so.
func compare(failures []failure, before *BaselinePipeline) (fresh, old []failure) {
	for _, f := range failures {
		if before != nil && !f.Ours && slices.ContainsFunc(before.Failed, func(j BaselineJob) bool {
			return j.Lasting && j.Project == f.Project && j.Name == f.Job
		}) {
			// It fails again however often it is tried, and not because of us.
			f.Retry, f.Owner = diagnose.Never, diagnose.Project
			old = append(old, f)
			continue
		}
		fresh = append(fresh, f)
	}
	return fresh, old
}
