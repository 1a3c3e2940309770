package gitlab

import (
	"context"
	"encoding/base64"
	"fmt"

	api "gitlab.com/gitlab-org/api/client-go/v2"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
)

// Entry is one entry of a repository's tree.
type Entry struct {
	Path   string
	Type   string // blob, tree, commit (a submodule)
	BlobID string
	Mode   string // 100644, 100755, 120000, 040000, 160000
}

// Tree lists every path of the repository at a ref. An empty repository is
// ErrNotFound.
func (c *Client) Tree(ctx context.Context, project int64, ref string) ([]Entry, error) {
	opt := &api.ListTreeOptions{
		ListOptions: api.ListOptions{Pagination: "keyset", PerPage: pageSize},
		Recursive:   new(true),
		Ref:         optional(ref),
	}
	return collect(ctx, Reporter, fmt.Sprintf("listing the files of project %d at %s", project, ref), 0,
		func(n *api.TreeNode) Entry { return Entry{Path: n.Path, Type: n.Type, BlobID: n.ID, Mode: n.Mode} },
		func(opts ...api.RequestOptionFunc) ([]*api.TreeNode, *api.Response, error) {
			return c.api.Repositories.ListTree(project, opt, opts...)
		})
}

// File is a file of a repository at a ref.
type File struct {
	Path    string
	Content []byte
	BlobID  string
	// LastCommitID is the last commit that changed this file, not the head of
	// the branch. An Edit with it is refused when the file changed since.
	LastCommitID string
}

// File reads a file; project is an id (int64) or a path (string). Ref "" means
// the default branch. A missing project, ref or file is ErrNotFound.
func (c *Client) File(ctx context.Context, project any, ref, path string) (File, error) {
	if ref == "" {
		ref = "HEAD"
	}
	doing := fmt.Sprintf("reading %s of project %v at %s", path, project, ref)
	f, err := call(ctx, Reporter, doing, func(opts ...api.RequestOptionFunc) (*api.File, *api.Response, error) {
		return c.api.RepositoryFiles.GetFile(project, path, &api.GetFileOptions{Ref: new(ref)}, opts...)
	})
	if err != nil {
		return File{}, err
	}
	content := []byte(f.Content)
	if f.Encoding == "base64" {
		if content, err = base64.StdEncoding.DecodeString(f.Content); err != nil {
			return File{}, fault.New(fault.Transient, ReasonUnavailable, "%s: %w", doing, err)
		}
	}
	return File{Path: f.FilePath, Content: content, BlobID: f.BlobID, LastCommitID: f.LastCommitID}, nil
}

// Branch is a branch and what this account may do with it.
type Branch struct {
	Name      string
	SHA       string
	Default   bool
	Protected bool
	CanPush   bool // whether this account may push to it
}

func branch(b *api.Branch) Branch {
	r := Branch{Name: b.Name, Default: b.Default, Protected: b.Protected, CanPush: b.CanPush}
	if b.Commit != nil {
		r.SHA = b.Commit.ID
	}
	return r
}

// Branch returns a branch, or ErrNotFound.
func (c *Client) Branch(ctx context.Context, project int64, name string) (Branch, error) {
	b, err := call(ctx, Reporter, fmt.Sprintf("reading branch %s of project %d", name, project), func(opts ...api.RequestOptionFunc) (*api.Branch, *api.Response, error) {
		return c.api.Branches.GetBranch(project, name, opts...)
	})
	if err != nil {
		return Branch{}, err
	}
	return branch(b), nil
}

// Branches lists all branches.
func (c *Client) Branches(ctx context.Context, project int64) ([]Branch, error) {
	opt := &api.ListBranchesOptions{ListOptions: page(0)}
	return collect(ctx, Reporter, fmt.Sprintf("listing the branches of project %d", project), 0, branch,
		func(opts ...api.RequestOptionFunc) ([]*api.Branch, *api.Response, error) {
			return c.api.Branches.ListBranches(project, opt, opts...)
		})
}

// DeleteBranch deletes a branch; one that is gone already is fine.
func (c *Client) DeleteBranch(ctx context.Context, project int64, name string) error {
	_, err := call(ctx, Developer, fmt.Sprintf("deleting branch %s of project %d", name, project), func(opts ...api.RequestOptionFunc) (struct{}, *api.Response, error) {
		resp, err := c.api.Branches.DeleteBranch(project, name, opts...)
		return struct{}{}, resp, err
	})
	return unlessGone(err)
}

// ProtectedBranch is a protection rule; Name may hold wildcards.
type ProtectedBranch struct {
	Name              string
	Push, Merge       []string // GitLab's descriptions of who may, such as "Maintainers"
	AllowForcePush    bool
	CodeOwnerApproval bool
}

// ProtectedBranches lists the protection rules of a project's branches.
func (c *Client) ProtectedBranches(ctx context.Context, project int64) ([]ProtectedBranch, error) {
	opt := &api.ListProtectedBranchesOptions{ListOptions: page(0)}
	who := func(levels []*api.BranchAccessDescription) []string {
		var all []string
		for _, l := range levels {
			all = append(all, l.AccessLevelDescription)
		}
		return all
	}
	return collect(ctx, Maintainer, fmt.Sprintf("listing the protected branches of project %d", project), 0,
		func(b *api.ProtectedBranch) ProtectedBranch {
			return ProtectedBranch{
				Name: b.Name, Push: who(b.PushAccessLevels), Merge: who(b.MergeAccessLevels),
				AllowForcePush: b.AllowForcePush, CodeOwnerApproval: b.CodeOwnerApprovalRequired,
			}
		},
		func(opts ...api.RequestOptionFunc) ([]*api.ProtectedBranch, *api.Response, error) {
			return c.api.ProtectedBranches.ListProtectedBranches(project, opt, opts...)
		})
}

// optional returns a pointer to s, or nil for "" so that the server's default
// holds.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
