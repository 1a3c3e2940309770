package jobs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"gitlab.sikt.no/platon/ecrferry/internal/calendar"
	imagecopy "gitlab.sikt.no/platon/ecrferry/internal/copy"
	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/gitlab"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// Step is one stage of a migration. Run may be called again after any
// interruption, so it compares what should be with what is, and does the
// difference.
type Step interface {
	Run(ctx context.Context, t *Task) (Outcome, error)
}

// Task is what a step gets: the migration and its project as they were when the
// try began. The step may change the fields of Migration that it owns; the
// runner saves them together with the outcome.
type Task struct {
	Migration store.Migration
	Project   store.Project
	Log       *slog.Logger

	store  *store.Store
	worker string
	past   streak

	// What the step last made of the project's files and images: a dry run shows it.
	proposal *proposal
	images   imagecopy.Plan
}

// WaitingSince returns when the present wait for this reason began; now, if this
// is its first look.
func (t *Task) WaitingSince(reason string) time.Time { return t.past.waitingSince(reason, time.Now()) }

// Budget asks the fleet's budget for one more pipeline. The same cause counts
// once a migration. When the budget is used up it returns the wait to answer with.
func (t *Task) Budget(ctx context.Context, perHour int, cause string) (o Outcome, ok bool, err error) {
	ok, pause, err := t.store.StartPipeline(ctx, t.Migration.ID, cause, perHour)
	if err != nil || ok {
		return Outcome{}, ok, err
	}
	o = Wait(fmt.Sprintf("the fleet's budget of %d pipelines an hour", perHour), 0)
	o.Reason, o.Every = "pipeline-budget", max(pause, time.Second)
	o.Next = "nothing; it goes on when there is room"
	return o, false, nil
}

// Record appends to the event log what the step is about to write, or has
// written, to a system outside. It is a transaction of its own: an act that
// happened must be readable even when the step fails afterwards.
func (t *Task) Record(ctx context.Context, system, kind, url, format string, args ...any) error {
	return t.RecordData(ctx, system, kind, url, nil, format, args...)
}

// RecordData is Record with data that a later try reads.
func (t *Task) RecordData(ctx context.Context, system, kind, url string, data any, format string, args ...any) error {
	detail := fmt.Sprintf(format, args...)
	t.Log.InfoContext(ctx, kind, "system", system, "detail", detail, "url", url)
	e := store.Event{
		Actor: t.worker, Kind: kind, System: system, Detail: detail, URL: url,
		ProjectID: t.Project.ID, MigrationID: t.Migration.ID,
	}
	if data != nil {
		raw, err := json.Marshal(data)
		if err != nil {
			return err
		}
		e.Data = raw
	}
	return t.store.AddEvents(ctx, e)
}

// Recorded says whether an event of this kind stands in the log of this migration.
func (t *Task) Recorded(ctx context.Context, kind string) (bool, error) {
	events, err := t.store.Events(ctx, store.EventFilter{MigrationID: t.Migration.ID, Kind: kind, Limit: 1})
	return len(events) > 0, err
}

// Runner does the bookkeeping around every step.
type Runner struct {
	Store  *store.Store
	Worker string // this process, as it stands in the steps table
	Log    *slog.Logger
	// Poll is the first interval of a wait, PollMax the longest.
	Poll, PollMax time.Duration
	// Pause is the first pause after a failure; it doubles with each in a row.
	Pause time.Duration
	// Lease is the right of this process to work on jobs.
	Lease *Lease
	// Calendar says when projects may begin.
	Calendar calendar.Calendar
	// Crash, when set, is asked after a step has acted and before anything is
	// recorded; true makes the worker behave as if it had died there. Tests use
	// it to show that nothing is done twice.
	Crash func(step store.StepName, m store.Migration) bool
	// Observe, when set, is told of every finished try.
	Observe func(step store.StepName, outcome store.Outcome, d time.Duration)
	// Retried, when set, is told the reason of a try that is followed by another.
	Retried func(step store.StepName, reason string)
	// Waited, when set, is told of jobs that sleep because of a rate limit.
	Waited func(limiter string, d time.Duration)
}

// worker adapts a step to River.
type worker[A interface {
	river.JobArgs
	Migration() int64
}] struct {
	river.WorkerDefaults[A]
	runner *Runner
	name   store.StepName
	step   Step
}

func (w *worker[A]) Timeout(*river.Job[A]) time.Duration { return timeouts[w.name] }

func (w *worker[A]) NextRetry(job *river.Job[A]) time.Time {
	// The runner has written the time of the next try into the migration; it is
	// read back here so that River and the row agree.
	return w.runner.nextLook(job.Args.Migration())
}

