package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/deploy"
	"gitlab.sikt.no/platon/ecrferry/internal/diagnose"
	"gitlab.sikt.no/platon/ecrferry/internal/ecr"
	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/gitlab"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// Pipeline sees the pipeline of the commit through, with all that it starts: the
// one that the push started is adopted, one is created only when none appears,
// and a failure is explained.
type Pipeline struct{ *survey }

// retried is the event that failed jobs were started again; its data hold their ids.
const retried = "pipeline-retried"

// Run implements Step.
func (s *Pipeline) Run(ctx context.Context, t *Task) (Outcome, error) {
	p, o, err := s.find(ctx, t)
	if fault.ReasonOf(err) == gitlab.ReasonNeedsAccess {
		return s.shut(ctx, t, err)
	}
	if err != nil || p == nil {
		return o, err
	}
	t.Migration.PipelineID, t.Migration.PipelineURL = p.ID, p.WebURL

	switch p.Status {
	case "failed":
		return s.failed(ctx, t, *p)
	case "canceled", "skipped":
		return Attention("pipeline-"+p.Status, fmt.Sprintf("pipeline %d was %s", p.ID, p.Status),
			"run the pipeline of "+p.Ref+" again, then enqueue the project again: "+p.WebURL), nil
	case "success", "manual":
		// A blocking manual job holds the pipeline. What came before it passed;
		// whether it is the one for production is for the next step to say.
		return s.tree(ctx, t, *p)
	}
	return s.running(ctx, t, *p)
}

// shut explains why pipelines may not be looked at: where CI/CD is switched off
// GitLab answers as if the account had no right to see them.
func (s *Pipeline) shut(ctx context.Context, t *Task, refusal error) (Outcome, error) {
	p, err := s.GitLab.Project(ctx, t.Project.ID)
	if err != nil || !p.CIDisabled {
		return Outcome{}, refusal
	}
	return Attention(gitlab.ReasonCIDisabled, "CI/CD was switched off for the project while it was migrated",
		"the project's owners switch CI/CD on; then enqueue the project again"), nil
}

// tree judges a pipeline that passed by the worst of what it started: a trigger
// job without strategy: depend passes whatever becomes of the pipeline it made.
func (s *Pipeline) tree(ctx context.Context, t *Task, p gitlab.Pipeline) (Outcome, error) {
	tree, err := s.pipelineTree(ctx, t.Project.ID, p)
	if err != nil {
		return Outcome{}, err
	}
	switch result, pending, detail := deploy.Status(tree); {
	case pending:
		return s.waiting(p, detail), nil
	case result == deploy.Yes:
		message := fmt.Sprintf("pipeline %d passed", p.ID)
		if p.Status == "manual" {
			message += " up to its manual job"
		}
		return Done(message), nil
	case result == deploy.No:
		failures, err := s.treeFailures(ctx, t, t.Project.ID, p, 0)
		if err != nil {
			return Outcome{}, err
		}
		if len(failures) == 0 {
			return Attention("downstream-failed", detail, "look at the pipelines that this one started: "+p.WebURL), nil
		}
		return s.explain(ctx, t, p, failures)
	default:
		return Attention("downstream-unknown", detail, "give the account access to the projects whose pipelines this one starts: "+p.WebURL), nil
	}
}

// running waits for a pipeline, unless it stands still because no runner takes
// its jobs.
func (s *Pipeline) running(ctx context.Context, t *Task, p gitlab.Pipeline) (Outcome, error) {
	patience := s.Settings.RunnerDeadline
	if patience == 0 {
		patience = time.Hour
	}
	o := s.waiting(p, fmt.Sprintf("pipeline %d (%s)", p.ID, p.Status))
	if time.Since(t.WaitingSince(o.Reason)) < patience {
		return o, nil
	}
	jobs, err := s.GitLab.Jobs(ctx, t.Project.ID, p.ID)
	if err != nil {
		return Outcome{}, err
	}
	if job, still := stuck(jobs, p.CreatedAt); job != nil && time.Since(still) > patience {
		return Attention("no-runner", fmt.Sprintf("no runner has taken job %s since %s", job.Name, still.UTC().Format(time.DateTime)),
			"see whether a runner with the job's tags is online, then enqueue the project again: "+job.WebURL), nil
	}
	return o, nil
}

// stuck returns a job that waits for a runner while nothing of its pipeline
// runs, and since when.
func stuck(jobs []gitlab.Job, since time.Time) (*gitlab.Job, time.Time) {
	var waits *gitlab.Job
	for i, j := range jobs {
		switch j.Status {
		case "running", "preparing", "canceling":
			return nil, since
		case "pending":
			waits = &jobs[i]
		}
		if j.FinishedAt.After(since) {
			since = j.FinishedAt
		}
	}
	return waits, since
}

