package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/gitlab"
)

// Rewrite brings the new image names into the project's files: as a commit to
// the default branch, or as a merge request where the policy or the branch's
// protection wants that. It looks for what an earlier try has left: files that
// need no edit any more, the branch, the merge request.
type Rewrite struct{ *survey }

const (
	// branchName is fixed, so that every try finds what another one made.
	branchName = "ecrferry/move-images-to-ecr"
	// trailer marks our commits, whoever looks for them.
	trailer = "Ecrferry-Migration:"
)

// recomputes is how often the rewrite starts over within a try because somebody
// pushed meanwhile.
const recomputes = 3

// Run implements Step.
func (s *Rewrite) Run(ctx context.Context, t *Task) (Outcome, error) {
	policy, err := policyOf(t.Migration.Policy)
	if err != nil {
		return Outcome{}, err
	}
	vars, err := s.GitLab.Variables(ctx, t.Project.ID)
	if err != nil {
		return Outcome{}, err
	}
	for try := 1; ; try++ {
		o, err := s.deliver(ctx, t, policy, vars)
		if err != nil && fault.ReasonOf(err) == gitlab.ReasonFileChanged && try < recomputes {
			t.Log.InfoContext(ctx, "the default branch moved while we worked; starting over", "try", try)
			continue
		}
		return o, err
	}
}

func (s *Rewrite) deliver(ctx context.Context, t *Task, policy Policy, vars []gitlab.Variable) (Outcome, error) {
	prop, err := s.propose(ctx, t, vars)
	if err != nil {
		return Outcome{}, err
	}
	findings := findingsOf(prop.result)
	if stop := blocking(findings); len(stop) > 0 {
		o := Attention(stop[0].Code, summary(stop), stop[0].Remedy)
		o.Findings = findings
		return o, nil
	}
	t.Migration.Branch = t.Project.DefaultBranch
	if len(prop.result.Edits) == 0 {
		// Nothing to change: it was never needed, or our commit is in already.
		t.Migration.CommitSHA = prop.head.SHA
		o := Done("no file needs a change")
		o.Findings = findings
		return o, nil
	}
	t.Migration.BaseSHA = prop.head.SHA
	if o, ended, err := s.lint(ctx, t, prop); ended || err != nil {
		return o, err
	}

	commit := gitlab.CommitRequest{Branch: t.Project.DefaultBranch, Message: commitMessage(t, prop)}
	for _, e := range prop.result.Edits {
		commit.Edits = append(commit.Edits, gitlab.Edit{
			Path: e.Path, Content: e.After, LastCommitID: prop.files[e.Path].LastCommitID,
		})
	}
	o, err := s.push(ctx, t, prop, commit, policy)
	o.Findings = findings
	o.Result = map[string]any{"diff": prop.result.Diff(), "mapping": prop.result.Mapping}
	return o, err
}

// lint asks GitLab whether it agrees, before anything is written.
func (s *Rewrite) lint(ctx context.Context, t *Task, prop *proposal) (Outcome, bool, error) {
	content := prop.files[prop.ciPath].Content
	for _, e := range prop.result.Edits {
		if e.Path == prop.ciPath {
			content = e.After
		}
	}
	lint, err := s.GitLab.Lint(ctx, t.Project.ID, gitlab.LintRequest{Content: string(content), Ref: t.Project.DefaultBranch})
	if err != nil {
		return Outcome{}, false, err
	}
	if lint.Valid {
		return Outcome{}, false, nil
	}
	return Attention("lint-invalid", "GitLab does not accept the rewritten "+prop.ciPath+": "+strings.Join(lint.Errors, "; "),
		"see whether the file was valid before; if so, report this as a defect of ecrferry. Nothing was written"), true, nil
}

// push delivers the commit the way that policy and protection allow.
func (s *Rewrite) push(ctx context.Context, t *Task, prop *proposal, commit gitlab.CommitRequest, policy Policy) (Outcome, error) {
	if policy.Delivery == "push" && prop.head.CanPush {
		sha, err := s.commit(ctx, t, commit)
		if err == nil {
			t.Migration.CommitSHA = sha
			return Done(fmt.Sprintf("%d files changed in commit %.8s", len(commit.Edits), sha)), nil
		}
		if fault.ReasonOf(err) != gitlab.ReasonPushNotAllowed {
			return Outcome{}, err
		}
	}
	return s.mergeRequest(ctx, t, prop, commit)
}

func (s *Rewrite) commit(ctx context.Context, t *Task, c gitlab.CommitRequest) (string, error) {
	sha, err := s.GitLab.Commit(ctx, t.Project.ID, c)
	if err != nil {
		return "", err
	}
	url := t.Project.WebURL + "/-/commit/" + sha
	return sha, t.Record(ctx, "gitlab", "commit", url, "%d files on %s", len(c.Edits), c.Branch)
}

