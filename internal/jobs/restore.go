package jobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/gitlab"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// Restore is the first step of a rollback: it puts the variables back as they
// were before the project was configured, and takes our changes out of the files
// by a commit or a merge request from the present head. What others changed
// elsewhere in those files stays; where they changed the same lines it refuses.
type Restore struct{ *survey }

// restoreBranch is fixed, so that every try finds what another one made.
const restoreBranch = "ecrferry/move-images-back"

// Run implements Step.
func (s *Restore) Run(ctx context.Context, t *Task) (Outcome, error) {
	p, err := s.GitLab.Project(ctx, t.Project.ID)
	if errors.Is(err, gitlab.ErrNotFound) {
		return Attention("project-gone", "GitLab no longer knows this project, or the worker may not see it",
			"nothing, if it was deleted; else give the worker's account access to it"), nil
	}
	if err != nil {
		return Outcome{}, err
	}
	t.Project = ProjectRow(p)
	policy, err := policyOf(t.Migration.Policy)
	if err != nil {
		return Outcome{}, err
	}
	if o, ended := nothingToDo(p, 1); ended {
		return o, nil
	}
	return startingOver(ctx, t, func() (Outcome, error) { return s.restore(ctx, t, policy) })
}

func (s *Restore) restore(ctx context.Context, t *Task, policy Policy) (Outcome, error) {
	inverses, err := t.store.Inverses(ctx, t.Project.ID)
	if err != nil {
		return Outcome{}, err
	}
	head, err := s.GitLab.Branch(ctx, t.Project.ID, t.Project.DefaultBranch)
	if err != nil {
		return Outcome{}, err
	}
	t.Migration.Branch = t.Project.DefaultBranch
	edits, conflicts, err := s.undo(ctx, t, head, inverses)
	if err != nil {
		return Outcome{}, err
	}
	if len(conflicts) > 0 {
		o := Attention("changed-since", summary(conflicts), conflicts[0].Remedy)
		o.Findings = conflicts
		return o, nil
	}
	// Nothing was refused: from here on something is written. The variables go
	// first, so that the commit's own pipeline runs with the former ones.
	if err := s.variables(ctx, t); err != nil {
		return Outcome{}, err
	}
	if err := s.closeMergeRequest(ctx, t, branchName, "because the project is rolled back"); err != nil {
		return Outcome{}, err
	}
	if len(edits) == 0 {
		t.Migration.CommitSHA = head.SHA
		if t.Migration.BaseSHA == "" {
			// A head from before this rollback will start no pipeline by itself; a
			// later one, such as our commit before a crash, will.
			tip, err := s.GitLab.Commits(ctx, t.Project.ID, head.SHA, 1)
			if err != nil {
				return Outcome{}, err
			}
			if len(tip) > 0 && tip[0].CreatedAt.Before(t.Migration.CreatedAt) {
				t.Migration.BaseSHA = head.SHA
			}
		}
		return Done("the files and the variables are as they were"), nil
	}
	t.Migration.BaseSHA = head.SHA
	o, more, err := s.deliver(ctx, t, change{
		head: head, edits: edits, branch: restoreBranch, title: "Take the move of container images to ECR back",
		message: fmt.Sprintf("Take the move of container images to ECR back\n\nThe files get back what they held before; the CI/CD variables do, too.\n\n%s %d\n", trailer, t.Migration.ID),
		tell:    func(fs []store.Finding) string { return restoreDescription(t, edits, fs) },
	}, policy.Delivery)
	o.Findings = append([]store.Finding{}, more...)
	return o, err
}

// undo computes the files without our changes, from the present head. Conflicts
// are places that others changed since.
func (s *Restore) undo(ctx context.Context, t *Task, head gitlab.Branch, inverses []store.Inverse) ([]gitlab.Edit, []store.Finding, error) {
	var edits []gitlab.Edit
	var conflicts []store.Finding
	for _, i := range inverses {
		f, err := s.GitLab.File(ctx, t.Project.ID, head.SHA, i.Path)
		if errors.Is(err, gitlab.ErrNotFound) {
			continue // whoever removed it left nothing to be taken back
		}
		if err != nil {
			return nil, nil, err
		}
		restored, line, ok := revert(i.Before, i.After, f.Content)
		switch {
		case !ok:
			conflicts = append(conflicts, store.Finding{
				Code: "changed-since", Severity: store.Blocking, Owner: "project", File: i.Path, Line: line,
				Message: "somebody has changed the lines since that the rollback would put back",
				Remedy:  "take the change back by hand in " + i.Path + ", then order the rollback again: it takes files that are as they were as done",
			})
		case !bytes.Equal(restored, f.Content):
			edits = append(edits, gitlab.Edit{Path: i.Path, Content: restored, LastCommitID: f.LastCommitID})
		}
	}
	return edits, conflicts, nil
}

// variables puts the variables back as they were.
func (s *Restore) variables(ctx context.Context, t *Task) error {
	before, err := t.store.Variables(ctx, t.Project.ID)
	if err != nil {
		return err
	}
	for _, v := range before {
		if v.Existed {
			changed, err := s.GitLab.SetVariable(ctx, t.Project.ID, gitlab.Variable{Key: v.Key, Value: v.Value, Protected: v.Protected, Raw: v.Raw})
			if err != nil {
				return err
			}
			if changed {
				if err := t.Record(ctx, "gitlab", "variable-restored", "", "%s=%s", v.Key, v.Value); err != nil {
					return err
				}
			}
			continue
		}
		_, err := s.GitLab.Variable(ctx, t.Project.ID, v.Key, gitlab.EveryEnvironment)
		if errors.Is(err, gitlab.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if err := s.GitLab.DeleteVariable(ctx, t.Project.ID, v.Key, gitlab.EveryEnvironment); err != nil {
			return err
		}
		if err := t.Record(ctx, "gitlab", "variable-removed", "", "%s", v.Key); err != nil {
			return err
		}
	}
	return nil
}

// closeMergeRequest closes the merge request from a branch of ours if nobody has
// merged it.
func (s *survey) closeMergeRequest(ctx context.Context, t *Task, branch, why string) error {
	mr, err := s.newestMergeRequest(ctx, t, branch)
	if err != nil || mr == nil || mr.State != "opened" {
		return err
	}
	// The intent goes first: a later migration must be able to tell that it was us.
	if err := t.Record(ctx, "gitlab", mergeRequestClosed, mr.WebURL, "!%d, %s", mr.IID, why); err != nil {
		return err
	}
	_, err = s.GitLab.UpdateMergeRequest(ctx, t.Project.ID, mr.IID, gitlab.MergeRequestUpdate{State: "close"})
	return err
}

func restoreDescription(t *Task, edits []gitlab.Edit, findings []store.Finding) string {
	var b strings.Builder
	fmt.Fprintf(&b, "This takes the move of the container images of `%s` to ECR back. The CI/CD variables are as they were already, so the pipeline fails until this is merged.\n\n", t.Project.Path)
	for _, e := range edits {
		fmt.Fprintf(&b, "- `%s` gets back what it held before; later changes by others stay\n", e.Path)
	}
	for _, f := range findings {
		fmt.Fprintf(&b, "\n%s. %s.\n", strings.TrimSuffix(f.Message, "."), strings.TrimSuffix(f.Remedy, "."))
	}
	fmt.Fprintf(&b, "\nAfter the merge the pipeline of the default branch runs, and its result is followed until the service runs from the old registry again.\n\n%s %d\n", trailer, t.Migration.ID)
	return b.String()
}
