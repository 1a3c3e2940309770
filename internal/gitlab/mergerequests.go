package gitlab

import (
	"context"
	"fmt"
	"time"

	api "gitlab.com/gitlab-org/api/client-go/v2"
)

// MergeRequest is a merge request.
type MergeRequest struct {
	IID          int64
	State        string // opened, closed, locked, merged
	SourceBranch string
	TargetBranch string
	Title        string
	Description  string
	Draft        bool
	// SHA is the head of the source branch. MergeCommitSHA and SquashCommitSHA
	// are "" until merged, and stay so when the branch was fast-forwarded.
	SHA, MergeCommitSHA, SquashCommitSHA string
	// MergeStatus is GitLab's detailed_merge_status: mergeable, checking,
	// ci_still_running, not_approved, conflict, …
	MergeStatus string
	AutoMerge   bool // will be merged when its checks pass
	Conflicts   bool
	Author      string
	WebURL      string
	CreatedAt   time.Time
	UpdatedAt   time.Time
	MergedAt    time.Time
}

// LandedSHA returns the commit that merging put on the target branch, or "" when
// it is not merged: the merge commit, else the squash commit, else (a
// fast-forward) the head of the source branch.
func (m MergeRequest) LandedSHA() string {
	switch {
	case m.State != "merged":
		return ""
	case m.MergeCommitSHA != "":
		return m.MergeCommitSHA
	case m.SquashCommitSHA != "":
		return m.SquashCommitSHA
	}
	return m.SHA
}

func mergeRequest(m *api.BasicMergeRequest) MergeRequest {
	r := MergeRequest{
		IID: m.IID, State: m.State, SourceBranch: m.SourceBranch, TargetBranch: m.TargetBranch,
		Title: m.Title, Description: m.Description, Draft: m.Draft,
		SHA: m.SHA, MergeCommitSHA: m.MergeCommitSHA, SquashCommitSHA: m.SquashCommitSHA,
		MergeStatus: m.DetailedMergeStatus, AutoMerge: m.MergeWhenPipelineSucceeds, Conflicts: m.HasConflicts,
		WebURL: m.WebURL, CreatedAt: stamp(m.CreatedAt), UpdatedAt: stamp(m.UpdatedAt), MergedAt: stamp(m.MergedAt),
	}
	if m.Author != nil {
		r.Author = m.Author.Username
	}
	return r
}

// MergeRequests lists the merge requests from a source branch in any state,
// newest first. The list has no empty answer of its own: none is an empty slice.
func (c *Client) MergeRequests(ctx context.Context, project int64, sourceBranch string) ([]MergeRequest, error) {
	opt := &api.ListProjectMergeRequestsOptions{
		ListOptions:  page(0),
		SourceBranch: new(sourceBranch),
		State:        new("all"),
		Scope:        new("all"),
		OrderBy:      new("created_at"),
		Sort:         new("desc"),
	}
	return collect(ctx, Reporter, fmt.Sprintf("listing the merge requests from %s of project %d", sourceBranch, project), 0, mergeRequest,
		func(opts ...api.RequestOptionFunc) ([]*api.BasicMergeRequest, *api.Response, error) {
			return c.api.MergeRequests.ListProjectMergeRequests(project, opt, opts...)
		})
}

// MergeRequest returns one merge request, or ErrNotFound.
func (c *Client) MergeRequest(ctx context.Context, project, iid int64) (MergeRequest, error) {
	return c.mergeRequest(ctx, Reporter, fmt.Sprintf("reading merge request !%d of project %d", iid, project),
		func(opts ...api.RequestOptionFunc) (*api.MergeRequest, *api.Response, error) {
			return c.api.MergeRequests.GetMergeRequest(project, iid, nil, opts...)
		})
}

// MergeRequestRequest is what a new merge request is made of.
type MergeRequestRequest struct {
	SourceBranch, TargetBranch string
	Title, Description         string
	RemoveSourceBranch         bool
	Squash                     bool
	Labels                     []string
}

// CreateMergeRequest opens a merge request. One that is open from the same
// branch is ReasonMergeRequestExists: find it with MergeRequests.
func (c *Client) CreateMergeRequest(ctx context.Context, project int64, r MergeRequestRequest) (MergeRequest, error) {
	opt := &api.CreateMergeRequestOptions{
		SourceBranch: new(r.SourceBranch), TargetBranch: new(r.TargetBranch),
		Title: new(r.Title), Description: new(r.Description),
		RemoveSourceBranch: new(r.RemoveSourceBranch),
	}
	if r.Squash {
		opt.Squash = new(true)
	}
	if len(r.Labels) > 0 {
		opt.Labels = new(api.LabelOptions(r.Labels))
	}
	return c.mergeRequest(ctx, Developer, fmt.Sprintf("opening a merge request from %s of project %d", r.SourceBranch, project),
		func(opts ...api.RequestOptionFunc) (*api.MergeRequest, *api.Response, error) {
			return c.api.MergeRequests.CreateMergeRequest(project, opt, opts...)
		})
}

// MergeRequestUpdate changes a merge request; what is "" stays as it is.
type MergeRequestUpdate struct {
	Title, Description string
	State              string // close or reopen
}

// UpdateMergeRequest changes title, description or state.
func (c *Client) UpdateMergeRequest(ctx context.Context, project, iid int64, u MergeRequestUpdate) (MergeRequest, error) {
	opt := &api.UpdateMergeRequestOptions{
		Title: optional(u.Title), Description: optional(u.Description), StateEvent: optional(u.State),
	}
	return c.mergeRequest(ctx, Developer, fmt.Sprintf("updating merge request !%d of project %d", iid, project),
		func(opts ...api.RequestOptionFunc) (*api.MergeRequest, *api.Response, error) {
			return c.api.MergeRequests.UpdateMergeRequest(project, iid, opt, opts...)
		})
}

