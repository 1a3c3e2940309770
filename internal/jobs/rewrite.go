package jobs

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/ciconfig"
	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/gitlab"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
	"gitlab.sikt.no/platon/ecrferry/reports"
)

// Rewrite brings the new image names into the project's files: as a commit to
// the default branch, or as a merge request where the policy or the branch's
// protection wants that. It looks for what an earlier try has left: files that
// need no edit any more, the branch, the merge request.
type Rewrite struct{ *survey }

// branchName is fixed, so that every try finds what another one made.
const branchName = "ecrferry/move-images-to-ecr"

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
	return startingOver(ctx, t, func() (Outcome, error) { return s.rewrite(ctx, t, policy, vars) })
}

// startingOver repeats f when somebody pushed between its look and its commit,
// so that it computes its change anew from the new head.
func startingOver(ctx context.Context, t *Task, f func() (Outcome, error)) (Outcome, error) {
	for try := 1; ; try++ {
		o, err := f()
		if err == nil || try == recomputes {
			return o, err
		}
		switch fault.ReasonOf(err) {
		case gitlab.ReasonFileChanged, gitlab.ReasonFileMissing, gitlab.ReasonConflict:
			t.Log.InfoContext(ctx, "the branch moved while we worked; starting over", "try", try)
			continue
		}
		return o, err
	}
}

func (s *Rewrite) rewrite(ctx context.Context, t *Task, policy Policy, vars []gitlab.Variable) (Outcome, error) {
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
		return s.nothingLeft(ctx, t, prop, vars, findings)
	}
	t.Migration.BaseSHA = prop.head.SHA
	o, note, ended, err := s.lint(ctx, t, prop, findings)
	if ended || err != nil {
		o.Findings = findings
		return o, err
	}
	findings = append(findings, note...)

	// What would take the change back is kept before it is written: a worker
	// that dies in between leaves a commit that can still be taken back.
	var inverse []store.Inverse
	c := change{head: prop.head, branch: branchName, title: "Move container images to ECR", message: commitMessage(t, prop)}
	for _, e := range prop.result.Edits {
		f, err := s.GitLab.File(ctx, t.Project.ID, prop.head.SHA, e.Path) // its last commit
		if err != nil {
			return Outcome{}, err
		}
		inverse = append(inverse, store.Inverse{Path: e.Path, Before: e.Before, After: e.After})
		c.edits = append(c.edits, gitlab.Edit{Path: e.Path, Content: e.After, LastCommitID: f.LastCommitID})
	}
	if err := t.store.ReplaceInverses(ctx, t.Migration.ID, inverse); err != nil {
		return Outcome{}, err
	}
	if t.Migration.MergeRequestIID == 0 {
		if err := s.delta(ctx, t, prop, vars); err != nil {
			return Outcome{}, err
		}
	}
	known := findings
	c.tell = func(more []store.Finding) string {
		return description(t, prop, append(known[:len(known):len(known)], more...))
	}
	o, more, err := s.deliver(ctx, t, c, policy.Delivery)
	o.Findings = append(findings, more...)
	o.Result = map[string]any{"diff": masked(prop.result.Diff()), "mapping": prop.result.Mapping, "files": len(prop.files), "requests": prop.asked}
	return o, err
}

// nothingLeft ends the step when no file needs a change: none ever did, our
// commit is in already, or the merge request was merged.
func (s *Rewrite) nothingLeft(ctx context.Context, t *Task, prop *proposal, vars []gitlab.Variable, findings []store.Finding) (Outcome, error) {
	o := Done("no file needs a change")
	if t.Migration.MergeRequestIID != 0 {
		// Days may have passed since the copy.
		if err := s.delta(ctx, t, prop, vars); err != nil {
			return Outcome{}, err
		}
		mr, err := s.GitLab.MergeRequest(ctx, t.Project.ID, t.Migration.MergeRequestIID)
		if err != nil && !errors.Is(err, gitlab.ErrNotFound) {
			return Outcome{}, err
		}
		switch mr.State {
		case "merged":
			o = Done(fmt.Sprintf("merge request !%d is merged", mr.IID))
		case "locked":
			o = Wait(fmt.Sprintf("GitLab to merge !%d", mr.IID), s.Settings.MergeDeadline)
			return o, nil
		case "opened":
			// Somebody brought the change in by another way.
			if err := s.closeMergeRequest(ctx, t, branchName, "because its change is in already"); err != nil {
				return Outcome{}, err
			}
			findings = append(findings, store.Finding{
				Code: "merge-request-unneeded", Severity: store.Note, Owner: "project", Text: mr.WebURL,
				Message: fmt.Sprintf("the files have the new names already, without !%d: it was closed", mr.IID),
				Remedy:  "nothing; reopen it if it holds more than our change",
			})
		}
	}
	t.Migration.CommitSHA = prop.head.SHA
	o.Findings = findings
	return o, nil
}

