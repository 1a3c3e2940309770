package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"gitlab.sikt.no/platon/ecrferry/internal/gitlab"
	"gitlab.sikt.no/platon/ecrferry/internal/naming"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// Discover looks at the project and writes nothing outside: is there anything
// to migrate, was its pipeline green before we came, and would the rewrite and
// the mapping of its images succeed? What blocks is found here, before the
// first write.
type Discover struct{ *survey }

// Run implements Step.
func (s *Discover) Run(ctx context.Context, t *Task) (Outcome, error) {
	p, err := s.GitLab.Project(ctx, t.Project.ID)
	if errors.Is(err, gitlab.ErrNotFound) {
		return Attention("project-gone", "GitLab no longer knows this project, or the worker may not see it",
			"nothing, if it was deleted; else give the worker's account access to it"), nil
	}
	if err != nil {
		return Outcome{}, err
	}
	row := ProjectRow(p)
	if err := t.store.UpsertProjects(ctx, []store.Project{row}); err != nil {
		return Outcome{}, err
	}
	t.Project = row

	at, err := t.store.InventoryAt(ctx)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return Outcome{}, err
	}
	if at.IsZero() {
		// Whose a repository is can be said only over the whole inventory.
		if err := insertInventory(ctx); err != nil {
			return Outcome{}, err
		}
		return Wait("the first inventory of GitLab and the old registry", time.Hour), nil
	}
	repositories, err := t.store.RepositoriesOf(ctx, t.Project.ID)
	if err != nil {
		return Outcome{}, err
	}
	if o, ended := nothingToDo(p, len(repositories)); ended {
		return o, nil
	}

	vars, err := s.GitLab.Variables(ctx, t.Project.ID)
	if err != nil {
		return Outcome{}, err
	}
	prop, err := s.propose(ctx, t, vars)
	if err != nil {
		return Outcome{}, err
	}
	if !prop.hasCI {
		return noCI(prop.ciPath, len(repositories)), nil
	}
	base, err := s.baseline(ctx, t)
	if err != nil {
		return Outcome{}, err
	}
	if t.Migration.Baseline, err = json.Marshal(base); err != nil {
		return Outcome{}, err
	}
	t.Migration.BaseSHA = prop.head.SHA

	findings := findingsOf(prop.result)
	known, err := t.store.Brought(ctx, t.Project.ID)
	if err != nil {
		return Outcome{}, err
	}
	plan, err := s.plan(ctx, t, prop, vars, known)
	if err != nil {
		return Outcome{}, err
	}
	more, err := s.imageFindings(ctx, t, plan.Images)
	if err != nil {
		return Outcome{}, err
	}
	findings = append(findings, more...)
	if was, moved := naming.Moved(t.Project.Path, value(vars, "CI_REGISTRY_IMAGE"), s.Settings.ECRHost); moved {
		findings = append(findings, store.Finding{
			Code: projectMoved, Severity: store.Note, Owner: "platform", Text: was,
			Message: fmt.Sprintf("the project was moved: its configuration is for %s, but GitLab has it at %s, so AWS refuses its pipelines", was, t.Project.Path),
			Remedy:  "Update configuration has to run again, which is the next step",
		})
	}

	broken, err := s.redBefore(ctx, t, base)
	if err != nil {
		return Outcome{}, err
	}
	switch stop := blocking(findings); {
	case broken:
		o := Attention(alreadyBroken,
			fmt.Sprintf("pipeline %d on %s had failed before we came (%s)", base.Pipeline.ID, t.Project.DefaultBranch, strings.Join(base.Pipeline.names(), ", ")),
			"the project's owners repair the pipeline, then enqueue the project again: "+base.Pipeline.URL)
		o.Findings = findings
		return o, nil
	case len(stop) > 0:
		o := Attention(stop[0].Code, summary(stop), stop[0].Remedy)
		o.Findings = findings
		return o, nil
	}
	o := Done(fmt.Sprintf("%d image repositories, %d files to change; %s", len(repositories), len(prop.result.Edits), prop.read()))
	o.Findings = findings
	o.Result = map[string]any{"repositories": len(repositories), "edits": len(prop.result.Edits), "mapping": prop.result.Mapping, "files": len(prop.files), "requests": prop.asked}
	return o, nil
}

// projectMoved is the finding that a project's configuration is for another path.
const projectMoved = "project-moved"

// nothingToDo says whether the project's own state ends the migration.
func nothingToDo(p gitlab.Project, repositories int) (Outcome, bool) {
	switch {
	case p.PendingDeletion:
		return Skipped("pending-deletion", "the project is marked for deletion"), true
	case p.Archived:
		return Skipped("archived", "the project is archived: nothing is written to it and no pipeline runs"), true
	case p.Empty || p.DefaultBranch == "":
		return Skipped("empty-repository", "the project has no commit"), true
	case p.RepositoryDisabled:
		return Skipped("repository-disabled", "the project's repository is switched off"), true
	case p.CIDisabled && repositories == 0:
		return Skipped("ci-disabled", "CI/CD is switched off and the old registry holds nothing of this project"), true
	case p.CIDisabled:
		return Attention("ci-disabled", "CI/CD is switched off, but the old registry holds images of this project",
			"the project's owners say whether the images are still needed, and switch CI/CD on if so"), true
	case p.Mirror:
		return Attention("pull-mirror", "the project is a pull mirror: a commit here would be overwritten",
			"change the configuration where the project is mirrored from"), true
	}
	return Outcome{}, false
}

func noCI(path string, repositories int) Outcome {
	if repositories == 0 {
		return Skipped("no-ci-file", "there is no "+path+" and the old registry holds nothing of this project")
	}
	return Attention("no-ci-file",
		fmt.Sprintf("there is no %s, but the old registry holds %d image repositories of this project", path, repositories),
		"the project's owners say whether the images are still needed: without a pipeline nothing deploys them from ECR, and ECR deletes what is not deployed after a day")
}

// newest returns the index of the newest pipeline that want accepts, -1 for none.
func newest(ps []gitlab.Pipeline, want func(gitlab.Pipeline) bool) int {
	best := -1
	for i, p := range ps {
		if want(p) && (best < 0 || p.ID > ps[best].ID) {
			best = i
		}
	}
	return best
}

// insertInventory enqueues a look at everything; one is enough.
func insertInventory(ctx context.Context) error {
	_, err := river.ClientFromContext[pgx.Tx](ctx).Insert(ctx, InventoryArgs{}, inventoryOpts())
	return err
}

// summary puts blocking findings into one sentence.
func summary(fs []store.Finding) string {
	first := fs[0].Message
	if fs[0].File != "" {
		first = fmt.Sprintf("%s:%d: %s", fs[0].File, fs[0].Line, first)
	}
	if len(fs) == 1 {
		return first
	}
	return fmt.Sprintf("%s (and %d more findings that block)", first, len(fs)-1)
}