// waiting is the outcome of a pipeline under way.
func (s *Pipeline) waiting(p gitlab.Pipeline, what string) Outcome {
	o := Wait(what, s.Settings.PipelineDeadline)
	o.Reason = "pipeline"
	o.Next = "the pipeline runs: " + p.WebURL
	return o
}

// find adopts or creates the pipeline for the migration's commit. Without one
// yet it returns what to do instead.
func (s *Pipeline) find(ctx context.Context, t *Task) (*gitlab.Pipeline, Outcome, error) {
	ref := t.Project.DefaultBranch
	var over *gitlab.Pipeline
	if t.Migration.PipelineID != 0 {
		p, err := s.GitLab.Pipeline(ctx, t.Project.ID, t.Migration.PipelineID)
		if err != nil && !errors.Is(err, gitlab.ErrNotFound) {
			return nil, Outcome{}, err
		}
		if err == nil && !ended(p.Status) {
			return &p, Outcome{}, nil
		}
		if err == nil {
			over = &p
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
	since, err := s.switched(ctx, t)
	if errors.Is(err, ecr.ErrRepositoryNotFound) {
		if over != nil && over.Status == "failed" && over.SHA == head.SHA {
			return over, Outcome{}, nil // its jobs' logs say more
		}
		return nil, Failed(string(diagnose.RepositoryMissing), "the project's repository "+t.Migration.Repository+" is no longer in ECR",
			"enqueue the project again: Update configuration is run, or asked for, and makes it anew"), nil
	}
	if err != nil {
		return nil, Outcome{}, err
	}
	pipelines, err := s.GitLab.Pipelines(ctx, t.Project.ID, gitlab.PipelineQuery{SHA: head.SHA, Ref: ref})
	if err != nil {
		return nil, Outcome{}, err
	}
	// A pipeline from before the switch has pushed to the other registry: it
	// proves nothing, however green it is.
	i := newest(pipelines, func(p gitlab.Pipeline) bool {
		return fullRun(p.Source) && p.Status != "skipped" && p.CreatedAt.After(since)
	})
	if i >= 0 {
		p := pipelines[i]
		if p.ID == t.Migration.PipelineID {
			return &p, Outcome{}, nil
		}
		return &p, Outcome{}, t.Record(ctx, "", "pipeline-adopted", p.WebURL, "pipeline %d for %.8s", p.ID, p.SHA)
	}
	const appears = "pipeline-appears"
	if head.SHA != t.Migration.BaseSHA && time.Since(t.WaitingSince(appears)) < s.Settings.PipelineAppears {
		o := Wait(fmt.Sprintf("the push of %.8s to start its pipeline", head.SHA), 0)
		o.Reason = appears
		return nil, o, nil
	}
	return s.create(ctx, t)
}

// switched returns since when a pipeline of the project uses the registry that
// the migration leads to.
func (s *Pipeline) switched(ctx context.Context, t *Task) (time.Time, error) {
	if t.Migration.Kind == store.Rollback {
		return t.Migration.CreatedAt, nil
	}
	repo, err := s.ECR.Repository(ctx, t.Migration.Repository)
	if err != nil {
		return time.Time{}, err
	}
	since := repo.Created
	attempts, err := t.store.Migrations(ctx, t.Project.ID)
	if err != nil {
		return time.Time{}, err
	}
	for _, m := range attempts {
		// While it was rolled back, pipelines pushed to the old registry again.
		if m.Kind == store.Rollback && m.UpdatedAt.After(since) {
			since = m.UpdatedAt
		}
	}
	return since, nil
}

// ended says whether a pipeline in this status will not go on by itself.
func ended(status string) bool { return gitlab.Finished(status) && status != "success" }

// fullRun says whether a pipeline of this source runs all jobs of the branch.
func fullRun(source string) bool {
	switch source {
	case "push", "api", "web", "schedule", "trigger":
		return true
	}
	return false
}

func (s *Pipeline) create(ctx context.Context, t *Task) (*gitlab.Pipeline, Outcome, error) {
	sha, ref := t.Migration.CommitSHA, t.Project.DefaultBranch
	if o, ok, err := t.Budget(ctx, s.Settings.PipelinesPerHour, "create:"+sha); !ok {
		return nil, o, err
	}
	if err := t.Record(ctx, "gitlab", "pipeline-requested", "", "%s at %.8s", ref, sha); err != nil {
		return nil, Outcome{}, err
	}
	p, err := s.GitLab.CreatePipeline(ctx, t.Project.ID, ref, nil)
	if err == nil {
		return &p, Outcome{}, t.Record(ctx, "gitlab", "pipeline-created", p.WebURL, "pipeline %d for %.8s", p.ID, p.SHA)
	}
	again := "; then enqueue the project again"
	reason := fault.ReasonOf(err)
	for code, next := range map[string]string{
		gitlab.ReasonNoPipelineByRules:  "the rules leave no job for a pipeline of " + ref + ": the project's owners start the pipeline that deploys, or change its rules",
		gitlab.ReasonInvalidCIConfig:    "",
		gitlab.ReasonMissingCIConfig:    "the project's owners say where its CI configuration is",
		gitlab.ReasonCIDisabled:         "the project's owners switch CI/CD on",
		gitlab.ReasonVariablesForbidden: "allow the account's role to set pipeline variables, or run the pipeline by hand",
		gitlab.ReasonPipelineNotAllowed: "allow the account to run pipelines on " + ref + ", or run the pipeline by hand",
	} {
		if reason != code {
			continue
		}
		if code == gitlab.ReasonInvalidCIConfig {
			return nil, unreadable(masked(err.Error()), ""), nil
		}
		return nil, Attention(code, err.Error(), next+again), nil
	}
	return nil, Outcome{}, err
}

// failed explains a failed pipeline. A re-enqueued project's pipeline is started
// again once; a job that only its runner failed is, too.
func (s *Pipeline) failed(ctx context.Context, t *Task, p gitlab.Pipeline) (Outcome, error) {
	full, err := s.GitLab.Pipeline(ctx, t.Project.ID, p.ID)
	if err != nil {
		return Outcome{}, err
	}
	if full.YAMLErrors != "" {
		return unreadable(masked(full.YAMLErrors), p.WebURL), nil
	}
	failures, err := s.treeFailures(ctx, t, t.Project.ID, p, 0)
	if err != nil {
		return Outcome{}, err
	}
	again, err := s.again(ctx, t, p, failures)
	if err != nil {
		return Outcome{}, err
	}
	if again {
		return s.waiting(p, fmt.Sprintf("pipeline %d, started again", p.ID)), nil
	}
	return s.explain(ctx, t, p, failures)
}

// unreadable is the outcome of a configuration that GitLab refuses. GitLab took
// ours before it was written, so what is wrong came later.
func unreadable(words, url string) Outcome {
	const remedy = "the project's owners repair the CI configuration"
	d := diagnose.Diagnose(diagnose.Failure{FailureReason: "config_error", Log: []byte(words)})
	o := Attention(string(d.Cause), "GitLab could not read the CI configuration: "+words, strings.TrimSuffix(remedy+", then enqueue the project again: "+url, ": "))
	o.Findings = []store.Finding{{
		Code: "pipeline-" + string(d.Cause), Severity: store.Warning, File: url, Text: d.Evidence, Line: d.Line,
		Message: d.Summary, Remedy: remedy, Owner: string(diagnose.Project), Retry: string(d.Retry),
	}}
	return o
}

// masked is a text from outside as it may be stored.
func masked(text string) string { return string(diagnose.Mask([]byte(text))) }

// again starts the failed jobs of a pipeline once more where that can help:
// somebody asked for this project after the pipeline had failed, or runners
// broke down. It happens once a migration. The intent is recorded first, with
// the jobs: a job that is still listed as failed has not been started again,
// because GitLab lists only the newest try of each.
func (s *Pipeline) again(ctx context.Context, t *Task, p gitlab.Pipeline, failures []failure) (bool, error) {
	asked := t.Migration.Origin != store.KindAll && p.UpdatedAt.Before(t.Migration.CreatedAt)
	var ids []int64
	for _, f := range failures {
		if f.Project == t.Project.ID && f.Pipeline == p.ID && (asked || f.Retry == diagnose.JobOnce) {
			ids = append(ids, f.ID)
		}
	}
	if len(ids) == 0 || len(ids) < len(failures) {
		return false, nil // what else failed fails again
	}
	events, err := t.store.Events(ctx, store.EventFilter{MigrationID: t.Migration.ID, Kind: retried, Limit: 1})
	if err != nil {
		return false, err
	}
	if len(events) > 0 {
		var before struct{ Jobs []int64 }
		if err := json.Unmarshal(events[0].Data, &before); err != nil {
			return false, fmt.Errorf("reading which jobs were started again: %w", err)
		}
		for _, id := range ids {
			if !slices.Contains(before.Jobs, id) {
				return false, nil // this one is the second try already
			}
		}
	} else if err := t.RecordData(ctx, "gitlab", retried, p.WebURL, map[string]any{"jobs": ids}, "%d jobs of pipeline %d", len(ids), p.ID); err != nil {
		return false, err
	}
	for _, id := range ids {
		if _, err := s.GitLab.RetryJob(ctx, t.Project.ID, id); err != nil && fault.ReasonOf(err) != gitlab.ReasonJobNotRetryable {
			return false, err
		}
	}
	return true, nil
}
