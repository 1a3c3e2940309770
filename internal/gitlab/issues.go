package gitlab

import (
	"context"
	"fmt"

	api "gitlab.com/gitlab-org/api/client-go/v2"
)

// Issue is an issue.
type Issue struct {
	IID         int64
	State       string // opened, closed
	Title       string
	Description string
	WebURL      string
}

func issue(i *api.Issue) Issue {
	return Issue{IID: i.IID, State: i.State, Title: i.Title, Description: i.Description, WebURL: i.WebURL}
}

// IssuesWith lists the issues of a project whose description GitLab's search
// finds words in, in any state, the oldest first.
func (c *Client) IssuesWith(ctx context.Context, project int64, words string) ([]Issue, error) {
	opt := &api.ListProjectIssuesOptions{
		ListOptions: page(0), Search: new(words), In: new("description"), Scope: new("all"),
		OrderBy: new("created_at"), Sort: new("asc"),
	}
	return collect(ctx, Reporter, fmt.Sprintf("looking for an issue of project %d", project), 0, issue,
		func(opts ...api.RequestOptionFunc) ([]*api.Issue, *api.Response, error) {
			return c.api.Issues.ListProjectIssues(project, opt, opts...)
		})
}

// CreateIssue creates an issue. Nothing keeps it from being created twice: look first.
func (c *Client) CreateIssue(ctx context.Context, project int64, title, description string) (Issue, error) {
	i, err := call(ctx, Reporter, fmt.Sprintf("creating an issue in project %d", project), func(opts ...api.RequestOptionFunc) (*api.Issue, *api.Response, error) {
		return c.api.Issues.CreateIssue(project, &api.CreateIssueOptions{Title: new(title), Description: new(description)}, opts...)
	})
	if err != nil {
		return Issue{}, err
	}
	return issue(i), nil
}

// UpdateIssue changes title and description of an issue, and opens one that is
// closed if reopen says so.
func (c *Client) UpdateIssue(ctx context.Context, project, iid int64, title, description string, reopen bool) (Issue, error) {
	opt := &api.UpdateIssueOptions{Title: new(title), Description: new(description)}
	if reopen {
		opt.StateEvent = new("reopen")
	}
	i, err := call(ctx, Reporter, fmt.Sprintf("changing issue #%d of project %d", iid, project), func(opts ...api.RequestOptionFunc) (*api.Issue, *api.Response, error) {
		return c.api.Issues.UpdateIssue(project, iid, opt, opts...)
	})
	if err != nil {
		return Issue{}, err
	}
	return issue(i), nil
}
