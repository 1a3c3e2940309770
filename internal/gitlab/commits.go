package gitlab

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	api "gitlab.com/gitlab-org/api/client-go/v2"
)

// Edit is a change to one file in a commit.
type Edit struct {
	Path    string
	Content []byte
	// LastCommitID is the file's last commit as File gave it. GitLab refuses
	// the whole commit (ReasonFileChanged) when the file changed since. "" means
	// that the file is new: it is created, and refused (ReasonFileExists) when
	// it exists, so nothing is ever overwritten unseen.
	LastCommitID string
	// Delete removes the file; Content is ignored and LastCommitID required.
	Delete bool
}

// CommitRequest is one commit with any number of files.
type CommitRequest struct {
	Branch string
	// StartBranch makes Branch new from the head of this one; it is refused
	// with ReasonBranchExists when Branch exists.
	StartBranch string
	// Force makes Branch anew from StartBranch even if it exists: what it held
	// is gone, so look first whose commits these are.
	Force   bool
	Message string
	Edits   []Edit
	// AuthorName and AuthorEmail default to the account's.
	AuthorName, AuthorEmail string
}

// Commit makes the commit and returns its sha. It is never sent twice: after a
// transient error it may have been made, so look at the branch first.
//
// A push pipeline may start by itself, some seconds later.
// https://docs.gitlab.com/api/commits/#create-a-commit-with-multiple-files-and-actions
func (c *Client) Commit(ctx context.Context, project int64, r CommitRequest) (sha string, err error) {
	if len(r.Edits) == 0 {
		return "", errors.New("gitlab: a commit without edits")
	}
	opt := &api.CreateCommitOptions{
		Branch:        new(r.Branch),
		StartBranch:   optional(r.StartBranch),
		CommitMessage: new(r.Message),
		AuthorName:    optional(r.AuthorName),
		AuthorEmail:   optional(r.AuthorEmail),
	}
	if r.Force {
		opt.Force = new(true)
	}
	for _, e := range r.Edits {
		a, err := action(e)
		if err != nil {
			return "", err
		}
		opt.Actions = append(opt.Actions, a)
	}
	doing := fmt.Sprintf("committing to %s of project %d", r.Branch, project)
	commit, err := call(ctx, Developer, doing, func(opts ...api.RequestOptionFunc) (*api.Commit, *api.Response, error) {
		return c.api.Commits.CreateCommit(project, opt, opts...)
	})
	if err != nil {
		return "", err
	}
	return commit.ID, nil
}

func action(e Edit) (*api.CommitActionOptions, error) {
	a := &api.CommitActionOptions{FilePath: new(e.Path)}
	switch {
	case e.Delete:
		if e.LastCommitID == "" {
			return nil, fmt.Errorf("gitlab: deleting %s without its last commit", e.Path)
		}
		a.Action = new(api.FileDelete)
		a.LastCommitID = new(e.LastCommitID)
		return a, nil
	case e.LastCommitID == "":
		a.Action = new(api.FileCreate)
	default:
		a.Action = new(api.FileUpdate)
		a.LastCommitID = new(e.LastCommitID)
	}
	if utf8.Valid(e.Content) && !bytes.ContainsRune(e.Content, 0) {
		a.Content = new(string(e.Content))
	} else {
		// JSON can't carry such bytes as text.
		a.Content = new(base64.StdEncoding.EncodeToString(e.Content))
		a.Encoding = new("base64")
	}
	return a, nil
}

// Commit is one commit of a branch.
type Commit struct {
	SHA         string
	Message     string
	AuthorName  string
	AuthorEmail string
	ParentSHAs  []string
	CreatedAt   time.Time
	WebURL      string
}

func commit(c *api.Commit) Commit {
	return Commit{
		SHA: c.ID, Message: c.Message, AuthorName: c.AuthorName, AuthorEmail: c.AuthorEmail,
		ParentSHAs: c.ParentIDs, CreatedAt: stamp(c.CreatedAt), WebURL: c.WebURL,
	}
}

// Commits lists the newest commits of a ref, at most limit.
func (c *Client) Commits(ctx context.Context, project int64, ref string, limit int) ([]Commit, error) {
	opt := &api.ListCommitsOptions{ListOptions: page(limit), RefName: optional(ref)}
	return collect(ctx, Reporter, fmt.Sprintf("listing the commits of %s of project %d", ref, project), limit, commit,
		func(opts ...api.RequestOptionFunc) ([]*api.Commit, *api.Response, error) {
			return c.api.Commits.ListCommits(project, opt, opts...)
		})
}

// Comparison is what lies between two refs.
type Comparison struct {
	Commits []Commit // oldest first
	Diffs   []Diff
	// Incomplete says that GitLab gave up, so that Diffs is not the whole truth.
	Incomplete bool
}

// Diff is the change of one file.
type Diff struct {
	OldPath, NewPath      string
	New, Renamed, Deleted bool
	Text                  string // unified hunks; "" when too large
}

// Compare returns what is in to and not in from, since their merge base.
func (c *Client) Compare(ctx context.Context, project int64, from, to string) (Comparison, error) {
	doing := fmt.Sprintf("comparing %s with %s of project %d", from, to, project)
	v, err := call(ctx, Reporter, doing, func(opts ...api.RequestOptionFunc) (*api.Compare, *api.Response, error) {
		return c.api.Repositories.Compare(project, &api.CompareOptions{From: new(from), To: new(to)}, opts...)
	})
	if err != nil {
		return Comparison{}, err
	}
	r := Comparison{Incomplete: v.CompareTimeout}
	for _, e := range v.Commits {
		r.Commits = append(r.Commits, commit(e))
	}
	for _, d := range v.Diffs {
		r.Diffs = append(r.Diffs, Diff{
			OldPath: d.OldPath, NewPath: d.NewPath, Text: d.Diff,
			New: d.NewFile, Renamed: d.RenamedFile, Deleted: d.DeletedFile,
		})
	}
	return r, nil
}

// unlessGone turns ErrNotFound into success, for deletions.
func unlessGone(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
