package jobs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	imagecopy "gitlab.sikt.no/platon/ecrferry/internal/copy"
	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/naming"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
	"gitlab.sikt.no/platon/ecrferry/reports"
)

// Planner makes dry runs: the steps that look are those of a real migration, and
// what would be written is shown instead. It writes to our own database only:
// what GitLab says about projects, and the inventory.
type Planner struct {
	Store *store.Store
	Log   *slog.Logger
	look  *survey
	pace  store.Experience
}

// NewPlanner returns a planner over the same rooms that the steps use.
func NewPlanner(ctx context.Context, st *store.Store, c Clients, s Settings, log *slog.Logger) (*Planner, error) {
	pace, err := st.Experience(ctx)
	return &Planner{Store: st, Log: log, look: &survey{Clients: c, Settings: s}, pace: pace}, err
}

// Survey looks at every project of GitLab and every repository of the old
// registry, as the inventory of a run does. Without force it does so only when
// nobody ever has: whose a repository is can be said only over all of them.
func (p *Planner) Survey(ctx context.Context, force bool) error {
	if _, err := p.Store.InventoryAt(ctx); !errors.Is(err, store.ErrNotFound) && !force {
		return err
	}
	return (&Inventory{survey: p.look}).walk(ctx, p.Store, 0)
}

// Project says what migrating the project with this policy would do. What goes
// wrong with one project is its verdict; the error is that the planning itself
// has to end.
func (p *Planner) Project(ctx context.Context, project store.Project, policy Policy) (reports.ProjectPlan, error) {
	raw, err := json.Marshal(policy)
	if err != nil {
		return reports.ProjectPlan{}, err
	}
	t := &Task{
		Migration: store.Migration{ProjectID: project.ID, Kind: store.Migrate, Policy: raw},
		Project:   project, Log: p.Log.With("project", project.Path), store: p.Store, worker: "plan",
	}
	out := reports.ProjectPlan{
		Project: project.Path, URL: project.WebURL, Blockers: []reports.Blocker{}, Images: []reports.Image{},
		Findings: []reports.Finding{}, Requests: map[string]int{},
	}
	o, err := runStep(ctx, &Discover{p.look}, t)
	if err == nil && o.verdict == done {
		err = p.further(ctx, t, policy, &o, &out)
	}
	if ctx.Err() != nil {
		return out, ctx.Err()
	}
	out.Project, out.URL = t.Project.Path, t.Project.WebURL
	if err != nil {
		reason := cmp.Or(fault.ReasonOf(err), "unknown")
		out.Verdict, out.Why = reports.Unreadable, err.Error()
		out.Blockers = append(out.Blockers, reports.Blocker{Cause: reason, Why: err.Error(), Remedy: fault.RemedyOf(err)})
		return out, nil
	}
	p.show(t, o, &out)
	return out, nil
}

// further asks what the steps after discover would ask before they write.
func (p *Planner) further(ctx context.Context, t *Task, policy Policy, o *Outcome, out *reports.ProjectPlan) error {
	human := func(cause, why, remedy string) {
		out.Blockers = append(out.Blockers, reports.Blocker{Cause: cause, Why: why, Remedy: remedy})
	}
	name, err := naming.RepositoryName(t.Project.Path)
	if err != nil {
		*o = Attention("repository-name", err.Error(), "ask the platform team for a repository name that ECR allows")
		return nil
	}
	if p.look.Settings.Configure == "check" {
		lack, err := (&Configure{p.look}).lacking(ctx, t, name)
		if err != nil {
			return err
		}
		if lack != "" {
			human("update-configuration", lack, "run Update configuration for "+t.Project.Path+" in the PaaS console")
		}
	}
	if len(t.proposal.result.Edits) > 0 {
		ended, _, stop, err := (&Rewrite{p.look}).lint(ctx, t, t.proposal, o.Findings)
		if err != nil {
			return err
		}
		if stop {
			ended.Findings = o.Findings
			*o = ended
			return nil
		}
		switch {
		case policy.Delivery == "merge-request":
			human("merge-request", "the change comes as a merge request", "the project's owners merge it")
		case policy.Delivery == deliverPush && !t.proposal.head.CanPush:
			human("merge-request", "we may not push to "+t.Project.DefaultBranch+", so the change comes as a merge request", "the project's owners merge it")
		}
	}
	base, err := baselineOf(t.Migration)
	if err != nil {
		return err
	}
	for _, e := range base.Environments {
		if e.Tier == "production" && policy.Production == "wait" {
			human("production", "production ("+e.Environment+") is played by hand", "enqueue promote, when staging is proven")
			break
		}
	}
	return nil
}

