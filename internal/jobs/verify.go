package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/cluster"
	"gitlab.sikt.no/platon/ecrferry/internal/deploy"
	"gitlab.sikt.no/platon/ecrferry/internal/ecr"
	"gitlab.sikt.no/platon/ecrferry/internal/gitlab"
	"gitlab.sikt.no/platon/ecrferry/internal/probe"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// Verify proves that what was deployed runs from ECR: staging first, and
// production when somebody has played its job. A green pipeline alone proves
// nothing.
type Verify struct{ *survey }

// Run implements Step.
func (s *Verify) Run(ctx context.Context, t *Task) (Outcome, error) {
	seen, err := s.observe(ctx, t)
	if err != nil {
		return Outcome{}, err
	}
	want := s.expectation(t)
	want.Environments, want.Since = seen.deployed(), seen.began
	seen.evidence.URLs = s.ask(ctx, seen)
	judge := deploy.Judge
	if t.Migration.Kind == store.Rollback {
		judge = deploy.JudgeRestored
	}
	verdict := judge(want, seen.evidence)
	o, err := s.conclude(ctx, t, want, seen, verdict)
	o.Evidence = evidenceRows(verdict)
	return o, err
}

// overtaken goes back to the pipeline step when somebody's later push was
// deployed over ours: what has to be proven is what runs now. A deployment of
// anything but the branch's present head is not followed, it is for people to judge.
func (s *Verify) overtaken(ctx context.Context, t *Task, seen observation) (Outcome, bool, error) {
	later := ""
	for _, environment := range seen.deployed() {
		var newest deploy.Deployment
		for _, d := range seen.evidence.Deployments {
			if d.Environment == environment && d.Status == "success" && d.ID > newest.ID {
				newest = d
			}
		}
		if newest.ID != 0 && newest.SHA != t.Migration.CommitSHA {
			later = newest.SHA
		}
	}
	if later == "" {
		return Outcome{}, false, nil
	}
	head, err := s.GitLab.Branch(ctx, t.Project.ID, t.Project.DefaultBranch)
	if err != nil || head.SHA != later {
		return Outcome{}, false, err
	}
	t.Migration.PipelineID, t.Migration.PipelineURL = 0, ""
	return Back(store.StepPipeline, fmt.Sprintf("a later commit, %.8s, was deployed over ours: its pipeline is followed", later)), true, nil
}

// where is the registry that the migration leads to, in words.
func where(m store.Migration) string {
	if m.Kind == store.Rollback {
		return "the old registry"
	}
	return "ECR"
}

func (s *Verify) conclude(ctx context.Context, t *Task, want deploy.Expectation, seen observation, verdict deploy.Verdict) (Outcome, error) {
	if verdict.Outcome == deploy.Unproven || verdict.Outcome == deploy.Refuted {
		if o, yes, err := s.overtaken(ctx, t, seen); yes || err != nil {
			return o, err
		}
	}
	switch verdict.Outcome {
	case deploy.Pending:
		o := Wait("the deployment to be complete: "+verdict.Summary, s.Settings.DeployDeadline)
		o.Next = "look at the deployment if it does not complete"
		return o, nil
	case deploy.Refuted:
		if seen.evidence.Pipeline.Status == "failed" {
			// A job that somebody played since has failed: its log says why.
			return Back(store.StepPipeline, fmt.Sprintf("pipeline %d has failed since", t.Migration.PipelineID)), nil
		}
		if len(seen.failed) > 0 { // and the pipeline is green, because manual jobs may fail
			return s.playFailed(ctx, t, seen.failed[0])
		}
		reason := "not-from-ecr"
		if t.Migration.Kind == store.Rollback {
			reason = "not-rolled-back"
		}
		return Failed(reason, verdict.Summary, "see the evidence, repair the deployment, then enqueue the project again"), nil
	case deploy.Unproven:
		if len(seen.deployed()) == 0 && len(seen.waiting) == 0 {
			return s.nothingDeployed(t, seen)
		}
		if len(seen.deployed()) > 0 {
			return Attention("unproven", verdict.Summary,
				"give the worker a kubeconfig (ECRFERRY_KUBECONFIG), or look at the workload by hand"), nil
		}
	}
	if len(seen.waiting) > 0 {
		return s.production(ctx, t, seen)
	}
	run := " run from "
	if len(seen.deployed()) == 1 {
		run = " runs from "
	}
	message := strings.Join(seen.deployed(), ", ") + run + where(t.Migration)
	if t.Migration.Kind == store.Rollback {
		o := Finished(message+" again", false)
		o.Reason = "rolled-back"
		return o, nil
	}
	exceptions, err := s.exceptions(ctx, t)
	if err != nil {
		return Outcome{}, err
	}
	left, err := s.left(t, want, seen)
	if err != nil {
		return Outcome{}, err
	}
	kept, err := s.kept(ctx, t)
	if err != nil {
		return Outcome{}, err
	}
	for _, f := range left {
		exceptions = append(exceptions, f.Text+" was not deployed")
	}
	if len(exceptions) > 0 {
		message += "; exceptions: " + strings.Join(exceptions, ", ")
	}
	o := Finished(message, len(exceptions) > 0)
	o.Findings = append(kept, left...)
	return o, nil
}

