package gitlab

import (
	"context"
	"fmt"
	"iter"
	"time"

	api "gitlab.com/gitlab-org/api/client-go/v2"
)

// Project is what a migration needs to know of a project.
type Project struct {
	ID              int64
	Path            string // group/subgroup/name, as of now
	Name            string
	WebURL          string
	DefaultBranch   string // "" when the repository is empty
	Empty           bool   // the repository holds no commit
	Archived        bool
	PendingDeletion bool
	Mirror          bool // a pull mirror: commits here are overwritten
	// CIDisabled and RepositoryDisabled say that the feature is switched off.
	CIDisabled         bool
	RepositoryDisabled bool
	// CIConfigPath is where the configuration is; "" means .gitlab-ci.yml. It
	// may name another project (path@group/project) or a URL.
	CIConfigPath  string
	MergeRequests bool   // merge requests are switched on
	MergeMethod   string // merge, rebase_merge, ff
	// OnlyMergeIfPipelineSucceeds is the project's merge check.
	OnlyMergeIfPipelineSucceeds bool
	// VariablesRole is the least role that may give variables to a pipeline;
	// "no_one_allowed" forbids it. "" when the server did not say.
	VariablesRole string
	LastActivity  time.Time
	Topics        []string
}

func project(p *api.Project) Project {
	return Project{
		ID:                          p.ID,
		Path:                        p.PathWithNamespace,
		Name:                        p.Name,
		WebURL:                      p.WebURL,
		DefaultBranch:               p.DefaultBranch,
		Empty:                       p.EmptyRepo,
		Archived:                    p.Archived,
		PendingDeletion:             p.MarkedForDeletionOn != nil,
		Mirror:                      p.Mirror,
		CIDisabled:                  p.BuildsAccessLevel == api.DisabledAccessControl,
		RepositoryDisabled:          p.RepositoryAccessLevel == api.DisabledAccessControl,
		CIConfigPath:                p.CIConfigPath,
		MergeRequests:               p.MergeRequestsAccessLevel != api.DisabledAccessControl,
		MergeMethod:                 string(p.MergeMethod),
		OnlyMergeIfPipelineSucceeds: p.OnlyAllowMergeIfPipelineSucceeds,
		VariablesRole:               string(p.CIPipelineVariablesMinimumOverrideRole),
		LastActivity:                stamp(p.LastActivityAt),
		Topics:                      p.Topics,
	}
}

// Projects lists every project that the account may see, archived ones too, by
// rising id. Projects created meanwhile have higher ids, so they are seen too.
// An error ends the walk.
func (c *Client) Projects(ctx context.Context) iter.Seq2[Project, error] {
	return c.ProjectsAfter(ctx, 0)
}

// ProjectsAfter is Projects for ids greater than after: a walk that was
// interrupted goes on behind the last project it saw.
func (c *Client) ProjectsAfter(ctx context.Context, after int64) iter.Seq2[Project, error] {
	return func(yield func(Project, error) bool) {
		// Keyset paging: offset paging ends at a maximum offset and skips rows
		// when others appear. For projects it allows order_by=id only.
		// https://docs.gitlab.com/api/rest/#keyset-based-pagination
		opt := &api.ListProjectsOptions{
			ListOptions: api.ListOptions{Pagination: "keyset", PerPage: pageSize, OrderBy: "id", Sort: "asc"},
		}
		if after > 0 {
			opt.IDAfter = new(after)
		}
		n := &note{}
		with := api.WithContext(withNote(ctx, n))
		for p, err := range api.Scan2(func(next api.PaginationOptionFunc) ([]*api.Project, *api.Response, error) {
			return c.api.Projects.ListProjects(opt, with, next)
		}) {
			if err != nil {
				yield(Project{}, classify(ctx, n, Guest, "listing projects", err))
				return
			}
			if !yield(project(p), nil) {
				return
			}
		}
	}
}

// Project returns a project by its id (int64) or path (string). A path by which
// the project was known before a move or rename finds it too: compare Path.
func (c *Client) Project(ctx context.Context, pathOrID any) (Project, error) {
	p, err := call(ctx, Guest, fmt.Sprintf("reading project %v", pathOrID), func(opts ...api.RequestOptionFunc) (*api.Project, *api.Response, error) {
		return c.api.Projects.GetProject(pathOrID, nil, opts...)
	})
	if err != nil {
		return Project{}, err
	}
	return project(p), nil
}

// User is the account that the token belongs to.
type User struct {
	ID       int64
	Username string
	Admin    bool
	Bot      bool
}

// CurrentUser returns the account of the token. It is the cheapest way to learn
// whether the token is good.
func (c *Client) CurrentUser(ctx context.Context) (User, error) {
	u, err := call(ctx, Guest, "reading the token's account", func(opts ...api.RequestOptionFunc) (*api.User, *api.Response, error) {
		return c.api.Users.CurrentUser(opts...)
	})
	if err != nil {
		return User{}, err
	}
	return User{ID: u.ID, Username: u.Username, Admin: u.IsAdmin, Bot: u.Bot}, nil
}
