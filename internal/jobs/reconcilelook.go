package jobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"gitlab.sikt.no/platon/ecrferry/internal/ecr"
	"gitlab.sikt.no/platon/ecrferry/internal/gitlab"
	"gitlab.sikt.no/platon/ecrferry/internal/naming"
	"gitlab.sikt.no/platon/ecrferry/internal/reconcile"
	"gitlab.sikt.no/platon/ecrferry/internal/registry"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// look observes one subject and judges it. It only reads, and so that looking
// does not count as using, no image is pulled: ECR's control plane describes its
// images, and the old registry is asked for tags and for the heads of manifests.
func (w *Reconcile) look(ctx context.Context, row store.Reconciliation) (evidence any, findings []reconcile.Finding, err error) {
	if row.Subject == store.SubjectRepository {
		return w.lookAtRepository(ctx, row.Path)
	}
	p, e, err := w.observeProject(ctx, row.ProjectID)
	if err != nil {
		return nil, nil, err
	}
	reports := w.Settings.Reports
	findings = reconcile.Judge(p, e, reconcile.Limits{
		OldHost: w.Settings.OldHost, ECRHost: w.Settings.ECRHost, OldBases: w.oldBases(p.Path), Now: reports.now(),
		MergeRequest: reports.MergeRequest, Production: reports.Production, Failed: reports.Failed,
	})
	if concerned := func(f reconcile.Finding) bool { return f.Owner == reconcile.ProjectOwner && f.Remedy != "" }; !p.Gone && slices.ContainsFunc(findings, concerned) {
		p.Maintainers, err = w.maintainers(ctx, p.ID)
	}
	return p, findings, err
}

// maintainers names the people who can act on a project; none where we may not see
// them.
func (w *Reconcile) maintainers(ctx context.Context, project int64) ([]string, error) {
	people, err := w.GitLab.Maintainers(ctx, project)
	if unseen(err) {
		return nil, nil
	}
	var out []string
	for _, m := range people {
		out = append(out, m.Name+" ("+m.Username+")")
	}
	return out, err
}

func (w *Reconcile) lookAtRepository(ctx context.Context, name string) (any, []reconcile.Finding, error) {
	tags, err := w.Old.Tags(ctx, name)
	if err != nil && !errors.Is(err, registry.ErrNotFound) {
		return nil, nil, err
	}
	all, err := w.Runner.Store.Repositories(ctx)
	if err != nil {
		return nil, nil, err
	}
	var candidates []string
	for _, r := range all {
		if r.Name == name {
			candidates = r.Candidates
		}
	}
	return map[string]any{"tags": len(tags), "candidates": candidates}, reconcile.Ownerless(name, len(tags), candidates), nil
}

// oldBases are further names of the old registry that are the project's.
func (s *survey) oldBases(project string) []string {
	var out []string
	for base, path := range s.Settings.Aliases {
		if strings.EqualFold(path, project) {
			out = append(out, s.Settings.OldHost+"/"+base)
		}
	}
	slices.Sort(out)
	return out
}

// observeProject gathers what there is of a project, and what our rows say of it.
func (w *Reconcile) observeProject(ctx context.Context, id int64) (reconcile.Project, reconcile.Expectation, error) {
	st := w.Runner.Store
	e, m, err := expectation(ctx, st, id)
	if err != nil {
		return reconcile.Project{}, e, err
	}
	known, err := st.ProjectByID(ctx, id)
	if err != nil {
		return reconcile.Project{}, e, err
	}
	p := reconcile.Project{
		ID: id, Path: known.Path, WebURL: known.WebURL, Old: []reconcile.OldTag{}, OldNames: []string{}, NewNames: []string{},
		Environments: []reconcile.Environment{}, Workloads: []reconcile.Workload{},
	}
	at, err := w.GitLab.Project(ctx, id)
	if errors.Is(err, gitlab.ErrNotFound) {
		p.Gone = true
		return p, e, nil
	}
	if err != nil {
		return p, e, err
	}
	p.Path, p.WebURL, p.DefaultBranch, p.Archived, p.Empty = at.Path, at.WebURL, at.DefaultBranch, at.Archived, at.Empty
	t := &Task{Migration: m, Project: ProjectRow(at), Log: w.Runner.Log.With("project", at.Path), store: st}
	vars, err := w.GitLab.Variables(ctx, id)
	if err != nil {
		return p, e, err
	}
	p.Image = value(vars, "CI_REGISTRY_IMAGE")
	p.OldVariables = oldVariables(vars, w.Settings.OldHost)
	for _, look := range []func(context.Context, *Task, []gitlab.Variable, reconcile.Expectation, *reconcile.Project) error{
		w.lookAtOld, w.lookAtECR, w.lookAtFiles, w.lookAtDelivery, w.lookAtCluster,
	} {
		if err := look(ctx, t, vars, e, &p); err != nil {
			return p, e, err
		}
	}
	if at.CIDisabled {
		p.Pipelines = false
	}
	return p, e, nil
}