// environmentLeft is the finding that an environment was not deployed.
const environmentLeft = "environment-left"

// left tells which environments had been deployed before we came and were not
// now: they run what they ran. Where the cluster shows nothing of the old
// registry in them, there is nothing to tell.
func (s *Verify) left(t *Task, want deploy.Expectation, seen observation) ([]store.Finding, error) {
	base, err := baselineOf(t.Migration)
	if err != nil {
		return nil, err
	}
	var out []store.Finding
	for _, e := range base.Environments {
		if _, there := seen.urls[e.Environment]; !there || seen.touched[e.Environment] {
			continue // stopped meanwhile, a review, or deployed, or waiting for somebody
		}
		runs := "so it runs what it ran before"
		if seen.evidence.ClusterAsked {
			old := deploy.OldIn(want, seen.evidence, e.Environment)
			if len(old) == 0 {
				continue
			}
			runs = "and " + strings.Join(old, ", ") + " still runs from the old registry"
		}
		out = append(out, store.Finding{
			Code: environmentLeft, Severity: store.Warning, Owner: "project", Text: e.Environment,
			Message: fmt.Sprintf("%s was deployed before we came, by pipeline %d; pipeline %d does not deploy it, %s", e.Environment, e.PipelineID, t.Migration.PipelineID, runs),
			Remedy:  "deploy it from the present default branch, or stop the environment if nobody needs it",
		})
	}
	return out, nil
}

// nothingDeployed ends a migration whose pipeline passed and deployed nothing.
// A project that deployed nothing before has nothing to be rolled back further.
func (s *Verify) nothingDeployed(t *Task, seen observation) (Outcome, error) {
	if len(seen.stopped) > 0 {
		return Attention("environment-stopped",
			fmt.Sprintf("the pipeline deployed %s, and somebody has stopped that since: nothing runs that could be proven", strings.Join(seen.stopped, ", ")),
			"deploy it again, then enqueue the project again; or leave the project out, if nobody needs it"), nil
	}
	if t.Migration.Kind == store.Rollback {
		o := Finished("the pipeline passed on the old state; it deploys nothing", true)
		o.Reason = "rolled-back"
		return o, nil
	}
	base, err := baselineOf(t.Migration)
	if err != nil {
		return Outcome{}, err
	}
	if len(base.Environments) > 0 {
		return Attention("nothing-deployed",
			fmt.Sprintf("the pipeline passed, but it deployed nothing; before we came, %s had been deployed", base.Environments[0].Environment),
			"the project's owners see why the deployment no longer runs: "+t.Migration.PipelineURL), nil
	}
	return Attention("nothing-deployed", "the pipeline passed, but it deployed nothing, so ECR will delete what it pushed within a day",
		"the project's owners say where these images are used: the GitLab Container Registry fits images that only pipelines use"), nil
}

