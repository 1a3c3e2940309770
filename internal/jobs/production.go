package jobs

import (
	"context"
	"fmt"
	"slices"
	"strings"

	imagecopy "gitlab.sikt.no/platon/ecrferry/internal/copy"
	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/gitlab"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

const (
	// promoted is the event that somebody ordered production to be played.
	promoted = "promote"
	// played is the event that we are about to play a job.
	played = "job-played"
	// waitsForProduction is the reason of that wait.
	waitsForProduction = "production"
)

// production decides about manual jobs that deploy further.
func (s *Verify) production(ctx context.Context, t *Task, seen observation) (Outcome, error) {
	policy, err := policyOf(t.Migration.Policy)
	if err != nil {
		return Outcome{}, err
	}
	job := seen.waiting[0]
	proven := "nothing is deployed before it"
	if d := seen.deployed(); len(d) > 0 {
		proven = strings.Join(d, ", ") + " proven"
	}
	orders, err := t.store.Events(ctx, store.EventFilter{MigrationID: t.Migration.ID, Kind: promoted, Limit: 1})
	if err != nil {
		return Outcome{}, err
	}
	switch {
	case len(orders) > 0:
		why := "ordered by " + orders[0].Actor
		if orders[0].Detail != "" {
			why += ": " + orders[0].Detail
		}
		return s.play(ctx, t, job, why)
	case policy.Production == "play" && deploys(job):
		return s.play(ctx, t, job, "by policy, "+proven)
	case policy.Production == "skip" && len(seen.deployed()) == 0:
		return Attention("unproven", proven+", and by policy "+job.Name+" is not played: nothing shows that the images in ECR run",
			"play it, then enqueue the project again: "+job.WebURL), nil
	case policy.Production == "skip":
		o := Finished(fmt.Sprintf("%s; %s was not played and still runs what it ran", proven, job.Name), true)
		o.Next = "play " + job.Name + " when it suits: " + job.WebURL
		if t.Migration.Kind == store.Rollback {
			o.Reason = "rolled-back"
		}
		return o, nil
	}
	o := Wait("somebody to play "+job.Name, 0)
	o.Every = s.Settings.ProductionPoll
	o.Reason = waitsForProduction
	what := "production waits for its"
	if !deploys(job) {
		what = "what comes after it waits for the"
	}
	o.Message = fmt.Sprintf("%s; %s manual job %s since %s", proven, what, job.Name,
		t.WaitingSince(waitsForProduction).UTC().Format("2006-01-02 15:04 MST"))
	o.Next = "play " + job.Name + " (or enqueue promote " + t.Project.Path + "): " + job.WebURL
	if t.Migration.Kind == store.Migrate {
		o.Findings, err = s.watch(ctx, t, seen)
	}
	return o, err
}

// play starts a manual job. The job was seen waiting a moment ago, and is looked
// at once more: one that somebody has played meanwhile is not played again.
func (s *Verify) play(ctx context.Context, t *Task, job gitlab.Job, why string) (Outcome, error) {
	if err := t.Record(ctx, "gitlab", played, job.WebURL, "%s of pipeline %d, %s", job.Name, t.Migration.PipelineID, why); err != nil {
		return Outcome{}, err
	}
	if _, err := s.GitLab.PlayJob(ctx, t.Project.ID, job.ID); err != nil {
		switch fault.ReasonOf(err) {
		case gitlab.ReasonJobUnplayable: // it runs already
		case gitlab.ReasonJobNotAllowed, gitlab.ReasonNeedsAccess:
			return Attention(gitlab.ReasonJobNotAllowed, "we may not play "+job.Name+": "+err.Error(),
				"somebody with the right to deploy plays "+job.WebURL+", then enqueue the project again"), nil
		default:
			return Outcome{}, err
		}
	}
	o := Wait("the job "+job.Name, s.Settings.DeployDeadline)
	o.Reason = "played"
	return o, nil
}

// playFailed explains a manual job that failed when it was played.
func (s *Verify) playFailed(ctx context.Context, t *Task, job gitlab.Job) (Outcome, error) {
	f, err := s.diagnosed(ctx, t, t.Project.ID, t.Migration.PipelineID, job)
	if err != nil {
		return Outcome{}, err
	}
	o := blame([]failure{f})
	o.Findings = []store.Finding{failureFinding(f)}
	return o, nil
}

// The findings about images that production needs.
const (
	copiedAgain = "image-copied-again"
	imageLost   = "image-lost"
)

// watch sees to it that the images that production needs stay in ECR while it
// waits: what the clean-up removed is copied again from the old registry, if
// that still has it. It returns all that was found during the wait.
func (s *Verify) watch(ctx context.Context, t *Task, seen observation) ([]store.Finding, error) {
	findings, err := s.kept(ctx, t)
	if err != nil {
		return nil, err
	}
	missing, err := s.missing(ctx, t, seen)
	if err != nil || len(missing) == 0 {
		return findings, err
	}
	policy, err := imagecopy.ParsePolicy("in-use")
	if err != nil {
		return nil, err
	}
	req := imagecopy.Request{Target: t.Migration.Repository, Policy: policy, InUse: map[string]string{}}
	for _, i := range missing {
		req.InUse[i.SourceRepository+":"+i.SourceTag] = "production needs it"
		source := imagecopy.Source{Repository: i.SourceRepository, Name: i.Name}
		if !slices.Contains(req.Sources, source) {
			req.Sources = append(req.Sources, source)
		}
	}
	plan, err := s.Engine.Plan(ctx, req)
	if err != nil {
		return nil, err
	}
	plan.Images = slices.DeleteFunc(plan.Images, func(i imagecopy.Image) bool { return i.State == imagecopy.LeftOut })
	rows, err := s.execute(ctx, t, plan, "copy-again")
	if err != nil {
		return nil, err
	}
	for _, i := range missing {
		row := rows.latest[i.SourceRepository+":"+i.SourceTag]
		f := store.Finding{Severity: store.Note, Owner: "platform", Text: i.TargetTag}
		if row.State == store.ImageCopied || row.State == store.ImagePresent {
			f.Code = copiedAgain
			f.Message = fmt.Sprintf("the clean-up had removed %s, which production needs; it was copied again from %s:%s", i.TargetTag, i.SourceRepository, i.SourceTag)
			f.Remedy = "nothing; play production before the old registry is switched off"
		} else {
			f.Code, f.Severity = imageLost, store.Warning
			f.Message = fmt.Sprintf("the clean-up removed %s, which production needs, and the old registry cannot give it again: %s", i.TargetTag, row.Reason)
			f.Remedy = "run the pipeline again, so that the image is built anew"
		}
		// A second time it is news once more, but one line is enough.
		findings = slices.DeleteFunc(findings, func(old store.Finding) bool { return old.Text == f.Text })
		findings = append(findings, f)
	}
	return findings, nil
}

// kept returns what earlier looks found that stays true: that images had to be
// copied again.
func (s *Verify) kept(ctx context.Context, t *Task) ([]store.Finding, error) {
	findings := []store.Finding{}
	before, err := t.store.Findings(ctx, t.Migration.ID)
	if err != nil {
		return nil, err
	}
	for _, f := range before {
		if f.Step == store.StepVerify && f.Code == copiedAgain {
			findings = append(findings, f)
		}
	}
	return findings, nil
}

// missing returns the images of this migration that production's workloads or
// its newest deployment name and that ECR no longer holds.
func (s *Verify) missing(ctx context.Context, t *Task, seen observation) ([]store.Image, error) {
	images, err := t.store.Images(ctx, t.Migration.ID)
	if err != nil {
		return nil, err
	}
	named := map[string]bool{} // what workloads run, by old and by new name
	for _, w := range seen.evidence.Workloads {
		for _, c := range w.Containers {
			named[c.Image] = true
		}
	}
	base, err := baselineOf(t.Migration)
	if err != nil {
		return nil, err
	}
	var out []store.Image
	for _, i := range images {
		if i.State != store.ImageCopied && i.State != store.ImagePresent || i.TargetTag == "" {
			continue
		}
		if _, ok := seen.evidence.Images[i.TargetTag]; ok {
			continue
		}
		needed := named[s.Settings.OldHost+"/"+i.SourceRepository+":"+i.SourceTag] || named[t.Migration.RepositoryURI+":"+i.TargetTag]
		for _, e := range base.Environments {
			needed = needed || e.Tier == "production" && len(e.SHA) >= 8 && strings.Contains(i.SourceTag, e.SHA[:8])
		}
		if needed {
			out = append(out, i)
		}
	}
	return out, nil
}
