package jobs

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// Options are what a worker process is made of.
type Options struct {
	Pool     *pgxpool.Pool
	Clients  Clients
	Settings Settings
	// Workers and CopyWorkers are how many steps, and how many copies, run at
	// once in this process.
	Workers, CopyWorkers int
	// Poll is the first interval of a wait, PollMax the longest.
	Poll, PollMax time.Duration
	// Pause is the first pause after a failure; 2 s when zero.
	Pause time.Duration
	// Lease is how long a worker may be silent before its jobs are given to
	// others; 45 s when zero.
	Lease time.Duration
	Log   *slog.Logger
	// Crash is a fault point for tests, see Runner.
	Crash func(step store.StepName, m store.Migration) bool
	// Observe, when set, is told of every finished try of a step.
	Observe func(step store.StepName, outcome store.Outcome, d time.Duration)
	// Retried, when set, is told the reason of a try that is followed by another.
	Retried func(step store.StepName, reason string)
	// Waited, when set, is told of jobs that sleep because of a rate limit.
	Waited func(limiter string, d time.Duration)
}

// Crew is the workers of one process.
type Crew struct {
	River *river.Client[pgx.Tx]
	// Name is how this process appears in steps.worker.
	Name  string
	lease *Lease
	every time.Duration // between two looks for unheeded orders
	clock *Clock
	stop  context.CancelFunc
}

// New wires the steps, the runner and River together; Start sets them to work.
func New(o Options) (*Crew, error) {
	if o.Lease == 0 {
		o.Lease = 45 * time.Second
	}
	name := workerName()
	st := store.New(o.Pool)
	log := WithRequests(o.Log).With("worker", name)
	lease := &Lease{Store: st, Worker: name, After: o.Lease, Log: log}
	runner := &Runner{Store: st, Worker: name, Log: log, Poll: o.Poll, PollMax: o.PollMax, Pause: cmp.Or(o.Pause, firstPause), Lease: lease, Observe: o.Observe, Retried: o.Retried, Waited: o.Waited, Crash: o.Crash, Calendar: o.Settings.Calendar}
	look := &survey{Clients: o.Clients, Settings: o.Settings}

	workers := river.NewWorkers()
	addErrand(workers, runner, inventoryTimeout, (&Inventory{look, runner}).Work)
	addErrand(workers, runner, inventoryTimeout, (&OpenReport{look, runner}).Work)
	addErrand(workers, runner, 10*time.Minute, (&Reconcile{look, runner}).Work)
	addErrand(workers, runner, 10*time.Minute, (&CloseReport{look, runner}).Work)
	addErrand(workers, runner, 5*time.Minute, (&Deliver{look, runner}).Work)
	addErrand(workers, runner, 10*time.Minute, (&Snapshot{look, runner}).Work)
	add[DiscoverArgs](workers, runner, store.StepDiscover, &Discover{look})
	add[ConfigureArgs](workers, runner, store.StepConfigure, &Configure{look})
	add[CopyArgs](workers, runner, store.StepCopy, &Copy{look})
	add[RewriteArgs](workers, runner, store.StepRewrite, &Rewrite{look})
	add[RestoreArgs](workers, runner, store.StepRestore, &Restore{look})
	add[PipelineArgs](workers, runner, store.StepPipeline, &Pipeline{look})
	add[VerifyArgs](workers, runner, store.StepVerify, &Verify{look})

	client, err := river.NewClient(riverpgxv5.New(o.Pool), &river.Config{
		ID:     name,
		Schema: Schema,
		Queues: map[string]river.QueueConfig{
			QueueSteps: {MaxWorkers: o.Workers},
			QueueCopy:  {MaxWorkers: o.CopyWorkers},
			// A look is short and reads much; a few at once leave the steps their room.
			QueueReports: {MaxWorkers: max(2, o.Workers/4)},
		},
		Workers:    workers,
		Middleware: []rivertype.Middleware{withRequest},
		// A job that is due again soon is seen no later than its interval asks for.
		FetchPollInterval: max(min(river.FetchPollIntervalDefault, o.Poll), river.FetchCooldownDefault),
		Logger:            log.With("from", "river"),
		// Our lease finds dead workers within a minute; River's own rescuer
		// stands behind it, after a step's full timeout.
		RescueStuckJobsAfter: time.Hour,
		SoftStopTimeout:      20 * time.Second,
	})
	if err != nil {
		return nil, fmt.Errorf("making River's client: %w", err)
	}
	clock := &Clock{Store: st, River: client, Worker: name, Settings: o.Settings.Reports, Log: log, Every: max(time.Second, min(time.Minute, 4*o.Poll))}
	return &Crew{River: client, Name: name, lease: lease, clock: clock, every: max(min(heedEvery, o.Poll), 10*time.Millisecond)}, nil
}

func add[A interface {
	river.JobArgs
	Migration() int64
}](workers *river.Workers, r *Runner, name store.StepName, s Step) {
	river.AddWorker(workers, &worker[A]{runner: r, name: name, step: s})
}

// Start begins to work. It returns when the crew is at work.
func (c *Crew) Start(ctx context.Context) error {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c.stop = cancel
	if err := c.lease.Keep(own); err != nil {
		cancel()
		return err
	}
	if err := c.River.Start(context.WithoutCancel(ctx)); err != nil {
		cancel()
		return fmt.Errorf("starting River: %w", err)
	}
	go c.lease.Rescue(own, c.River)
	go heed(own, c.lease.Store, c.River, c.every, c.lease.Log)
	go c.clock.Run(own)
	return nil
}

// Stop lets running steps end, interrupts those that don't within ctx, and
// signs off.
func (c *Crew) Stop(ctx context.Context) error {
	defer c.stop()
	if err := c.River.Stop(ctx); err == nil {
		return nil
	}
	bg, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	return c.River.StopAndCancel(bg)
}

// NewInserter returns a River client that only puts jobs in.
func NewInserter(pool *pgxpool.Pool, log *slog.Logger) (*river.Client[pgx.Tx], error) {
	c, err := river.NewClient(riverpgxv5.New(pool), &river.Config{Schema: Schema, Logger: log})
	if err != nil {
		return nil, fmt.Errorf("making River's client: %w", err)
	}
	return c, nil
}

// workerName is unique to this process: host, process id and a random part,
// since process ids return.
func workerName() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "worker"
	}
	return fmt.Sprintf("%.60s-%d-%.6s", host, os.Getpid(), rand.Text())
}