func (w *worker[A]) Work(ctx context.Context, job *river.Job[A]) error {
	r := w.runner
	migration := job.Args.Migration()
	log := r.Log.With("step", w.name, "migration", migration, "job", job.ID)

	task, try, err := r.begin(ctx, w.name, migration, job.ID, log)
	if errors.Is(err, errNotOurs) {
		// Another try of this migration lives, or it ended or moved on without
		// us: this job has nothing to do. Completing it loses nothing, because
		// every state that needs a job got one in its own transaction.
		log.InfoContext(ctx, "job has nothing to do", "why", err.Error())
		return nil
	}
	if errors.Is(err, errBusy) {
		return river.JobSnooze(r.Lease.After / 2)
	}
	if away, ok := errors.AsType[*sentAway](err); ok {
		log.InfoContext(ctx, "step may not begin yet", "why", away.why, "pause", away.pause.Round(time.Second))
		return river.JobSnooze(away.pause)
	}
	if err != nil {
		return err
	}
	started := time.Now()

	stepCtx, release := r.Lease.guard(ctx)
	outcome, runErr := runStep(stepCtx, w.step, task)
	lost := context.Cause(stepCtx)
	release()

	if ctx.Err() != nil && runErr != nil {
		// The process is stopping or the job was cancelled: give the try back
		// as interrupted. River makes the job available again.
		bg, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		_, err := r.Store.FinishStep(bg, try.ID, store.Finish{Outcome: store.OutcomeCancelled, Error: "interrupted: " + context.Cause(ctx).Error()})
		return errors.Join(runErr, err)
	}
	if errors.Is(lost, errLeaseLost) {
		return fmt.Errorf("this try was given to another worker: %w", lost)
	}

	if r.Crash != nil && r.Crash(w.name, task.Migration) {
		return river.JobSnooze(0) // the try stays as running as a killed worker leaves it
	}
	d, recErr := r.record(ctx, w, riverJob[A]{job}, task, try, outcome, runErr)
	took := time.Since(started)
	log.InfoContext(ctx, "step tried", "project", task.Project.Path, "attempt", task.Migration.Attempt, "try", try.Try, "outcome", d.outcome,
		"reason", d.reason, "message", d.message, "took", took.Round(time.Millisecond), "error", errText(runErr))
	if r.Observe != nil {
		r.Observe(w.name, d.outcome, took)
	}
	if r.Retried != nil && recErr == nil && d.outcome == store.OutcomeRetry {
		r.Retried(w.name, retryReason(d.reason))
	}
	if limiter := limiters[d.reason]; r.Waited != nil && recErr == nil && limiter != "" && d.pause > 0 {
		r.Waited(limiter, d.pause)
	}
	if recErr != nil {
		return recErr
	}
	return d.river
}

// runStep turns a panic of a step into an error, so that the bookkeeping holds
// whatever a hostile repository makes the step do.
func runStep(ctx context.Context, s Step, t *Task) (o Outcome, err error) {
	defer func() {
		if p := recover(); p != nil {
			t.Log.ErrorContext(ctx, "step panicked", "panic", p, "stack", stack())
			err = fault.New(fault.Permanent, "panic", "the step panicked: %v", p).
				WithRemedy("report this as a defect of ecrferry, with the worker's log")
		}
	}()
	return s.Run(ctx, t)
}

var (
	errNotOurs = errors.New("nothing to do")
	errBusy    = errors.New("another try of this migration is running")
)

// begin records the intent: a try of this step by this worker.
func (r *Runner) begin(ctx context.Context, name store.StepName, migration, job int64, log *slog.Logger) (*Task, store.Step, error) {
	var task *Task
	var try store.Step
	var away *sentAway
	err := r.Store.InTx(ctx, func(ctx context.Context, tx *store.Store) error {
		m, err := tx.LockMigration(ctx, migration)
		if errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("%w: migration %d is unknown", errNotOurs, migration)
		}
		if err != nil {
			return err
		}
		if !m.State.Active() {
			return fmt.Errorf("%w: the migration is %s", errNotOurs, m.State)
		}
		if m.Step != name {
			return fmt.Errorf("%w: the migration is at %s", errNotOurs, m.Step)
		}
		p, err := tx.ProjectByID(ctx, m.ProjectID)
		if err != nil {
			return err
		}
		shut, err := r.gate(ctx, tx, m, p)
		if err != nil {
			return err
		}
		if shut != nil {
			away, err = turnAway(ctx, tx, m, shut)
			return err
		}
		try, err = tx.StartStep(ctx, store.NewStep{MigrationID: migration, Name: name, JobID: job, Worker: r.Worker, Request: RequestID(ctx)})
		if err != nil {
			return err
		}
		m.State = store.StateRunning
		if Gated(m.Reason) {
			m.Reason, m.Message, m.NextAction = "", "", ""
		}
		m.WaitingFor, m.NextLookAt = "", nil
		if m, err = tx.SaveMigration(ctx, m); err != nil {
			return err
		}
		tries, err := tx.Steps(ctx, migration)
		if err != nil {
			return err
		}
		task = &Task{
			Migration: m, Project: p, Log: log.With("project", p.Path, "attempt", m.Attempt, "try", try.Try),
			store: r.Store, worker: r.Worker, past: streakOf(tries, try),
		}
		return nil
	})
	if _, ok := errors.AsType[*store.RunningError](err); ok {
		return nil, store.Step{}, errBusy
	}
	if err == nil && away != nil {
		return nil, store.Step{}, away
	}
	return task, try, err
}

