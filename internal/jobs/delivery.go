package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/gitlab"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// Ways of delivery, as in Policy.
const (
	deliverPush      = "push"
	deliverMerge     = "merge-request"
	deliverAutoMerge = "merge-request+auto-merge"
)

// trailer marks our commits, whoever looks for them.
const trailer = "Ecrferry-Migration:"

// Our part of a merge request's description lies between these marks, so that it
// can be refreshed and what people write around it stays.
const (
	descriptionBegin = "<!-- ecrferry: refreshed from here -->"
	descriptionEnd   = "<!-- ecrferry: to here -->"
)

// change is a set of edits to be brought to the default branch: the rewrite, or
// its inverse.
type change struct {
	head    gitlab.Branch // of the default branch, from which it was computed
	edits   []gitlab.Edit
	branch  string // of the merge request; fixed, so that every try finds it
	title   string
	message string // of the commit; ends with the trailer
	tell    func(findings []store.Finding) string
}

// deliver brings the change in the way that policy and protection allow. The
// findings are what it has to say about the merge request.
func (s *survey) deliver(ctx context.Context, t *Task, c change, delivery string) (Outcome, []store.Finding, error) {
	if delivery == deliverPush && c.head.CanPush {
		o, ok, err := t.Budget(ctx, s.Settings.PipelinesPerHour, "commit:"+c.head.SHA)
		if !ok {
			return o, nil, err
		}
		sha, err := s.commit(ctx, t, gitlab.CommitRequest{Branch: t.Project.DefaultBranch, Message: c.message, Edits: c.edits})
		if err == nil {
			t.Migration.CommitSHA = sha
			return Done(fmt.Sprintf("%d files changed in commit %.8s", len(c.edits), sha)), nil, nil
		}
		if fault.ReasonOf(err) != gitlab.ReasonPushNotAllowed {
			return Outcome{}, nil, err
		}
		t.Log.InfoContext(ctx, "the branch is protected against us; delivering by merge request", "branch", t.Project.DefaultBranch)
	}
	return s.mergeRequest(ctx, t, c, delivery == deliverAutoMerge)
}

func (s *survey) commit(ctx context.Context, t *Task, c gitlab.CommitRequest) (string, error) {
	sha, err := s.GitLab.Commit(ctx, t.Project.ID, c)
	if err != nil {
		return "", err
	}
	url := t.Project.WebURL + "/-/commit/" + sha
	return sha, t.Record(ctx, "gitlab", "commit", url, "%d files on %s", len(c.Edits), c.Branch)
}

