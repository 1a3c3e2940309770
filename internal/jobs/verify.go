package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/cluster"
	"gitlab.sikt.no/platon/ecrferry/internal/deploy"
	"gitlab.sikt.no/platon/ecrferry/internal/gitlab"
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
	want.Environments = seen.deployed()
	verdict := deploy.Judge(want, seen.evidence)
	rows := evidenceRows(verdict)
	o, err := s.conclude(ctx, t, seen, verdict)
	o.Evidence = rows
	return o, err
}

func (s *Verify) conclude(ctx context.Context, t *Task, seen observation, verdict deploy.Verdict) (Outcome, error) {
	switch verdict.Outcome {
	case deploy.Pending:
		o := Wait("the deployment to be complete: "+verdict.Summary, s.Settings.DeployDeadline)
		o.Next = "look at the deployment if it does not complete"
		return o, nil
	case deploy.Refuted:
		return Failed("not-from-ecr", verdict.Summary, "see the evidence, repair the deployment, then enqueue the project again"), nil
	case deploy.Unproven:
		if len(seen.deployed()) == 0 && len(seen.waiting) == 0 {
			return Attention("nothing-deployed", "the pipeline passed, but it deployed nothing, so ECR will delete what it pushed within a day",
				"the project's owners say where these images are used: the GitLab Container Registry fits images that only pipelines use"), nil
		}
		if len(seen.deployed()) > 0 {
			return Attention("unproven", verdict.Summary,
				"give the worker a kubeconfig (ECRFERRY_KUBECONFIG), or look at the workload by hand"), nil
		}
	}
	if len(seen.waiting) > 0 {
		return s.production(ctx, t, seen)
	}
	exceptions, err := s.exceptions(ctx, t)
	if err != nil {
		return Outcome{}, err
	}
	message := strings.Join(seen.deployed(), ", ") + " run from ECR"
	if len(exceptions) > 0 {
		message += "; exceptions: " + strings.Join(exceptions, ", ")
	}
	return Finished(message, len(exceptions) > 0), nil
}

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
	switch policy.Production {
	case "play":
		if err := t.Record(ctx, "gitlab", "job-played", job.WebURL, "%s of pipeline %d", job.Name, t.Migration.PipelineID); err != nil {
			return Outcome{}, err
		}
		if _, err := s.GitLab.PlayJob(ctx, t.Project.ID, job.ID); err != nil {
			return Outcome{}, err
		}
		return Wait("the job "+job.Name, s.Settings.DeployDeadline), nil
	case "skip":
		o := Finished(fmt.Sprintf("%s; %s was not played and still runs what it ran", proven, job.Name), true)
		o.Next = "play " + job.Name + " when it suits: " + job.WebURL
		return o, nil
	}
	o := Wait("somebody to play "+job.Name, 0)
	o.Every = s.Settings.ProductionPoll
	o.Reason = "production"
	o.Message = fmt.Sprintf("%s; production waits for its manual job %s", proven, job.Name)
	o.Next = "play " + job.Name + ": " + job.WebURL
	return o, nil
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
	ours     []string     // environments that our pipeline deployed
	waiting  []gitlab.Job // manual jobs of our pipeline that would deploy
}

// deployed returns the environments whose newest deployment is our pipeline's.
func (o observation) deployed() []string { return o.ours }

func (s *Verify) expectation(t *Task) deploy.Expectation {
	host, _, _ := strings.Cut(t.Migration.RepositoryURI, "/")
	e := deploy.Expectation{
		Project: t.Project.Path, Registry: host, Repository: t.Migration.Repository,
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
	seen.evidence.Pipeline = &deploy.Pipeline{ID: p.ID, SHA: p.SHA, Status: p.Status, WebURL: p.WebURL}
	bridges, err := s.GitLab.Bridges(ctx, t.Project.ID, p.ID)
	if err != nil {
		return seen, err
	}
	for _, b := range bridges {
		seen.evidence.Pipeline.Downstream = append(seen.evidence.Pipeline.Downstream, downstream(b))
	}
	jobs, err := s.GitLab.Jobs(ctx, t.Project.ID, p.ID)
	if err != nil {
		return seen, err
	}
	environments, err := s.environments(ctx, t)
	if err != nil {
		return seen, err
	}
	for _, e := range environments {
		recent, err := s.GitLab.Deployments(ctx, t.Project.ID, gitlab.DeploymentQuery{Environment: e.Name, Limit: 20})
		if err != nil {
			return seen, err
		}
		ours := false
		for _, d := range recent {
			seen.evidence.Deployments = append(seen.evidence.Deployments, deploy.Deployment{
				ID: d.ID, Environment: e.Name, Status: d.Status, SHA: d.SHA, PipelineID: d.PipelineID, JobName: d.JobName,
			})
			// A manual job that nobody has played has a deployment too, as "created".
			ours = ours || d.PipelineID == p.ID && d.Status != "created" && d.Status != "blocked"
		}
		if ours {
			seen.ours = append(seen.ours, e.Name)
		}
	}
	for _, j := range jobs {
		if j.Status == "manual" && deploys(j) {
			seen.waiting = append(seen.waiting, j)
		}
	}
	images, err := s.ECR.Images(ctx, t.Migration.Repository)
	if err != nil {
		return seen, err
	}
	seen.evidence.Images = map[string]string{}
	for _, i := range images {
		seen.evidence.Images[i.Digest] = i.Digest
		for _, tag := range i.Tags {
			seen.evidence.Images[tag] = i.Digest
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

// environments returns the project's environments that are not reviews.
func (s *Verify) environments(ctx context.Context, t *Task) ([]gitlab.Environment, error) {
	all, err := s.GitLab.Environments(ctx, t.Project.ID)
	if err != nil {
		return nil, err
	}
	var out []gitlab.Environment
	for _, e := range all {
		if e.State == "available" && !strings.HasPrefix(e.Name, "review/") {
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

func downstream(b gitlab.Bridge) deploy.Downstream {
	d := deploy.Downstream{Job: b.Name, Status: b.Status, AllowFailure: b.AllowFailure}
	if b.Downstream != nil {
		d.Pipeline = &deploy.Pipeline{ID: b.Downstream.ID, SHA: b.Downstream.SHA, Status: b.Downstream.Status, WebURL: b.Downstream.WebURL}
	}
	return d
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

// baselineOf reads what was before we came.
func baselineOf(m store.Migration) (Baseline, error) {
	var b Baseline
	if len(m.Baseline) == 0 {
		return b, nil
	}
	err := json.Unmarshal(m.Baseline, &b)
	return b, err
}