// limiters are the rate limits behind the reasons for which a job sleeps.
var limiters = map[string]string{
	gitlab.ReasonThrottled: "gitlab", "old-registry-throttled": "old-registry",
	"ecr-throttled": "ecr", "pipeline-budget": "pipelines",
}

// decision is what record made of an outcome.
type decision struct {
	outcome store.Outcome // of the try
	reason  string
	message string
	pause   time.Duration // until the next try
	river   error         // what Work returns: nil, a snooze, or an error to be retried
}

// record writes everything that follows from the try in one transaction.
func (r *Runner) record(ctx context.Context, w interface {
	next(store.Migration) river.JobArgs
}, job completer, task *Task, try store.Step, o Outcome, runErr error) (decision, error) {
	var d decision
	err := r.Store.InTx(ctx, func(ctx context.Context, tx *store.Store) error {
		var err error
		past, now := task.past, time.Now()
		m := task.Migration
		finish := store.Finish{}
		if present, err := tx.LockMigration(ctx, m.ID); err != nil {
			return err
		} else if !present.State.Active() {
			// Somebody ended the migration while the step was at work: it stays ended.
			d = decision{outcome: store.OutcomeCancelled, message: "the migration was ended meanwhile"}
			if _, err := tx.FinishStep(ctx, try.ID, store.Finish{Outcome: store.OutcomeCancelled, Error: d.message}); err != nil {
				return err
			}
			return job.complete(ctx, tx.Tx())
		}
		if runErr != nil {
			d = r.afterError(&m, &finish, past, runErr, now)
		} else if d, err = r.afterOutcome(&m, &finish, past, o, now); err != nil {
			return err
		}
		finish.Outcome = d.outcome
		if ok, err := tx.FinishStep(ctx, try.ID, finish); err != nil {
			return err
		} else if !ok {
			return errLeaseLost
		}
		if _, err := tx.SaveMigration(ctx, m); err != nil {
			return err
		}
		if o.Findings != nil {
			if err := tx.ReplaceFindings(ctx, m.ID, try.Name, o.Findings); err != nil {
				return err
			}
		}
		if o.Evidence != nil {
			if err := tx.ReplaceEvidence(ctx, m.ID, try.Name, o.Evidence); err != nil {
				return err
			}
		}
		if d.river != nil {
			return nil // the same job goes on later
		}
		if err := job.complete(ctx, tx.Tx()); err != nil {
			return err
		}
		if args := w.next(m); args != nil {
			client := river.ClientFromContext[pgx.Tx](ctx)
			if _, err := client.InsertTx(ctx, tx.Tx(), args, insertOpts(args.Kind())); err != nil {
				return err
			}
		}
		if m.State.Active() {
			return nil
		}
		if err := keepBaseline(ctx, tx, m); err != nil {
			return err
		}
		if err := tx.AddEvents(ctx, store.Event{
			Actor: r.Worker, Kind: "migration-" + string(m.State), ProjectID: m.ProjectID, MigrationID: m.ID, Detail: m.Message,
		}); err != nil {
			return err
		}
		return r.stopLine(ctx, tx, m)
	})
	return d, err
}