// mergeRequest sees to it that there is one merge request with the edits, and
// waits until it is merged.
func (s *survey) mergeRequest(ctx context.Context, t *Task, c change, auto bool) (Outcome, []store.Finding, error) {
	mr, err := s.newestMergeRequest(ctx, t, c.branch)
	if err != nil {
		return Outcome{}, nil, err
	}
	if mr != nil && mr.State == "closed" {
		mine, err := s.closedByUs(ctx, t, *mr)
		if err != nil {
			return Outcome{}, nil, err
		}
		if !mine {
			t.Migration.MergeRequestIID, t.Migration.MergeRequestURL = mr.IID, mr.WebURL
			return Attention("merge-request-closed", "the project's owners closed the merge request: "+mr.WebURL,
				"agree with them, reopen it, then enqueue the project again"), nil, nil
		}
	}
	if mr != nil && mr.State == "merged" && mr.MergedAt.After(t.Migration.CreatedAt) {
		// It may have been merged since the change was computed: then nothing is
		// missing, and to go on would propose it a second time.
		head, err := s.GitLab.Branch(ctx, t.Project.ID, t.Project.DefaultBranch)
		if err != nil {
			return Outcome{}, nil, err
		}
		if head.SHA != c.head.SHA {
			return Outcome{}, nil, fault.New(fault.Transient, gitlab.ReasonConflict, "%s moved while it was looked at", t.Project.DefaultBranch)
		}
		back, err := s.takenBack(ctx, t, c, *mr)
		if err != nil {
			return Outcome{}, nil, err
		}
		if back {
			return Attention("merge-request-reverted", "the merge request was merged, and somebody has taken its change back since: "+mr.WebURL,
				"agree with the project's owners, then enqueue the project again: it gets a new merge request"), nil, nil
		}
	}
	open := mr != nil && (mr.State == "opened" || mr.State == "locked")
	o, findings, ok, err := s.branch(ctx, t, c, open && conflicting(*mr))
	if err != nil || !ok {
		return o, findings, err
	}
	text := describe(c, findings)
	if !open {
		made, err := s.GitLab.CreateMergeRequest(ctx, t.Project.ID, gitlab.MergeRequestRequest{
			SourceBranch: c.branch, TargetBranch: t.Project.DefaultBranch, RemoveSourceBranch: true,
			Title: c.title, Description: text,
		})
		if err != nil {
			return Outcome{}, findings, err
		}
		if err := t.Record(ctx, "gitlab", "merge-request", made.WebURL, "!%d into %s", made.IID, t.Project.DefaultBranch); err != nil {
			return Outcome{}, findings, err
		}
		mr = &made
	} else if fresh := refresh(mr.Description, text); strings.TrimSpace(fresh) != strings.TrimSpace(mr.Description) {
		if err := t.Record(ctx, "gitlab", "merge-request-refreshed", mr.WebURL, "description of !%d", mr.IID); err != nil {
			return Outcome{}, findings, err
		}
		if _, err := s.GitLab.UpdateMergeRequest(ctx, t.Project.ID, mr.IID, gitlab.MergeRequestUpdate{Description: fresh}); err != nil {
			return Outcome{}, findings, err
		}
	}
	t.Migration.MergeRequestIID, t.Migration.MergeRequestURL = mr.IID, mr.WebURL
	o = Wait(fmt.Sprintf("merge request !%d to be merged", mr.IID), s.Settings.MergeDeadline)
	o.Reason = "merge-request"
	o.Next = "the project's owners review and merge " + mr.WebURL
	if auto && !mr.AutoMerge && !edited(findings) {
		note, err := s.autoMerge(ctx, t, *mr)
		if err != nil {
			return Outcome{}, findings, err
		}
		if note.Code != "" {
			findings = append(findings, note)
		}
	}
	return o, findings, nil
}

// newestMergeRequest returns the newest merge request from a branch, nil for
// none. Older ones are history.
func (s *survey) newestMergeRequest(ctx context.Context, t *Task, branch string) (*gitlab.MergeRequest, error) {
	mrs, err := s.GitLab.MergeRequests(ctx, t.Project.ID, branch)
	if err != nil || len(mrs) == 0 {
		return nil, err
	}
	newest := slices.MaxFunc(mrs, func(a, b gitlab.MergeRequest) int { return int(a.IID - b.IID) })
	return &newest, nil
}

// mergeRequestClosed is the event that we closed a merge request of ours.
const mergeRequestClosed = "merge-request-closed"

// closedByUs says whether a rollback of ours closed the merge request.
func (s *survey) closedByUs(ctx context.Context, t *Task, mr gitlab.MergeRequest) (bool, error) {
	events, err := t.store.Events(ctx, store.EventFilter{ProjectID: t.Project.ID, Kind: mergeRequestClosed})
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(events, func(e store.Event) bool { return e.URL == mr.WebURL }), nil
}

// takenBack says whether the change is the very one that the merge request
// brought: it was merged, and is missing again.
func (s *survey) takenBack(ctx context.Context, t *Task, c change, mr gitlab.MergeRequest) (bool, error) {
	for _, e := range c.edits {
		f, err := s.GitLab.File(ctx, t.Project.ID, mr.SHA, e.Path)
		if errors.Is(err, gitlab.ErrNotFound) {
			return false, nil
		}
		if err != nil || !bytes.Equal(f.Content, e.Content) {
			return false, err
		}
	}
	return true, nil
}

// conflicting says whether our branch can't be merged as it is. Where merge
// requests are merged by fast-forward only, one that is behind can't.
func conflicting(mr gitlab.MergeRequest) bool {
	return mr.Conflicts || mr.MergeStatus == "conflict" || mr.MergeStatus == "need_rebase"
}