// mergeRequest sees to it that there is one merge request with the edits, and
// waits until somebody has merged it.
func (s *Rewrite) mergeRequest(ctx context.Context, t *Task, prop *proposal, commit gitlab.CommitRequest) (Outcome, error) {
	mrs, err := s.GitLab.MergeRequests(ctx, t.Project.ID, branchName)
	if err != nil {
		return Outcome{}, err
	}
	slices.SortFunc(mrs, func(a, b gitlab.MergeRequest) int { return int(b.IID - a.IID) })
	for _, mr := range mrs {
		switch mr.State {
		case "opened", "locked":
			return s.awaitMerge(t, mr), nil
		case "closed":
			t.Migration.MergeRequestIID, t.Migration.MergeRequestURL = mr.IID, mr.WebURL
			return Attention("merge-request-closed", "the project's owners closed the merge request: "+mr.WebURL,
				"agree with them, reopen it, then enqueue the project again"), nil
		}
		break // merged: the edits that are left are new ones
	}
	branch, err := s.GitLab.Branch(ctx, t.Project.ID, branchName)
	switch {
	case errors.Is(err, gitlab.ErrNotFound):
		commit.Branch, commit.StartBranch = branchName, t.Project.DefaultBranch
		if _, err := s.commit(ctx, t, commit); err != nil {
			return Outcome{}, err
		}
	case err != nil:
		return Outcome{}, err
	default:
		tip, err := s.GitLab.Commits(ctx, t.Project.ID, branch.SHA, 1)
		if err != nil {
			return Outcome{}, err
		}
		if len(tip) == 0 || !strings.Contains(tip[0].Message, trailer) {
			return Attention("branch-taken", "the branch "+branchName+" holds commits that are not ours",
				"merge or delete that branch, then enqueue the project again"), nil
		}
	}
	mr, err := s.GitLab.CreateMergeRequest(ctx, t.Project.ID, gitlab.MergeRequestRequest{
		SourceBranch: branchName, TargetBranch: t.Project.DefaultBranch, RemoveSourceBranch: true,
		Title:       "Move container images to ECR",
		Description: description(t, prop),
	})
	if err != nil {
		return Outcome{}, err
	}
	if err := t.Record(ctx, "gitlab", "merge-request", mr.WebURL, "!%d into %s", mr.IID, t.Project.DefaultBranch); err != nil {
		return Outcome{}, err
	}
	return s.awaitMerge(t, mr), nil
}

func (s *Rewrite) awaitMerge(t *Task, mr gitlab.MergeRequest) Outcome {
	t.Migration.MergeRequestIID, t.Migration.MergeRequestURL = mr.IID, mr.WebURL
	o := Wait(fmt.Sprintf("merge request !%d to be merged", mr.IID), s.Settings.MergeDeadline)
	o.Reason = "merge-request"
	o.Next = "the project's owners review and merge " + mr.WebURL
	return o
}

func commitMessage(t *Task, prop *proposal) string {
	var b strings.Builder
	b.WriteString("Move container images to ECR\n\n")
	b.WriteString("ECR keeps one repository a project: image names become tag prefixes.\n")
	for _, m := range prop.result.Mapping {
		fmt.Fprintf(&b, "  %s -> %s\n", m.Old, m.New)
	}
	fmt.Fprintf(&b, "\n%s %d\n", trailer, t.Migration.ID)
	return b.String()
}

// description is what the project's owners read in the merge request.
func description(t *Task, prop *proposal) string {
	var b strings.Builder
	fmt.Fprintf(&b, "This moves the container images of `%s` from the old registry to Amazon ECR, which keeps one repository a project: image names become tag prefixes, and a tag can be pushed only once.\n\n", t.Project.Path)
	if len(prop.result.Mapping) > 0 {
		b.WriteString("| before | after |\n| --- | --- |\n")
		for _, m := range prop.result.Mapping {
			fmt.Fprintf(&b, "| `%s` | `%s` |\n", m.Old, m.New)
		}
		b.WriteString("\n")
	}
	if fs := findingsOf(prop.result); len(fs) > 0 {
		b.WriteString("**For you to look at**\n\n")
		for _, f := range fs {
			fmt.Fprintf(&b, "- `%s:%d` %s %s\n", f.File, f.Line, f.Message, f.Remedy)
		}
		b.WriteString("\n")
	}
	b.WriteString("After the merge the pipeline of the default branch runs, and its result is followed until the service runs from ECR. To take it back, revert the merge.\n")
	fmt.Fprintf(&b, "\n%s %d\n", trailer, t.Migration.ID)
	return b.String()
}