// afterOutcome moves the migration as the step's outcome says.
func (r *Runner) afterOutcome(m *store.Migration, f *store.Finish, past streak, o Outcome, now time.Time) (decision, error) {
	if o.Result != nil {
		raw, err := json.Marshal(o.Result)
		if err != nil {
			return decision{}, fmt.Errorf("keeping the step's result: %w", err)
		}
		f.Result = raw
	}
	f.Reason = o.Reason
	m.Message, m.NextAction, m.Reason, m.ErrorClass = o.Message, o.Next, o.Reason, ""
	m.WaitingFor, m.NextLookAt = "", nil

	switch o.verdict {
	case done:
		m.Step = cmp.Or(o.then, after(m.Kind, m.Step))
		m.DeadlineAt = nil
		m.State = store.StateQueued
		if m.Step == store.StepDone {
			m.State = store.StateDone
		}
		return decision{outcome: store.OutcomeDone, message: o.Message}, nil

	case wait:
		since := past.waitingSince(o.Reason, now)
		m.DeadlineAt = nil
		if o.Within > 0 {
			t := since.Add(o.Within)
			m.DeadlineAt = &t
		}
		if m.DeadlineAt != nil && now.After(*m.DeadlineAt) {
			m.State = store.StateAttention
			m.Reason = "deadline"
			m.Message = fmt.Sprintf("waited for %s since %s, longer than allowed", o.For, since.UTC().Format(time.DateTime))
			if m.NextAction == "" {
				m.NextAction = "see to what was waited for, then enqueue the project again"
			}
			return decision{outcome: store.OutcomeAttention, reason: m.Reason, message: m.Message}, nil
		}
		pause := interval(past.looks(o.Reason), r.Poll, r.PollMax)
		if o.Every > 0 {
			pause = o.Every
		}
		look := now.Add(pause)
		m.State, m.WaitingFor, m.NextLookAt = store.StateWaiting, o.For, &look
		return decision{outcome: store.OutcomeWaiting, reason: o.Reason, message: o.Message, pause: pause, river: river.JobSnooze(pause)}, nil

	default:
		m.State = o.state
		outcome := store.OutcomeDone
		switch o.state {
		case store.StateAttention:
			outcome, m.ErrorClass = store.OutcomeAttention, string(fault.Attention)
		case store.StateFailed:
			outcome, m.ErrorClass = store.OutcomeFailed, string(fault.Permanent)
		default:
			m.Step = store.StepDone
		}
		return decision{outcome: outcome, reason: o.Reason, message: o.Message}, nil
	}
}

// afterError decides by the error's class between another try and the end.
func (r *Runner) afterError(m *store.Migration, f *store.Finish, past streak, runErr error, now time.Time) decision {
	class, reason := fault.ClassOf(runErr), fault.ReasonOf(runErr)
	if reason == "" {
		reason = unknownReason
	}
	f.Error, f.ErrorClass, f.Reason = runErr.Error(), string(class), reason
	m.Message, m.Reason, m.ErrorClass = runErr.Error(), reason, string(class)
	m.NextAction = fault.RemedyOf(runErr)
	m.WaitingFor, m.NextLookAt = "", nil

	if class == fault.Transient || class == fault.Unclassified {
		if pause, again := backoff(class, past.failures+1, r.Pause, fault.RetryAfter(runErr)); again {
			look := now.Add(pause)
			m.State = store.StateQueued
			m.NextLookAt = &look
			return decision{outcome: store.OutcomeRetry, reason: reason, message: m.Message, pause: pause, river: runErr}
		}
		m.NextAction = "the cause lasted through every try; when it is gone, enqueue the project again"
		if class == fault.Unclassified {
			m.NextAction = "nobody has seen this cause before: read the message, then enqueue the project again"
		}
	}
	if m.NextAction == "" {
		m.NextAction = "see to the cause, then enqueue the project again"
	}
	if class == fault.Attention {
		m.State = store.StateAttention
		return decision{outcome: store.OutcomeAttention, reason: reason, message: m.Message}
	}
	m.State = store.StateFailed
	return decision{outcome: store.OutcomeFailed, reason: reason, message: m.Message}
}

// nextLook returns when the migration's next try is due.
func (r *Runner) nextLook(migration int64) time.Time {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	m, err := r.Store.MigrationByID(ctx, migration)
	if err != nil || m.NextLookAt == nil {
		return time.Now().Add(r.Poll)
	}
	return *m.NextLookAt
}

// next returns the job that follows, nil when the migration has ended.
func (w *worker[A]) next(m store.Migration) river.JobArgs {
	if !m.State.Active() {
		return nil
	}
	return argsOf(m.Step, m.ID)
}

// completer completes the present job in the transaction.
type completer interface {
	complete(ctx context.Context, tx pgx.Tx) error
}

type riverJob[A river.JobArgs] struct{ job *river.Job[A] }

func (j riverJob[A]) complete(ctx context.Context, tx pgx.Tx) error {
	_, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, j.job)
	return err
}
