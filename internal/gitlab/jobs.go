package gitlab

import (
	"context"
	"fmt"
	"net/http"
	"time"

	api "gitlab.com/gitlab-org/api/client-go/v2"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
)

// Job is a job of a pipeline. GitLab does not say here which environment it
// deploys to: see Deployments.
type Job struct {
	ID            int64
	PipelineID    int64
	Name          string
	Stage         string
	Status        string // see Finished; "manual" waits to be played
	FailureReason string // GitLab's, such as script_failure; "" unless failed
	AllowFailure  bool
	WebURL        string
	CreatedAt     time.Time
	FinishedAt    time.Time
}

func job(j *api.Job) Job {
	return Job{
		ID: j.ID, PipelineID: j.Pipeline.ID, Name: j.Name, Stage: j.Stage, Status: j.Status,
		FailureReason: j.FailureReason, AllowFailure: j.AllowFailure, WebURL: j.WebURL,
		CreatedAt: stamp(j.CreatedAt), FinishedAt: stamp(j.FinishedAt),
	}
}

// Jobs lists the jobs of a pipeline by id. Of a job that was retried only the
// newest try is listed. Trigger jobs are in Bridges.
func (c *Client) Jobs(ctx context.Context, project, pipeline int64) ([]Job, error) {
	opt := &api.ListJobsOptions{ListOptions: page(0)}
	return collect(ctx, Reporter, fmt.Sprintf("listing the jobs of pipeline %d of project %d", pipeline, project), 0, job,
		func(opts ...api.RequestOptionFunc) ([]*api.Job, *api.Response, error) {
			return c.api.Jobs.ListPipelineJobs(project, pipeline, opt, opts...)
		})
}

// Job returns one job, or ErrNotFound.
func (c *Client) Job(ctx context.Context, project, id int64) (Job, error) {
	return c.job(ctx, Reporter, fmt.Sprintf("reading job %d of project %d", id, project),
		func(opts ...api.RequestOptionFunc) (*api.Job, *api.Response, error) {
			return c.api.Jobs.GetJob(project, id, opts...)
		})
}

// PlayJob starts a manual job that waits to be played. Any other is
// ReasonJobUnplayable: look at it before calling that a failure. It is looked at
// here first, because GitLab runs a manual job that has finished once more.
func (c *Client) PlayJob(ctx context.Context, project, id int64) (Job, error) {
	j, err := c.Job(ctx, project, id)
	if err != nil {
		return Job{}, err
	}
	doing := fmt.Sprintf("playing job %d of project %d", id, project)
	if j.Status != "manual" {
		return Job{}, fault.New(fault.Permanent, ReasonJobUnplayable, "%s: it is %s", doing, j.Status).
			WithRemedy("look at the job: it was played already, or its pipeline is over")
	}
	return c.job(ctx, Developer, doing, func(opts ...api.RequestOptionFunc) (*api.Job, *api.Response, error) {
		return c.api.Jobs.PlayJob(project, id, nil, opts...)
	})
}

// RetryJob runs a finished job again and returns the new one.
func (c *Client) RetryJob(ctx context.Context, project, id int64) (Job, error) {
	return c.job(ctx, Developer, fmt.Sprintf("retrying job %d of project %d", id, project),
		func(opts ...api.RequestOptionFunc) (*api.Job, *api.Response, error) {
			return c.api.Jobs.RetryJob(project, id, opts...)
		})
}

func (c *Client) job(ctx context.Context, role Role, doing string, f func(opts ...api.RequestOptionFunc) (*api.Job, *api.Response, error)) (Job, error) {
	j, err := call(ctx, role, doing, f)
	if err != nil {
		return Job{}, err
	}
	return job(j), nil
}

// Bridge is a trigger job. Without strategy: depend its own status is success as
// soon as the downstream pipeline exists, whatever becomes of that.
type Bridge struct {
	ID            int64
	Name          string
	Stage         string
	Status        string
	FailureReason string
	AllowFailure  bool
	WebURL        string
	// Downstream is the child pipeline, or that of another project (ProjectID);
	// nil when none was created.
	Downstream *Pipeline
}

// Bridges lists the trigger jobs of a pipeline.
func (c *Client) Bridges(ctx context.Context, project, pipeline int64) ([]Bridge, error) {
	opt := &api.ListJobsOptions{ListOptions: page(0)}
	return collect(ctx, Reporter, fmt.Sprintf("listing the trigger jobs of pipeline %d of project %d", pipeline, project), 0,
		func(b *api.Bridge) Bridge {
			r := Bridge{
				ID: b.ID, Name: b.Name, Stage: b.Stage, Status: b.Status, FailureReason: b.FailureReason,
				AllowFailure: b.AllowFailure, WebURL: b.WebURL,
			}
			if b.DownstreamPipeline != nil {
				r.Downstream = new(pipelineInfo(b.DownstreamPipeline))
			}
			return r
		},
		func(opts ...api.RequestOptionFunc) ([]*api.Bridge, *api.Response, error) {
			return c.api.Jobs.ListPipelineBridges(project, pipeline, opt, opts...)
		})
}

// JobLog returns the end of a job's log, at most limit bytes, beginning with a
// whole line when it was cut. A job that never ran has an empty log.
//
// GitLab serves the whole log and knows no ranges, so it streams past a buffer
// of that size.
func (c *Client) JobLog(ctx context.Context, project, job, limit int64) ([]byte, error) {
	return call(ctx, Reporter, fmt.Sprintf("reading the log of job %d of project %d", job, project), func(opts ...api.RequestOptionFunc) ([]byte, *api.Response, error) {
		req, err := c.api.NewRequest(http.MethodGet, fmt.Sprintf("projects/%d/jobs/%d/trace", project, job), nil, opts)
		if err != nil {
			return nil, nil, err
		}
		end := newTail(limit)
		resp, err := c.api.Do(req, end)
		if err != nil {
			return nil, resp, err
		}
		return end.lines(), resp, nil
	})
}
