package gitlab

import (
	"context"
	"fmt"
	"time"

	api "gitlab.com/gitlab-org/api/client-go/v2"
)

// Environment is a place that jobs deploy to.
type Environment struct {
	ID          int64
	Name        string // may hold slashes, such as review/my-branch
	Slug        string // the name in cluster objects
	State       string // available, stopping, stopped
	Tier        string // production, staging, testing, development, other
	ExternalURL string
}

// Environments lists the environments of a project, stopped ones too.
func (c *Client) Environments(ctx context.Context, project int64) ([]Environment, error) {
	opt := &api.ListEnvironmentsOptions{ListOptions: page(0)}
	return collect(ctx, Reporter, fmt.Sprintf("listing the environments of project %d", project), 0,
		func(e *api.Environment) Environment {
			return Environment{ID: e.ID, Name: e.Name, Slug: e.Slug, State: e.State, Tier: e.Tier, ExternalURL: e.ExternalURL}
		},
		func(opts ...api.RequestOptionFunc) ([]*api.Environment, *api.Response, error) {
			return c.api.Environments.ListEnvironments(project, opt, opts...)
		})
}

// Deployment is one deployment to an environment.
type Deployment struct {
	ID          int64
	Environment string
	Status      string // created, running, success, failed, canceled, blocked
	SHA         string
	Ref         string
	PipelineID  int64 // 0 when no job made it
	JobID       int64
	JobName     string
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

func deployment(d *api.Deployment) Deployment {
	r := Deployment{
		ID: d.ID, Status: d.Status, SHA: d.SHA, Ref: d.Ref,
		PipelineID: d.Deployable.Pipeline.ID, JobID: d.Deployable.ID, JobName: d.Deployable.Name,
		CreatedAt: stamp(d.CreatedAt), UpdatedAt: stamp(d.UpdatedAt),
	}
	if d.Environment != nil {
		r.Environment = d.Environment.Name
	}
	return r
}

// LatestDeployment returns the newest successful deployment to an environment,
// or ErrNotFound when there was none.
func (c *Client) LatestDeployment(ctx context.Context, project int64, environment string) (Deployment, error) {
	all, err := c.Deployments(ctx, project, DeploymentQuery{Environment: environment, Status: "success", Limit: 1})
	if err != nil {
		return Deployment{}, err
	}
	if len(all) == 0 {
		return Deployment{}, none("no successful deployment to %s of project %d", environment, project)
	}
	return all[0], nil
}

// DeploymentQuery selects deployments; what is "" selects all.
type DeploymentQuery struct {
	Environment, Status string
	Limit               int // 0 means 100
}

// Deployments lists deployments, newest first.
func (c *Client) Deployments(ctx context.Context, project int64, q DeploymentQuery) ([]Deployment, error) {
	if q.Limit <= 0 {
		q.Limit = pageSize
	}
	// GitLab's own order is oldest first.
	opt := &api.ListProjectDeploymentsOptions{
		ListOptions: page(q.Limit), OrderBy: new("id"), Sort: new("desc"),
		Environment: optional(q.Environment), Status: optional(q.Status),
	}
	return collect(ctx, Reporter, fmt.Sprintf("listing the deployments of project %d", project), q.Limit, deployment,
		func(opts ...api.RequestOptionFunc) ([]*api.Deployment, *api.Response, error) {
			return c.api.Deployments.ListProjectDeployments(project, opt, opts...)
		})
}