// exceptions lists what keeps a proven project from being plainly done.
func (s *Verify) exceptions(ctx context.Context, t *Task) ([]string, error) {
	var out []string
	findings, err := t.store.Findings(ctx, t.Migration.ID)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, f := range findings {
		if f.Severity == store.Warning && !seen[f.Code] {
			seen[f.Code] = true
			out = append(out, f.Code)
		}
	}
	images, err := t.store.Images(ctx, t.Migration.ID)
	if err != nil {
		return nil, err
	}
	counts := map[store.ImageState]int{}
	for _, i := range images {
		counts[i.State]++
	}
	for _, state := range []store.ImageState{store.ImagePlanned, store.ImageConflict, store.ImageCollision, store.ImageInvalid, store.ImageFailed, store.ImageGone} {
		if n := counts[state]; n > 0 {
			out = append(out, fmt.Sprintf("%d images %s", n, state))
		}
	}
	return out, nil
}

// observation is what the outside showed.
type observation struct {
	evidence deploy.Evidence
	ours     []string          // environments that our pipeline deployed
	stopped  []string          // those that it deployed, and that were stopped since
	waiting  []gitlab.Job      // manual jobs of our pipeline that would deploy, or that hold back what comes after them
	failed   []gitlab.Job      // jobs of our pipeline that were to deploy further, and failed
	began    time.Time         // of our pipeline
	urls     map[string]string // the addresses of environments
	touched  map[string]bool   // environments that our pipeline has a deployment to, if only a planned one
}

// deployed returns the environments whose newest deployment is our pipeline's.
func (o observation) deployed() []string { return o.ours }

func (s *Verify) expectation(t *Task) deploy.Expectation {
	e := deploy.Expectation{
		Project: t.Project.Path, Registry: s.Settings.ECRHost, Repository: t.Migration.Repository,
		OldRegistry: s.Settings.OldHost, SHA: t.Migration.CommitSHA, PipelineID: t.Migration.PipelineID,
	}
	for base, project := range s.Settings.Aliases {
		if strings.EqualFold(project, t.Project.Path) {
			e.OldBases = append(e.OldBases, s.Settings.OldHost+"/"+base)
		}
	}
	return e
}

// observe gathers the evidence: GitLab's, ECR's by its control plane only
// (looking must not count as using), and the cluster's.
func (s *Verify) observe(ctx context.Context, t *Task) (observation, error) {
	var seen observation
	p, err := s.GitLab.Pipeline(ctx, t.Project.ID, t.Migration.PipelineID)
	if err != nil {
		return seen, err
	}
	if seen.evidence.Pipeline, err = s.pipelineTree(ctx, t.Project.ID, p); err != nil {
		return seen, err
	}
	jobs, err := s.GitLab.Jobs(ctx, t.Project.ID, p.ID)
	if err != nil {
		return seen, err
	}
	environments, err := s.environments(ctx, t)
	if err != nil {
		return seen, err
	}
	seen.began, seen.urls, seen.touched = p.CreatedAt, map[string]string{}, map[string]bool{}
	for _, e := range environments {
		recent, err := s.GitLab.Deployments(ctx, t.Project.ID, gitlab.DeploymentQuery{Environment: e.Name, Limit: 20})
		if err != nil {
			return seen, err
		}
		ours := false
		if e.State == "available" {
			seen.urls[e.Name] = e.ExternalURL
		}
		for _, d := range recent {
			seen.evidence.Deployments = append(seen.evidence.Deployments, deploy.Deployment{
				ID: d.ID, Environment: e.Name, Status: d.Status, SHA: d.SHA, PipelineID: d.PipelineID, JobName: d.JobName,
			})
			seen.touched[e.Name] = seen.touched[e.Name] || d.PipelineID == p.ID
			// A manual job that nobody has played has a deployment too, as "created".
			ours = ours || d.PipelineID == p.ID && d.Status != "created" && d.Status != "blocked"
		}
		switch {
		case ours && e.State == "available":
			seen.ours = append(seen.ours, e.Name)
		case ours:
			seen.stopped = append(seen.stopped, e.Name)
		}
	}
	seen.waiting = waiting(p, jobs)
	for _, j := range jobs {
		if j.Status == "failed" && deploys(j) {
			seen.failed = append(seen.failed, j)
		}
	}
	var images []ecr.Image
	if t.Migration.Kind == store.Migrate { // a rollback's verdict does not ask ECR
		if images, err = s.ECR.Images(ctx, t.Migration.Repository); err != nil {
			return seen, err
		}
	}
	seen.evidence.Images = map[string]string{}
	if t.Migration.Kind == store.Migrate {
		seen.evidence.Pulled = map[string]time.Time{}
	}
	for _, i := range images {
		for _, name := range append(i.Tags, i.Digest) {
			seen.evidence.Images[name] = i.Digest
			if !i.LastPull.IsZero() {
				seen.evidence.Pulled[name] = i.LastPull
			}
		}
	}
	if s.Cluster == nil {
		return seen, nil
	}
	vars, err := s.GitLab.Variables(ctx, t.Project.ID)
	if err != nil {
		return seen, err
	}
	workloads, err := s.workloads(ctx, t, vars)
	if err != nil {
		return seen, err
	}
	seen.evidence.ClusterAsked = true
	for _, w := range workloads {
		seen.evidence.Workloads = append(seen.evidence.Workloads, workload(w))
	}
	return seen, nil
}

