package gitlab

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"

	api "gitlab.com/gitlab-org/api/client-go/v2"
)

// Member is a person with a role in a project.
type Member struct {
	Username string
	Name     string
	Level    int // GitLab's number of the role: 40 Maintainer, 50 Owner
	WebURL   string
}

// bots are the users that GitLab makes for access tokens and service accounts. See
// https://docs.gitlab.com/user/project/settings/project_access_tokens/#bot-users-for-projects.
var bots = regexp.MustCompile(`^(project|group)_\d+_bot(_|\d|$)|^service_account_`)

// Maintainers lists the people who may maintain a project, by a role in it or in a
// group above it: those of the project's own rank first, then its owners, each by
// name. This client's own account, bots and people who can't log in are not among
// them; nor is anybody where the members may not be seen.
func (c *Client) Maintainers(ctx context.Context, project int64) ([]Member, error) {
	self, err := c.self(ctx)
	if err != nil {
		return nil, err
	}
	opt := &api.ListProjectMembersOptions{ListOptions: page(0)}
	all, err := collect(ctx, Guest, fmt.Sprintf("listing the members of project %d", project), 0,
		func(m *api.ProjectMember) *api.ProjectMember { return m },
		func(opts ...api.RequestOptionFunc) ([]*api.ProjectMember, *api.Response, error) {
			return c.api.ProjectMembers.ListAllProjectMembers(project, opt, opts...)
		})
	if err != nil {
		return nil, err
	}
	var out []Member
	for _, m := range all {
		if m.AccessLevel >= api.MaintainerPermissions && m.State == "active" && m.Username != self && !bots.MatchString(m.Username) {
			out = append(out, Member{Username: m.Username, Name: m.Name, Level: int(m.AccessLevel), WebURL: m.WebURL})
		}
	}
	slices.SortFunc(out, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Level, b.Level), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Username, b.Username))
	})
	// One who is a member twice, by the project and by a group, is one person.
	return slices.CompactFunc(out, func(a, b Member) bool { return a.Username == b.Username }), nil
}

// self returns the name of this client's account.
func (c *Client) self(ctx context.Context) (string, error) {
	if name := c.name.Load(); name != nil {
		return *name, nil
	}
	u, err := call(ctx, Guest, "asking who we are", func(opts ...api.RequestOptionFunc) (*api.User, *api.Response, error) {
		return c.api.Users.CurrentUser(opts...)
	})
	if err != nil {
		return "", err
	}
	c.name.Store(&u.Username)
	return u.Username, nil
}