// lint asks GitLab whether it agrees, before anything is written. Where GitLab
// does not let us ask, the rewriter's own proof has to do.
func (s *Rewrite) lint(ctx context.Context, t *Task, prop *proposal, findings []store.Finding) (o Outcome, note []store.Finding, ended bool, err error) {
	content := prop.files[prop.ciPath].Content
	for _, e := range prop.result.Edits {
		if e.Path == prop.ciPath {
			content = e.After
		}
	}
	lint, err := s.GitLab.Lint(ctx, t.Project.ID, gitlab.LintRequest{Content: string(content), Ref: t.Project.DefaultBranch})
	if err != nil {
		switch fault.ReasonOf(err) {
		case gitlab.ReasonNeedsAccess, gitlab.ReasonNotFound, gitlab.ReasonPipelineNotAllowed:
			return Outcome{}, []store.Finding{{
				Code: "lint-not-permitted", Severity: store.Note, Owner: "platform", File: prop.ciPath,
				Message: "GitLab could not be asked whether it accepts the rewritten configuration: " + err.Error(),
				Remedy:  "nothing; the rewriter's own checks passed. To have GitLab asked, give the account the role Developer",
			}}, false, nil
		}
		return Outcome{}, nil, false, err
	}
	if !lint.Valid {
		return Attention("lint-invalid", "GitLab does not accept the rewritten "+prop.ciPath+": "+masked(strings.Join(lint.Errors, "; ")),
			"see whether the file was valid before; if so, report this as a defect of ecrferry. Nothing was written"), nil, true, nil
	}
	if left := unexplained(lint.MergedYAML, s.Settings.OldHost, prop.result.Edits, findings); left != "" {
		return Attention("old-registry-left", "the merged configuration would still name "+left+", and no finding says why",
			"see which included file names it, and change it there; if it is the project's own, report this as a defect of ecrferry. Nothing was written"), nil, true, nil
	}
	return Outcome{}, nil, false, nil
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
func description(t *Task, prop *proposal, findings []store.Finding) string {
	filesURL := ""
	if t.Project.WebURL != "" {
		filesURL = t.Project.WebURL + "/-/blob/" + prop.head.SHA
	}
	m := mergeRequest(prop.in.Project, filesURL, prop.result, findings)
	m.Trailer = fmt.Sprintf("%s %d", trailer, t.Migration.ID)
	var b strings.Builder
	_ = m.Markdown(&b) // a builder takes all
	return b.String()
}

func mergeRequest(p ciconfig.Project, filesURL string, res *ciconfig.Result, findings []store.Finding) reports.MergeRequest {
	m := reports.MergeRequest{Path: p.Path, FilesURL: filesURL, Registry: p.OldHost + "/" + p.Path}
	for _, r := range res.Mapping {
		m.Mapping = append(m.Mapping, reports.Renamed{Before: r.Old, After: r.New})
	}
	for _, f := range findings {
		m.Findings = append(m.Findings, reports.FindingOf(f))
	}
	return m
}

// MergeRequestOf is what a project's owners would be told of a rewrite in its merge
// request, as far as the files alone tell.
func MergeRequestOf(p ciconfig.Project, res *ciconfig.Result) reports.MergeRequest {
	return mergeRequest(p, "", res, findingsOf(res))
}