// ask asks the addresses of the environments that are to be proven, where that
// is wanted.
func (s *Verify) ask(ctx context.Context, seen observation) map[string]deploy.Answer {
	if s.Probe == nil {
		return nil
	}
	answers := map[string]deploy.Answer{}
	for _, environment := range seen.deployed() {
		address := seen.urls[environment]
		if address == "" {
			continue
		}
		a := deploy.Answer{URL: masked(address)}
		status, err := s.Probe.Status(ctx, address)
		if a.Status = status; err != nil {
			_, a.Refused = errors.AsType[*probe.Refusal](err)
			a.Error = masked(err.Error())
		}
		answers[environment] = a
	}
	return answers
}

// waiting returns the manual jobs that somebody has to play: those that deploy
// further, and behind them those that hold back jobs which have not begun.
func waiting(p gitlab.Pipeline, jobs []gitlab.Job) []gitlab.Job {
	held := p.Status == "manual" && slices.ContainsFunc(jobs, func(j gitlab.Job) bool { return j.Status == "created" })
	var deploying, gates []gitlab.Job
	for _, j := range jobs {
		switch {
		case j.Status != "manual":
		case deploys(j):
			deploying = append(deploying, j)
		case held && !j.AllowFailure:
			gates = append(gates, j)
		}
	}
	return append(deploying, gates...)
}

// environments returns the project's environments that are not reviews, stopped
// ones included.
func (s *Verify) environments(ctx context.Context, t *Task) ([]gitlab.Environment, error) {
	all, err := s.GitLab.Environments(ctx, t.Project.ID)
	if err != nil {
		return nil, err
	}
	var out []gitlab.Environment
	for _, e := range all {
		if !strings.HasPrefix(e.Name, "review/") {
			out = append(out, e)
		}
	}
	return out, nil
}

// deploys says whether a manual job looks like one that deploys to production.
// GitLab's jobs do not carry their environment, so stage and name must do.
func deploys(j gitlab.Job) bool {
	text := strings.ToLower(j.Stage + " " + j.Name)
	return strings.Contains(text, "prod") && !strings.Contains(text, "stop")
}

func workload(w cluster.Workload) deploy.Workload {
	out := deploy.Workload{
		Kind: w.Kind, Name: w.Name, Environment: w.Environment,
		Desired: w.Desired, Ready: w.Ready, Complete: w.Complete, Failed: w.Failed,
	}
	for _, c := range w.Containers {
		out.Containers = append(out.Containers, deploy.Container{Name: c.Name, Image: c.Image, RunningDigests: c.RunningDigests})
	}
	return out
}

func evidenceRows(v deploy.Verdict) []store.Evidence {
	rows := []store.Evidence{}
	for _, c := range v.Checks {
		rows = append(rows, store.Evidence{
			Name: string(c.Name), Environment: c.Environment, Subject: c.Subject, Result: store.Answer(c.Result), Detail: c.Detail,
		})
	}
	return rows
}
