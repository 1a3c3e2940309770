package jobs

import (
	"cmp"
	"context"
	"time"

	"github.com/riverqueue/river"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
)

// errand adapts to River a job that stands for itself, outside the steps of a
// project's migration.
type errand[A river.JobArgs] struct {
	river.WorkerDefaults[A]
	runner  *Runner
	timeout time.Duration
	work    func(context.Context, *river.Job[A]) error
}

func (e *errand[A]) Timeout(*river.Job[A]) time.Duration { return e.timeout }

func (e *errand[A]) NextRetry(job *river.Job[A]) time.Time {
	pause, _ := backoff(fault.Transient, min(job.Attempt, 10), cmp.Or(e.runner.Pause, firstPause), 0)
	return time.Now().Add(pause)
}

func (e *errand[A]) Work(ctx context.Context, job *river.Job[A]) error {
	ctx, release := e.runner.Lease.guard(ctx)
	defer release()
	return e.work(ctx, job)
}

func addErrand[A river.JobArgs](workers *river.Workers, r *Runner, timeout time.Duration, work func(context.Context, *river.Job[A]) error) {
	river.AddWorker(workers, &errand[A]{runner: r, timeout: timeout, work: work})
}