// branch sees to it that our branch holds the edits. Commits of others on it are
// never overwritten: then it is left as it is, and a finding says so. Without ok
// the outcome says what to do instead of going on.
func (s *survey) branch(ctx context.Context, t *Task, c change, conflict bool) (Outcome, []store.Finding, bool, error) {
	commit := gitlab.CommitRequest{Branch: c.branch, StartBranch: t.Project.DefaultBranch, Message: c.message, Edits: c.edits}
	_, err := s.GitLab.Branch(ctx, t.Project.ID, c.branch)
	if err != nil && !errors.Is(err, gitlab.ErrNotFound) {
		return Outcome{}, nil, false, err
	}
	if err != nil {
		o, ok, err := t.Budget(ctx, s.Settings.PipelinesPerHour, "branch:"+c.head.SHA)
		if !ok {
			return o, nil, false, err
		}
		_, err = s.commit(ctx, t, commit)
		return Outcome{}, nil, err == nil, err
	}
	between, err := s.GitLab.Compare(ctx, t.Project.ID, t.Project.DefaultBranch, c.branch)
	if err != nil {
		return Outcome{}, nil, false, vanished(c.branch, err)
	}
	for _, k := range between.Commits {
		if !strings.Contains(k.Message, trailer) {
			return Outcome{}, []store.Finding{{
				Code: branchEdited, Severity: store.Note, Owner: "project", Text: k.SHA,
				Message: fmt.Sprintf("%s has commits by others, such as %.8s by %s: it is left as it is", c.branch, k.SHA, k.AuthorName),
				Remedy:  "see whether the merge request still holds every change of the table, then merge it",
			}}, true, nil
		}
	}
	if conflict || len(between.Commits) == 0 {
		// All of it is ours, and a merge would fail: begin anew from the head.
		commit.Force = true
	} else {
		commit.StartBranch = ""
		if commit.Edits, err = s.remaining(ctx, t, c, between); err != nil {
			return Outcome{}, nil, false, vanished(c.branch, err)
		}
		if len(commit.Edits) == 0 {
			return Outcome{}, nil, true, nil
		}
	}
	o, ok, err := t.Budget(ctx, s.Settings.PipelinesPerHour, "branch:"+c.head.SHA)
	if !ok {
		return o, nil, false, err
	}
	_, err = s.commit(ctx, t, commit)
	return Outcome{}, nil, err == nil, vanished(c.branch, err)
}

// vanished is the error of a look at, or a commit to, a branch that was there a moment ago:
// somebody deleted it, or a merge did, and the step starts over.
func vanished(branch string, err error) error {
	if errors.Is(err, gitlab.ErrNotFound) || fault.ReasonOf(err) == gitlab.ReasonBranchMissing {
		return fault.New(fault.Transient, gitlab.ReasonConflict, "%s vanished while it was looked at: %w", branch, err)
	}
	return err
}

// branchEdited is the finding that people have commits on our branch.
const branchEdited = "merge-request-edited"

func edited(fs []store.Finding) bool {
	return slices.ContainsFunc(fs, func(f store.Finding) bool { return f.Code == branchEdited })
}

