package gitlab

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	api "gitlab.com/gitlab-org/api/client-go/v2"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
)

// Pipeline is a pipeline.
type Pipeline struct {
	ID, IID   int64
	ProjectID int64
	SHA       string
	Ref       string
	Status    string // see Finished
	Source    string // push, api, web, schedule, merge_request_event, parent_pipeline, …
	WebURL    string
	CreatedAt time.Time
	UpdatedAt time.Time
	// YAMLErrors is set by Pipeline, CreatePipeline, LatestPipeline and
	// RetryPipeline only: GitLab's lists do not carry it.
	YAMLErrors string
}

// Finished says whether a pipeline or job in this status is over. A status that
// nobody has seen counts as unfinished. "manual" is a pipeline that waits for a
// blocking manual job, or a job that waits to be played.
func Finished(status string) bool {
	switch status {
	case "success", "failed", "canceled", "skipped":
		return true
	}
	return false
}

func pipeline(p *api.Pipeline) Pipeline {
	return Pipeline{
		ID: p.ID, IID: p.IID, ProjectID: p.ProjectID, SHA: p.SHA, Ref: p.Ref, Status: p.Status,
		Source: string(p.Source), WebURL: p.WebURL, CreatedAt: stamp(p.CreatedAt), UpdatedAt: stamp(p.UpdatedAt),
		YAMLErrors: p.YamlErrors,
	}
}

func pipelineInfo(p *api.PipelineInfo) Pipeline {
	return Pipeline{
		ID: p.ID, IID: p.IID, ProjectID: p.ProjectID, SHA: p.SHA, Ref: p.Ref, Status: p.Status,
		Source: p.Source, WebURL: p.WebURL, CreatedAt: stamp(p.CreatedAt), UpdatedAt: stamp(p.UpdatedAt),
	}
}

// PipelineQuery selects pipelines; what is "" selects all.
type PipelineQuery struct {
	SHA, Ref, Source, Status string
	Limit                    int // 0 means 100
}

// Pipelines lists pipelines, newest first. Child pipelines are not among them.
func (c *Client) Pipelines(ctx context.Context, project int64, q PipelineQuery) ([]Pipeline, error) {
	if q.Limit <= 0 {
		q.Limit = pageSize
	}
	opt := &api.ListProjectPipelinesOptions{
		ListOptions: page(q.Limit),
		SHA:         optional(q.SHA), Ref: optional(q.Ref), Source: optional(q.Source),
		OrderBy: new("id"), Sort: new("desc"),
	}
	if q.Status != "" {
		opt.Status = new(api.BuildStateValue(q.Status))
	}
	return collect(ctx, Reporter, fmt.Sprintf("listing the pipelines of project %d", project), q.Limit, pipelineInfo,
		func(opts ...api.RequestOptionFunc) ([]*api.PipelineInfo, *api.Response, error) {
			return c.api.Pipelines.ListProjectPipelines(project, opt, opts...)
		})
}

// Pipeline returns one pipeline, or ErrNotFound.
func (c *Client) Pipeline(ctx context.Context, project, id int64) (Pipeline, error) {
	return c.pipeline(ctx, Reporter, fmt.Sprintf("reading pipeline %d of project %d", id, project),
		func(opts ...api.RequestOptionFunc) (*api.Pipeline, *api.Response, error) {
			return c.api.Pipelines.GetPipeline(project, id, opts...)
		})
}

// LatestPipeline returns the newest pipeline of a ref, or ErrNotFound when it
// never had one. GitLab's own endpoint of that name looks at the ref's head
// commit only and answers 403 when that has none.
func (c *Client) LatestPipeline(ctx context.Context, project int64, ref string) (Pipeline, error) {
	all, err := c.Pipelines(ctx, project, PipelineQuery{Ref: ref, Limit: 1})
	if err != nil {
		return Pipeline{}, err
	}
	if len(all) == 0 {
		return Pipeline{}, none("no pipeline on %s of project %d", ref, project)
	}
	return c.Pipeline(ctx, project, all[0].ID)
}

// CreatePipeline runs a pipeline on a branch or tag. It is never sent twice:
// after a transient error look for a pipeline with source api first. Why GitLab
// will not run one is in the reason: no-pipeline-by-rules, ci-disabled, ….
func (c *Client) CreatePipeline(ctx context.Context, project int64, ref string, vars map[string]string) (Pipeline, error) {
	opt := &api.CreatePipelineOptions{Ref: new(ref)}
	if len(vars) > 0 {
		var list []*api.PipelineVariableOptions
		for _, k := range slices.Sorted(maps.Keys(vars)) {
			list = append(list, &api.PipelineVariableOptions{Key: new(k), Value: new(vars[k])})
		}
		opt.Variables = &list
	}
	return c.pipeline(ctx, Developer, fmt.Sprintf("creating a pipeline on %s of project %d", ref, project),
		func(opts ...api.RequestOptionFunc) (*api.Pipeline, *api.Response, error) {
			return c.api.Pipelines.CreatePipeline(project, opt, opts...)
		})
}

// RetryPipeline retries the failed and cancelled jobs of a pipeline.
func (c *Client) RetryPipeline(ctx context.Context, project, id int64) (Pipeline, error) {
	return c.pipeline(ctx, Developer, fmt.Sprintf("retrying pipeline %d of project %d", id, project),
		func(opts ...api.RequestOptionFunc) (*api.Pipeline, *api.Response, error) {
			return c.api.Pipelines.RetryPipelineBuild(project, id, opts...)
		})
}

// CancelPipeline cancels what has not finished of a pipeline.
func (c *Client) CancelPipeline(ctx context.Context, project, id int64) (Pipeline, error) {
	return c.pipeline(ctx, Developer, fmt.Sprintf("cancelling pipeline %d of project %d", id, project),
		func(opts ...api.RequestOptionFunc) (*api.Pipeline, *api.Response, error) {
			return c.api.Pipelines.CancelPipelineBuild(project, id, opts...)
		})
}

func (c *Client) pipeline(ctx context.Context, role Role, doing string, f func(opts ...api.RequestOptionFunc) (*api.Pipeline, *api.Response, error)) (Pipeline, error) {
	p, err := call(ctx, role, doing, f)
	if err != nil {
		return Pipeline{}, err
	}
	return pipeline(p), nil
}

// none is the error of a list that should have held something.
func none(format string, args ...any) error {
	return fault.New(fault.Attention, ReasonNotFound, "%s: %w", fmt.Sprintf(format, args...), ErrNotFound)
}
