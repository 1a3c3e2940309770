package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// errLeaseLost ends a try whose worker was silent for so long that its jobs have
// been given to others.
var errLeaseLost = errors.New("the try was taken from this worker")

// Lease is a worker's sign of life in Postgres, and the right to work that rests
// on it. Jobs of a worker that has been silent for longer than After are given
// to others; a worker that notices its own silence drops what it does.
//
// River rescues jobs too, but only after their full timeout, which for a copy is
// hours.
type Lease struct {
	Store  *store.Store
	Worker string // River's client id: what stands in attempted_by
	After  time.Duration
	Log    *slog.Logger

	mu    sync.Mutex
	epoch context.Context // ends when the lease is lost
	end   context.CancelCauseFunc
}

// Keep renews the sign of life until ctx ends, and takes it away then.
func (l *Lease) Keep(ctx context.Context) error {
	if _, err := l.Store.WorkerAlive(ctx, l.Worker); err != nil {
		return fmt.Errorf("signing on as worker: %w", err)
	}
	go func() {
		tick := time.NewTicker(l.After / 5)
		defer tick.Stop()
		last := time.Now()
		for {
			select {
			case <-ctx.Done():
				bg, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
				defer done()
				if err := l.Store.WorkerGone(bg, l.Worker); err != nil {
					l.Log.WarnContext(bg, "signing off failed", "error", err.Error())
				}
				return
			case <-tick.C:
			}
			beat, done := context.WithTimeout(ctx, l.After/5)
			known, err := l.Store.WorkerAlive(beat, l.Worker)
			done()
			if err == nil && known {
				last = time.Now()
				continue
			}
			// Not known: somebody declared us dead. No answer: they will soon.
			if err == nil || time.Since(last) > l.After*4/5 {
				l.Log.WarnContext(ctx, "lease lost, dropping the running tries", "silent", time.Since(last), "error", errText(err))
				l.drop()
				last = time.Now()
			}
		}
	}()
	return nil
}

// guard returns a context that also ends, with errLeaseLost, when the lease does.
func (l *Lease) guard(ctx context.Context) (context.Context, func()) {
	l.mu.Lock()
	if l.epoch == nil {
		l.epoch, l.end = context.WithCancelCause(context.Background())
	}
	epoch := l.epoch
	l.mu.Unlock()

	ctx, cancel := context.WithCancelCause(ctx)
	detach := context.AfterFunc(epoch, func() { cancel(errLeaseLost) })
	return ctx, func() { detach(); cancel(nil) }
}

func (l *Lease) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end != nil {
		l.end(errLeaseLost)
		l.epoch, l.end = nil, nil
	}
}

// Rescue gives the jobs of silent workers to living ones, until ctx ends.
func (l *Lease) Rescue(ctx context.Context, client *river.Client[pgx.Tx]) {
	tick := time.NewTicker(l.After / 4)
	defer tick.Stop()
	for {
		n, err := l.rescueAll(ctx, client)
		if err != nil && ctx.Err() == nil {
			l.Log.WarnContext(ctx, "looking for lost jobs failed; it is tried again", "error", err.Error())
		}
		if n > 0 {
			l.Log.InfoContext(ctx, "took jobs back from silent workers", "jobs", n)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (l *Lease) rescueAll(ctx context.Context, client *river.Client[pgx.Tx]) (int, error) {
	alive, err := l.Store.LivingWorkers(ctx, l.After)
	if err != nil {
		return 0, err
	}
	// Oldest first: a job that was taken a moment ago by a worker that signs on
	// right now is left alone by the age below.
	running, err := client.JobList(ctx, river.NewJobListParams().States(rivertype.JobStateRunning).First(10_000))
	if err != nil {
		return 0, err
	}
	rescued := 0
	for _, job := range running.Jobs {
		owner := lastOf(job.AttemptedBy)
		if alive[owner] || job.AttemptedAt == nil || time.Since(*job.AttemptedAt) < l.After {
			continue
		}
		ok, err := l.rescue(ctx, job, owner)
		if err != nil {
			return rescued, err
		}
		if ok {
			rescued++
		}
	}
	return rescued, nil
}

// rescue takes one job back. The running try, if the worker got that far, is
// marked lost in the same transaction, so that a worker that only slept finds
// its record refused.
func (l *Lease) rescue(ctx context.Context, job *rivertype.JobRow, owner string) (bool, error) {
	rescued := false
	err := l.Store.InTx(ctx, func(ctx context.Context, tx *store.Store) error {
		gone, err := tx.DeclareDead(ctx, owner, l.After)
		if err != nil || !gone {
			return err
		}
		note, err := json.Marshal(rivertype.AttemptError{
			At: time.Now().UTC(), Attempt: job.Attempt,
			Error: fmt.Sprintf("nothing was heard of worker %s for %v", owner, l.After),
		})
		if err != nil {
			return err
		}
		// River has no call that frees a running job. This is what its own
		// rescuer does, guarded by the attempt that was looked at.
		tag, err := tx.Tx().Exec(ctx, `
			UPDATE river.river_job
			   SET state = 'available',
			       scheduled_at = now(),
			       errors = array_append(errors, $3::jsonb)
			 WHERE id = $1
			   AND attempt = $2
			   AND state = 'running'`,
			job.ID, job.Attempt, string(note))
		if err != nil {
			return err
		}
		if rescued = tag.RowsAffected() == 1; !rescued {
			return nil
		}
		return tx.LoseSteps(ctx, job.ID)
	})
	return rescued, err
}

func lastOf(workers []string) string {
	if len(workers) == 0 {
		return ""
	}
	return workers[len(workers)-1]
}