// show turns what was looked at into the plan.
func (p *Planner) show(t *Task, o Outcome, out *reports.ProjectPlan) {
	for _, f := range o.Findings {
		out.Findings = append(out.Findings, reports.Finding{
			Step: string(cmp.Or(f.Step, store.StepDiscover)), Code: f.Code, Severity: string(f.Severity), File: f.File, Line: f.Line, Column: f.Column,
			Text: f.Text, Message: f.Message, Remedy: f.Remedy, Owner: f.Owner,
		})
	}
	asked, edits := 0, 0
	if t.proposal != nil && t.proposal.result != nil {
		out.Diff = masked(t.proposal.result.Diff())
		asked, edits = t.proposal.asked, len(t.proposal.result.Edits)
	}
	if o.verdict == stop && o.state == store.StateSkipped {
		out.Verdict, out.Why = reports.Skip, o.Message
		return
	}
	plan := t.images
	out.Repository = p.look.Settings.ECRHost + "/" + plan.Target
	for _, i := range plan.Images {
		out.Images = append(out.Images, reports.Image{
			Source: reference(i.SourceRepository, i.SourceTag, i.SourceDigest), SourceDigest: i.SourceDigest,
			Target: reference(i.TargetRepository, i.TargetTag, i.TargetDigest), TargetDigest: i.TargetDigest,
			MediaType: i.MediaType, Bytes: i.Bytes, State: string(i.State), Reason: i.Reason,
		})
		if i.State == imagecopy.Present {
			out.Bytes.There += i.Bytes
		}
	}
	out.Bytes.Move = plan.Forecast.Bytes
	for _, b := range plan.Blobs {
		if b.There {
			out.Bytes.There += b.Size
		}
	}
	out.Requests, out.Seconds = p.forecast(plan, fileReads*asked+edits)
	switch {
	case o.verdict == stop:
		out.Verdict, out.Why = reports.Blocked, o.Message
		out.Blockers = append([]reports.Blocker{{Cause: o.Reason, Why: o.Message, Remedy: o.Next}}, out.Blockers...)
	case o.verdict == wait:
		out.Verdict, out.Why = reports.Unreadable, o.Message
		out.Blockers = append(out.Blockers, reports.Blocker{Cause: cmp.Or(o.Reason, "waits"), Why: o.Message, Remedy: "see to what it waits for, then plan again"})
	case len(out.Blockers) > 0:
		out.Verdict, out.Why = reports.NeedsHuman, out.Blockers[0].Why
		if out.Blockers[0].Cause == "update-configuration" {
			out.Verdict = reports.Blocked // configure is the first step that would write
		}
	default:
		out.Verdict, out.Why = reports.Automatic, o.Message
	}
}

// What a migration asks of GitLab: what reading the files took the plan, once for
// each of the three steps that read them, each file that changes, and the rest of what the steps look at: 19 to 26 requests in the
// samples' migrations, with the looks at a pipeline of ten minutes.
const (
	fileReads     = 3
	otherRequests = 26
)

// otherCalls is what a migration asks of ECR beside its copies: whether the
// repository is there before and after it is made, the look of the delta copy, and
// that of verify.
const otherCalls = 4

// Where no migration has ended yet, a pipeline is taken to last ten minutes and
// copying to reach 40 MB/s.
const (
	usualPipeline = 600.0
	usualBytes    = 40e6
)

// forecast is what a migration with this plan asks of each system, where files
// is what it asks for them, and how long it takes without humans.
func (p *Planner) forecast(plan imagecopy.Plan, files int) (map[string]int, float64) {
	f := plan.Forecast
	// Discover and copy plan alike. When the images are there, the delta copy lists
	// both sides once more and compares each tag.
	compared := 0
	for _, i := range plan.Images {
		if i.SourceTag != "" && (i.State == imagecopy.Planned || i.State == imagecopy.Present) {
			compared++
		}
	}
	requests := map[string]int{
		"gitlab":       files + otherRequests,
		"old-registry": 2*f.Planning.Source() + f.Requests.Source() + f.Planning.SourceTags + compared,
		"ecr":          2*f.Planning.Target() + f.Requests.Target() + otherCalls,
	}
	seconds := max(f.Seconds, float64(f.Bytes)/cmp.Or(p.pace.Bytes, usualBytes))
	for _, step := range []store.StepName{store.StepDiscover, store.StepConfigure, store.StepRewrite, store.StepVerify} {
		seconds += p.pace.Seconds[step]
	}
	return requests, seconds + cmp.Or(p.pace.Seconds[store.StepPipeline], usualPipeline)
}

// reference is repository:tag, or repository@digest without a tag.
func reference(repository, tag, digest string) string {
	switch {
	case tag != "":
		return repository + ":" + tag
	case digest != "":
		return fmt.Sprintf("%s@%s", repository, digest)
	}
	return ""
}
