package jobs

import (
	"context"
	"errors"

	"gitlab.sikt.no/platon/ecrferry/internal/deploy"
	"gitlab.sikt.no/platon/ecrferry/internal/diagnose"
	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/gitlab"
)

// depth bounds how far pipelines are followed into those that they start.
// GitLab itself allows two levels of child pipelines; other projects' come on top.
const depth = 4

// pipelineTree reads a pipeline with all that it started, in this project and
// in others. What we may not see is a pipeline of unknown status.
func (s *survey) pipelineTree(ctx context.Context, project int64, p gitlab.Pipeline) (*deploy.Pipeline, error) {
	return s.subtree(ctx, project, p, 0)
}

func (s *survey) subtree(ctx context.Context, project int64, p gitlab.Pipeline, level int) (*deploy.Pipeline, error) {
	out := &deploy.Pipeline{ID: p.ID, SHA: p.SHA, Status: p.Status, WebURL: p.WebURL}
	if level == depth {
		return out, nil
	}
	bridges, err := s.GitLab.Bridges(ctx, project, p.ID)
	if unseen(err) && level > 0 {
		out.Hidden = true
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	for _, b := range bridges {
		d := deploy.Downstream{Job: b.Name, Status: b.Status, AllowFailure: b.AllowFailure}
		if b.Downstream != nil {
			if d.Pipeline, err = s.subtree(ctx, b.Downstream.ProjectID, *b.Downstream, level+1); err != nil {
				return nil, err
			}
		}
		out.Downstream = append(out.Downstream, d)
	}
	return out, nil
}

// unseen says whether an error means that the account may not look there.
func unseen(err error) bool {
	return errors.Is(err, gitlab.ErrNotFound) || fault.ReasonOf(err) == gitlab.ReasonNeedsAccess
}

// failure is a failed job and its diagnosis.
type failure struct {
	Job, URL              string
	ID, Project, Pipeline int64
	diagnose.Diagnosis
}

// logBytes is how much of a job's log is read, from its end.
const logBytes = 256 << 10

// treeFailures diagnoses the failed jobs of the project's pipeline, those that
// may fail aside, and those of the pipelines that it started. What is quoted of
// a log is masked.
func (s *survey) treeFailures(ctx context.Context, t *Task, project int64, p gitlab.Pipeline, level int) ([]failure, error) {
	jobs, err := s.GitLab.Jobs(ctx, project, p.ID)
	if unseen(err) && level > 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []failure
	for _, j := range jobs {
		if j.Status != "failed" || j.AllowFailure {
			continue
		}
		f, err := s.diagnosed(ctx, t, project, p.ID, j)
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	bridges, err := s.GitLab.Bridges(ctx, project, p.ID)
	if unseen(err) && level > 0 {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	for _, b := range bridges {
		switch {
		case b.AllowFailure:
		case b.Downstream != nil && level < depth:
			below, err := s.treeFailures(ctx, t, b.Downstream.ProjectID, *b.Downstream, level+1)
			if err != nil {
				return nil, err
			}
			out = append(out, below...)
		case b.Status == "failed":
			out = append(out, failure{Job: b.Name, URL: b.WebURL, ID: b.ID, Project: project, Pipeline: p.ID, Diagnosis: diagnose.Diagnose(diagnose.Failure{
				Job: b.Name, Stage: b.Stage, FailureReason: b.FailureReason, Project: t.Project.Path, Repository: t.Migration.Repository,
			})})
		}
	}
	return out, nil
}

// diagnosed explains a failed job by the end of its log.
func (s *survey) diagnosed(ctx context.Context, t *Task, project, pipeline int64, j gitlab.Job) (failure, error) {
	log, err := s.GitLab.JobLog(ctx, project, j.ID, logBytes)
	if err != nil && !unseen(err) {
		return failure{}, err
	}
	return failure{Job: j.Name, URL: j.WebURL, ID: j.ID, Project: project, Pipeline: pipeline, Diagnosis: diagnose.Diagnose(diagnose.Failure{
		Job: j.Name, Stage: j.Stage, FailureReason: j.FailureReason, Log: log,
		Project: t.Project.Path, Repository: t.Migration.Repository,
	})}, nil
}