// oldVariables returns the keys of the variables that name the old registry.
// Logins to it (DOCKER_AUTH_CONFIG) name it without a path, and use nothing.
func oldVariables(vars []gitlab.Variable, host string) []string {
	var out []string
	for _, v := range vars {
		if v.Key != "CI_REGISTRY_IMAGE" && (v.Value == host || strings.Contains(v.Value, host+"/")) {
			out = append(out, v.Key)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// expectation is what our rows say of a project.
func expectation(ctx context.Context, st *store.Store, project int64) (reconcile.Expectation, store.Migration, error) {
	m, err := st.LatestMigration(ctx, project)
	if errors.Is(err, store.ErrNotFound) {
		return reconcile.Expectation{}, m, nil
	}
	if err != nil {
		return reconcile.Expectation{}, m, err
	}
	e := reconcile.Expectation{
		Kind: string(m.Kind), State: string(m.State), Step: string(m.Step), Reason: m.Reason, Message: m.Message,
		Since: m.Since, StartedAt: m.CreatedAt, Repository: m.Repository, PipelineID: m.PipelineID,
	}
	images, err := st.Images(ctx, m.ID)
	if err != nil {
		return e, m, err
	}
	for _, i := range images {
		e.Known = append(e.Known, reconcile.OldTag{Repository: i.SourceRepository, Tag: i.SourceTag, Digest: i.SourceDigest})
		if i.State == store.ImageCopied || i.State == store.ImagePresent {
			e.Images = append(e.Images, reconcile.Image{Old: i.SourceRepository + ":" + i.SourceTag, Tag: i.TargetTag, Digest: i.TargetDigest})
		}
	}
	kept, err := st.Baseline(ctx, m.ID)
	if len(kept) > 0 {
		e.Known = e.Known[:0]
		for _, t := range kept {
			e.Known = append(e.Known, reconcile.OldTag(t))
		}
	}
	return e, m, err
}

// lookAtOld lists the project's tags in the old registry, and asks for the
// digests of those that can be compared with one.
func (w *Reconcile) lookAtOld(ctx context.Context, t *Task, _ []gitlab.Variable, e reconcile.Expectation, p *reconcile.Project) error {
	compared := map[string]bool{}
	for _, k := range e.Known {
		compared[k.Repository+":"+k.Tag] = k.Digest != ""
	}
	tags, err := w.oldTags(ctx, t.store, t.Project.ID, func(repository, tag string) bool { return compared[repository+":"+tag] })
	for _, tag := range tags {
		p.Old = append(p.Old, reconcile.OldTag(tag))
	}
	return err
}

// fetches is how many digests of a project are asked for at once.
const fetches = 4

// oldTags lists a project's tags in the old registry, with the digests of those
// that are wanted.
func (s *survey) oldTags(ctx context.Context, st *store.Store, project int64, digest func(repository, tag string) bool) ([]store.OldTag, error) {
	repositories, err := st.RepositoriesOf(ctx, project)
	if err != nil {
		return nil, err
	}
	var out []store.OldTag
	for _, r := range repositories {
		tags, err := s.Old.Tags(ctx, r.Name)
		if err != nil && !errors.Is(err, registry.ErrNotFound) {
			return nil, err
		}
		for _, tag := range tags {
			out = append(out, store.OldTag{Repository: r.Name, Tag: tag})
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(fetches)
	for i := range out {
		if !digest(out[i].Repository, out[i].Tag) {
			continue
		}
		g.Go(func() error {
			d, err := s.Old.Head(ctx, out[i].Repository, out[i].Tag)
			if err != nil && !registry.IsGone(err) {
				return err
			}
			out[i].Digest = d.Digest
			return nil
		})
	}
	return out, g.Wait()
}

func (w *Reconcile) lookAtECR(ctx context.Context, t *Task, _ []gitlab.Variable, e reconcile.Expectation, p *reconcile.Project) error {
	p.ECR.Tags, p.ECR.Digests = map[string]string{}, []string{}
	if p.ECR.Repository = e.Repository; e.Repository == "" {
		name, err := naming.RepositoryName(t.Project.Path)
		if err != nil {
			return nil // there can be none
		}
		p.ECR.Repository = name
	}
	images, err := w.ECR.Images(ctx, p.ECR.Repository)
	if errors.Is(err, ecr.ErrRepositoryNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	p.ECR.Exists = true
	for _, i := range images {
		p.ECR.Digests = append(p.ECR.Digests, i.Digest)
		for _, tag := range i.Tags {
			p.ECR.Tags[tag] = i.Digest
		}
	}
	slices.Sort(p.ECR.Digests)
	return nil
}

// lookAtFiles reads the files of the default branch's head, and lets the rewriter
// say what of the old registry they still name.
func (w *Reconcile) lookAtFiles(ctx context.Context, t *Task, vars []gitlab.Variable, _ reconcile.Expectation, p *reconcile.Project) error {
	if p.Empty || p.DefaultBranch == "" {
		return nil
	}
	prop, err := w.propose(ctx, t, vars)
	if errors.Is(err, gitlab.ErrNotFound) {
		return nil // the repository is switched off, or lost its default branch
	}
	if err != nil {
		return err
	}
	p.Head, p.Pipelines = prop.head.SHA, prop.hasCI
	for _, e := range prop.result.Edits {
		p.OldNames = append(p.OldNames, changedLines(e.Path, e.Before, e.After)...)
	}
	for _, f := range prop.result.Findings {
		if strings.Contains(f.Text, w.Settings.OldHost+"/") {
			p.OldNames = append(p.OldNames, fmt.Sprintf("%s:%d %s", f.File, f.Line, masked(f.Text)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(prop.files)) {
		for _, line := range bytes.Split(prop.files[name].Content, []byte("\n")) {
			if line = bytes.TrimSpace(line); bytes.HasPrefix(line, []byte("#")) {
				continue
			}
			for _, ref := range mentions(string(line), w.Settings.ECRHost+"/") {
				if !strings.Contains(ref, "$") {
					p.NewNames = append(p.NewNames, ref)
				}
			}
		}
	}
	slices.Sort(p.OldNames)
	p.OldNames = slices.Compact(p.OldNames)
	return nil
}

// changedLines names the lines that an edit would change.
func changedLines(path string, before, after []byte) []string {
	var out []string
	is := map[string]int{}
	for line := range strings.Lines(string(after)) {
		is[line]++
	}
	n := 0
	for line := range strings.Lines(string(before)) {
		n++
		if is[line] > 0 {
			is[line]--
			continue
		}
		if text := []rune(strings.TrimSpace(line)); len(text) > 0 {
			out = append(out, fmt.Sprintf("%s:%d %s", path, n, masked(string(text[:min(len(text), 120)]))))
		}
	}
	return out
}

// lookAtDelivery asks GitLab for our merge request, the production job, and what
// is deployed where.
func (w *Reconcile) lookAtDelivery(ctx context.Context, t *Task, _ []gitlab.Variable, e reconcile.Expectation, p *reconcile.Project) error {
	m := t.Migration
	if m.MergeRequestIID != 0 {
		mr, err := w.GitLab.MergeRequest(ctx, p.ID, m.MergeRequestIID)
		if err != nil && !errors.Is(err, gitlab.ErrNotFound) {
			return err
		}
		if err == nil {
			p.MergeRequest = &reconcile.Request{IID: mr.IID, State: mr.State, URL: mr.WebURL, CreatedAt: mr.CreatedAt}
		}
	}
	if m.PipelineID != 0 && m.State == store.StateWaiting && e.Reason == waitsForProduction {
		jobs, err := w.GitLab.Jobs(ctx, p.ID, m.PipelineID)
		if err != nil && !unseen(err) {
			return err
		}
		for _, j := range jobs {
			if deploys(j) && p.Production == nil {
				p.Production = &reconcile.Job{Name: j.Name, Status: j.Status, URL: j.WebURL}
			}
		}
	}
	environments, err := (&Verify{w.survey}).environments(ctx, t)
	if unseen(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, v := range environments {
		d, err := w.GitLab.LatestDeployment(ctx, p.ID, v.Name)
		if errors.Is(err, gitlab.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		p.Environments = append(p.Environments, reconcile.Environment{
			Name: v.Name, Tier: v.Tier, State: v.State, SHA: d.SHA, PipelineID: d.PipelineID, DeployedAt: d.UpdatedAt,
		})
	}
	return nil
}

func (w *Reconcile) lookAtCluster(ctx context.Context, t *Task, vars []gitlab.Variable, _ reconcile.Expectation, p *reconcile.Project) error {
	if w.Cluster == nil {
		return nil
	}
	workloads, err := w.workloads(ctx, t, vars)
	if err != nil {
		return err
	}
	p.ClusterAsked = true
	for _, v := range workloads {
		seen := reconcile.Workload{Kind: v.Kind, Name: v.Name, Environment: v.Environment}
		for _, c := range v.Containers {
			seen.Containers = append(seen.Containers, reconcile.Container{Name: c.Name, Image: c.Image, Running: c.RunningDigests})
		}
		p.Workloads = append(p.Workloads, seen)
	}
	return nil
}