// Acceptance says how to merge.
type Acceptance struct {
	// SHA is the head that was reviewed; another head is ReasonHeadMoved.
	SHA string
	// AutoMerge merges when the checks pass. Without a running pipeline GitLab
	// merges at once.
	AutoMerge          bool
	RemoveSourceBranch bool
	Message            string
}

// AcceptMergeRequest merges, or sets auto-merge. Right after the merge request
// was opened GitLab has not computed yet whether it can be merged and answers
// ReasonNotMergeable, a transient error.
func (c *Client) AcceptMergeRequest(ctx context.Context, project, iid int64, a Acceptance) (MergeRequest, error) {
	opt := &api.AcceptMergeRequestOptions{SHA: optional(a.SHA), MergeCommitMessage: optional(a.Message)}
	if a.AutoMerge {
		opt.AutoMerge = new(true)
	}
	if a.RemoveSourceBranch {
		opt.ShouldRemoveSourceBranch = new(true)
	}
	return c.mergeRequest(ctx, Developer, fmt.Sprintf("merging !%d of project %d", iid, project),
		func(opts ...api.RequestOptionFunc) (*api.MergeRequest, *api.Response, error) {
			return c.api.MergeRequests.AcceptMergeRequest(project, iid, opt, opts...)
		})
}

func (c *Client) mergeRequest(ctx context.Context, role Role, doing string, f func(opts ...api.RequestOptionFunc) (*api.MergeRequest, *api.Response, error)) (MergeRequest, error) {
	m, err := call(ctx, role, doing, f)
	if err != nil {
		return MergeRequest{}, err
	}
	return mergeRequest(&m.BasicMergeRequest), nil
}

// Approvals is how far a merge request's approval has come.
type Approvals struct {
	Approved       bool
	Required, Left int64
	MayApprove     bool // whether this account may
}

// MergeRequestApprovals returns the state of approval (GitLab Premium rules).
func (c *Client) MergeRequestApprovals(ctx context.Context, project, iid int64) (Approvals, error) {
	return c.approvals(ctx, Reporter, fmt.Sprintf("reading the approvals of !%d of project %d", iid, project),
		func(opts ...api.RequestOptionFunc) (*api.MergeRequestApprovals, *api.Response, error) {
			return c.api.MergeRequestApprovals.GetConfiguration(project, iid, opts...)
		})
}

// ApproveMergeRequest approves the head sha as this account.
func (c *Client) ApproveMergeRequest(ctx context.Context, project, iid int64, sha string) (Approvals, error) {
	return c.approvals(ctx, Developer, fmt.Sprintf("approving !%d of project %d", iid, project),
		func(opts ...api.RequestOptionFunc) (*api.MergeRequestApprovals, *api.Response, error) {
			return c.api.MergeRequestApprovals.ApproveMergeRequest(project, iid, &api.ApproveMergeRequestOptions{SHA: optional(sha)}, opts...)
		})
}

func (c *Client) approvals(ctx context.Context, role Role, doing string, f func(opts ...api.RequestOptionFunc) (*api.MergeRequestApprovals, *api.Response, error)) (Approvals, error) {
	a, err := call(ctx, role, doing, f)
	if err != nil {
		return Approvals{}, err
	}
	return Approvals{Approved: a.Approved, Required: a.ApprovalsRequired, Left: a.ApprovalsLeft, MayApprove: a.UserCanApprove}, nil
}

// Note is a comment on a merge request.
type Note struct {
	ID        int64
	Body      string
	Author    string
	System    bool // written by GitLab itself
	CreatedAt time.Time
}

func comment(n *api.Note) Note {
	return Note{ID: n.ID, Body: n.Body, Author: n.Author.Username, System: n.System, CreatedAt: stamp(n.CreatedAt)}
}

// MergeRequestNotes lists the comments on a merge request, oldest first.
func (c *Client) MergeRequestNotes(ctx context.Context, project, iid int64) ([]Note, error) {
	opt := &api.ListMergeRequestNotesOptions{ListOptions: page(0), OrderBy: new("created_at"), Sort: new("asc")}
	return collect(ctx, Reporter, fmt.Sprintf("listing the notes of !%d of project %d", iid, project), 0, comment,
		func(opts ...api.RequestOptionFunc) ([]*api.Note, *api.Response, error) {
			return c.api.Notes.ListMergeRequestNotes(project, iid, opt, opts...)
		})
}

// CreateMergeRequestNote comments on a merge request.
func (c *Client) CreateMergeRequestNote(ctx context.Context, project, iid int64, body string) (Note, error) {
	n, err := call(ctx, Reporter, fmt.Sprintf("commenting on !%d of project %d", iid, project), func(opts ...api.RequestOptionFunc) (*api.Note, *api.Response, error) {
		return c.api.Notes.CreateMergeRequestNote(project, iid, &api.CreateMergeRequestNoteOptions{Body: new(body)}, opts...)
	})
	if err != nil {
		return Note{}, err
	}
	return comment(n), nil
}

// UpdateMergeRequestNote changes a comment of this account in place.
func (c *Client) UpdateMergeRequestNote(ctx context.Context, project, iid, note int64, body string) (Note, error) {
	n, err := call(ctx, Reporter, fmt.Sprintf("changing note %d of !%d of project %d", note, iid, project), func(opts ...api.RequestOptionFunc) (*api.Note, *api.Response, error) {
		return c.api.Notes.UpdateMergeRequestNote(project, iid, note, &api.UpdateMergeRequestNoteOptions{Body: new(body)}, opts...)
	})
	if err != nil {
		return Note{}, err
	}
	return comment(n), nil
}
