package jobs

import (
	"context"
	"errors"

	"fmt"
	"strings"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/diagnose"
	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/gitlab"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// Pipeline sees the pipeline of the commit through: the one that the push
// started is adopted, one is created only when none appears, and a failure is
// explained.
type Pipeline struct{ *survey }

// retried is the event that a failed pipeline was started again, once a migration.
const retried = "pipeline-retried"

// Run implements Step.
func (s *Pipeline) Run(ctx context.Context, t *Task) (Outcome, error) {
	p, o, err := s.find(ctx, t)
	if err != nil || p == nil {
		return o, err
	}
	t.Migration.PipelineID, t.Migration.PipelineURL = p.ID, p.WebURL

	switch p.Status {
	case "success":
		return Done(fmt.Sprintf("pipeline %d passed", p.ID)), nil
	case "failed":
		return s.failed(ctx, t, *p)
	case "canceled", "canceling", "skipped":
		return Attention("pipeline-"+strings.TrimSuffix(p.Status, "ing"), fmt.Sprintf("pipeline %d was %s", p.ID, p.Status),
			"run the pipeline of "+p.Ref+" again, then enqueue the project again: "+p.WebURL), nil
	case "manual":
		// A blocking manual job holds the pipeline. What came before it passed;
		// whether it is the one for production is for the next step to say.
		return Done(fmt.Sprintf("pipeline %d passed up to its manual job", p.ID)), nil
	}
	o = Wait(fmt.Sprintf("pipeline %d (%s)", p.ID, p.Status), s.Settings.PipelineDeadline)
	o.Next = "the pipeline runs: " + p.WebURL
	return o, nil
}

// find adopts or creates the pipeline for the migration's commit. Without one
// yet it returns what to do instead.
func (s *Pipeline) find(ctx context.Context, t *Task) (*gitlab.Pipeline, Outcome, error) {
	ref := t.Project.DefaultBranch
	if t.Migration.PipelineID != 0 {
		p, err := s.GitLab.Pipeline(ctx, t.Project.ID, t.Migration.PipelineID)
		if err != nil && !errors.Is(err, gitlab.ErrNotFound) {
			return nil, Outcome{}, err
		}
		if err == nil && !ended(p.Status) {
			return &p, Outcome{}, nil
		}
	}
	// Whoever pushed since carries our change on: their pipeline is the one that
	// deploys it, or that repairs what had failed.
	head, err := s.GitLab.Branch(ctx, t.Project.ID, ref)
	if err != nil {
		return nil, Outcome{}, err
	}
	if head.SHA != t.Migration.CommitSHA {
		t.Log.InfoContext(ctx, "following the head of the branch", "from", t.Migration.CommitSHA, "to", head.SHA)
		t.Migration.CommitSHA, t.Migration.PipelineID = head.SHA, 0
	}
	repo, err := s.ECR.Repository(ctx, t.Migration.Repository)
	if err != nil {
		return nil, Outcome{}, err
	}
	pipelines, err := s.GitLab.Pipelines(ctx, t.Project.ID, gitlab.PipelineQuery{SHA: head.SHA, Ref: ref})
	if err != nil {
		return nil, Outcome{}, err
	}
	// A pipeline from before the repository was there has pushed to the old
	// registry: it proves nothing, however green it is.
	i := newest(pipelines, func(p gitlab.Pipeline) bool {
		return ours(p.Source) && p.Status != "skipped" && p.CreatedAt.After(repo.Created)
	})
	if i >= 0 {
		p := pipelines[i]
		if p.ID == t.Migration.PipelineID {
			return &p, Outcome{}, nil
		}
		return &p, Outcome{}, t.Record(ctx, "", "pipeline-adopted", p.WebURL, "pipeline %d for %.8s", p.ID, p.SHA)
	}
	if head.SHA != t.Migration.BaseSHA && time.Since(t.WaitingSince()) < s.Settings.PipelineAppears {
		return nil, Wait(fmt.Sprintf("the push of %.8s to start its pipeline", head.SHA), 0), nil
	}
	return s.create(ctx, t)
}

// ended says whether a pipeline in this status will not go on by itself.
func ended(status string) bool { return gitlab.Finished(status) && status != "success" }

// ours says whether a pipeline of this source runs all jobs of the branch.
func ours(source string) bool {
	switch source {
	case "push", "api", "web", "schedule", "trigger":
		return true
	}
	return false
}

func (s *Pipeline) create(ctx context.Context, t *Task) (*gitlab.Pipeline, Outcome, error) {
	sha, ref := t.Migration.CommitSHA, t.Project.DefaultBranch
	if err := t.Record(ctx, "gitlab", "pipeline-requested", "", "%s at %.8s", ref, sha); err != nil {
		return nil, Outcome{}, err
	}
	p, err := s.GitLab.CreatePipeline(ctx, t.Project.ID, ref, nil)
	if err != nil {
		switch fault.ReasonOf(err) {
		case gitlab.ReasonNoPipelineByRules:
			return nil, Attention("no-pipeline-by-rules", "the project's rules leave no job for a pipeline of "+ref,
				"the project's owners start the pipeline that deploys, or change its rules; then enqueue the project again"), nil
		case gitlab.ReasonInvalidCIConfig:
			return nil, Attention("yaml-error", err.Error(), "the project's owners repair the CI configuration, then enqueue the project again"), nil
		}
		return nil, Outcome{}, err
	}
	return &p, Outcome{}, t.Record(ctx, "gitlab", "pipeline-created", p.WebURL, "pipeline %d for %.8s", p.ID, p.SHA)
}

// failed explains a failed pipeline. A re-enqueued project's pipeline is started
// again once; a job that only its runner failed is, too.
func (s *Pipeline) failed(ctx context.Context, t *Task, p gitlab.Pipeline) (Outcome, error) {
	full, err := s.GitLab.Pipeline(ctx, t.Project.ID, p.ID)
	if err != nil {
		return Outcome{}, err
	}
	if full.YAMLErrors != "" {
		return Attention("yaml-error", "GitLab could not read the CI configuration: "+full.YAMLErrors,
			"the project's owners repair the CI configuration, then enqueue the project again: "+p.WebURL), nil
	}
	failures, err := s.failures(ctx, t, p.ID)
	if err != nil {
		return Outcome{}, err
	}
	again, err := s.again(ctx, t, p, failures)
	if err != nil {
		return Outcome{}, err
	}
	if again {
		return Wait(fmt.Sprintf("pipeline %d, started again", p.ID), s.Settings.PipelineDeadline), nil
	}
	o := explain(p, failures)
	o.Findings = failureFindings(failures)
	return o, nil
}

// again starts the failed jobs of a pipeline once more where that can help:
// somebody asked for this project after the pipeline had failed, or a runner
// broke down. The intent is recorded first, so it happens once.
func (s *Pipeline) again(ctx context.Context, t *Task, p gitlab.Pipeline, failures []failure) (bool, error) {
	asked := t.Migration.Origin != store.KindAll && p.UpdatedAt.Before(t.Migration.CreatedAt)
	runner := len(failures) > 0
	for _, f := range failures {
		runner = runner && f.Retry == diagnose.JobOnce
	}
	if !asked && !runner {
		return false, nil
	}
	before, err := t.Recorded(ctx, retried)
	if err != nil || before {
		return false, err
	}
	if err := t.Record(ctx, "gitlab", retried, p.WebURL, "pipeline %d", p.ID); err != nil {
		return false, err
	}
	_, err = s.GitLab.RetryPipeline(ctx, t.Project.ID, p.ID)
	return err == nil, err
}

// explain turns failed jobs into an outcome: the first cause that is not the
// project's own decides, because that is the one we can say most about.
func explain(p gitlab.Pipeline, failures []failure) Outcome {
	if len(failures) == 0 {
		return Attention("pipeline-failed", fmt.Sprintf("pipeline %d failed without a failed job", p.ID),
			"look at the pipeline, then enqueue the project again: "+p.WebURL)
	}
	main := failures[0]
	for _, f := range failures {
		if f.Ours && !main.Ours {
			main = f
		}
	}
	message := fmt.Sprintf("job %s failed: %s", main.Job, main.Summary)
	if main.Evidence != "" {
		message += " (" + main.Evidence + ")"
	}
	next := main.Remedy + ": " + main.URL
	if main.Owner == diagnose.Project {
		return Attention(string(main.Cause), message, next)
	}
	return Failed(string(main.Cause), message, next)
}

func failureFindings(failures []failure) []store.Finding {
	rows := []store.Finding{}
	for _, f := range failures {
		rows = append(rows, store.Finding{
			Code: "pipeline-" + string(f.Cause), Severity: store.Warning, Text: f.Evidence, Line: f.Line,
			Message: fmt.Sprintf("job %s failed: %s", f.Job, f.Summary), Remedy: f.Remedy, Owner: string(f.Owner), File: f.URL,
		})
	}
	return rows
}