// remaining returns the edits that our branch lacks: files whose content is not
// the wanted one, and files that it changed and that are to stay as they are.
func (s *survey) remaining(ctx context.Context, t *Task, c change, between gitlab.Comparison) ([]gitlab.Edit, error) {
	var out []gitlab.Edit
	wanted := map[string]bool{}
	for _, e := range c.edits {
		wanted[e.Path] = true
		f, err := s.GitLab.File(ctx, t.Project.ID, c.branch, e.Path)
		if errors.Is(err, gitlab.ErrNotFound) {
			out = append(out, gitlab.Edit{Path: e.Path, Content: e.Content})
			continue
		}
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(f.Content, e.Content) {
			out = append(out, gitlab.Edit{Path: e.Path, Content: e.Content, LastCommitID: f.LastCommitID})
		}
	}
	for _, d := range between.Diffs {
		if wanted[d.NewPath] || d.New || d.Deleted || d.Renamed {
			continue
		}
		was, err := s.GitLab.File(ctx, t.Project.ID, c.head.SHA, d.NewPath)
		if errors.Is(err, gitlab.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		f, err := s.GitLab.File(ctx, t.Project.ID, c.branch, d.NewPath)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(f.Content, was.Content) {
			out = append(out, gitlab.Edit{Path: d.NewPath, Content: was.Content, LastCommitID: f.LastCommitID})
		}
	}
	return out, nil
}

// mergeRequestAccepted is the event that we asked GitLab to merge; its data hold
// the commit, because a later one of ours may be asked for again.
const mergeRequestAccepted = "merge-request-accepted"

// autoMerge asks GitLab to merge when the checks pass. What stands in the way is
// for people to see to, and is told.
func (s *survey) autoMerge(ctx context.Context, t *Task, mr gitlab.MergeRequest) (store.Finding, error) {
	pipelines, err := s.GitLab.Pipelines(ctx, t.Project.ID, gitlab.PipelineQuery{SHA: mr.SHA})
	if err != nil {
		return store.Finding{}, err
	}
	switch i := newest(pipelines, func(p gitlab.Pipeline) bool { return p.Status != "skipped" }); {
	case i < 0 && time.Since(t.WaitingSince("merge-request")) < s.Settings.PipelineAppears:
		// Without a running pipeline GitLab merges at once, so its own gets time to begin.
		return store.Finding{}, nil
	case i >= 0 && ended(pipelines[i].Status):
		return store.Finding{
			Code: "merge-request-pipeline", Severity: store.Note, Owner: "project", Text: pipelines[i].WebURL,
			Message: fmt.Sprintf("the merge request is not merged by itself: its pipeline %d %s", pipelines[i].ID, pipelines[i].Status),
			Remedy:  "look at that pipeline; merge by hand if its failure has nothing to do with the change",
		}, nil
	}
	asked, err := t.store.Events(ctx, store.EventFilter{MigrationID: t.Migration.ID, Kind: mergeRequestAccepted})
	if err != nil {
		return store.Finding{}, err
	}
	if slices.ContainsFunc(asked, func(e store.Event) bool {
		var at struct{ SHA string }
		return json.Unmarshal(e.Data, &at) == nil && at.SHA == mr.SHA
	}) {
		// Whoever took it back had a reason, be it a person or a merge train.
		return store.Finding{
			Code: "auto-merge-cancelled", Severity: store.Note, Owner: "project", Text: mr.WebURL,
			Message: "the merge request was to be merged by itself, and somebody has taken that back",
			Remedy:  "merge it by hand when it suits",
		}, nil
	}
	_, err = s.GitLab.AcceptMergeRequest(ctx, t.Project.ID, mr.IID, gitlab.Acceptance{SHA: mr.SHA, AutoMerge: true, RemoveSourceBranch: true})
	if err == nil {
		return store.Finding{}, t.RecordData(ctx, "gitlab", mergeRequestAccepted, mr.WebURL, map[string]any{"sha": mr.SHA}, "!%d at %.8s, when its checks pass", mr.IID, mr.SHA)
	}
	switch fault.ReasonOf(err) {
	case gitlab.ReasonNotMergeable, gitlab.ReasonHeadMoved:
		// It is being checked, or our branch has just moved: the next look tries again.
		return store.Finding{}, nil
	case gitlab.ReasonMergeNotAllowed, gitlab.ReasonMergeConflict, gitlab.ReasonNeedsAccess:
		return store.Finding{
			Code: fault.ReasonOf(err), Severity: store.Note, Owner: "project", Text: mr.WebURL,
			Message: "the merge request is not merged by itself: " + err.Error(), Remedy: fault.RemedyOf(err),
		}, nil
	}
	return store.Finding{}, err
}

func describe(c change, findings []store.Finding) string {
	return descriptionBegin + "\n\n" + strings.TrimSpace(c.tell(findings)) + "\n\n" + descriptionEnd
}

// refresh puts our part of a description in the place of the former one. What
// people wrote around it stays; without our marks it goes to the end.
func refresh(description, ours string) string {
	before, rest, ok := strings.Cut(description, descriptionBegin)
	if !ok {
		return strings.TrimSpace(description + "\n\n" + ours)
	}
	_, behind, _ := strings.Cut(rest, descriptionEnd)
	return before + ours + behind
}
