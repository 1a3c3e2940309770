package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// Errors of orders about the intake and holds.
var (
	// ErrPaused says that the intake is paused already.
	ErrPaused = errors.New("the intake is paused already")
	// ErrNotPaused says that there is no pause to end.
	ErrNotPaused = errors.New("it is not paused")
	// ErrNoteWanted says that an order must say why: the line was stopped for a
	// reason, and whoever starts it again writes down what was found.
	ErrNoteWanted = errors.New("the line was stopped by a failure; say what was found and why it may go on")
)

// byHand is the reason of a pause that somebody ordered.
const byHand = "by-hand"

// Pause closes the intake: projects that have not yet begun wait, those under
// way go on. When it is closed already the error is ErrPaused.
func (e *Enqueuer) Pause(ctx context.Context, o Order) (store.Intake, error) {
	var i store.Intake
	err := e.Store.InTx(ctx, func(ctx context.Context, tx *store.Store) error {
		var err error
		if i, err = tx.LockIntake(ctx); err != nil {
			return err
		}
		if i.Paused {
			return ErrPaused
		}
		message := "paused by " + o.Actor
		if o.Note != "" {
			message += ": " + o.Note
		}
		if i, err = tx.SaveIntake(ctx, store.Intake{Paused: true, Reason: byHand, Message: message, Actor: o.Actor}); err != nil {
			return err
		}
		return tx.AddEvents(ctx, store.Event{Actor: o.Actor, Kind: "intake-paused", Detail: o.Note})
	})
	return i, err
}

// Resume opens the intake again and forgives the failures so far. A pause that
// was not ordered by hand wants a note (ErrNoteWanted); without a pause the
// error is ErrNotPaused.
func (e *Enqueuer) Resume(ctx context.Context, o Order) (store.Intake, error) {
	var i store.Intake
	err := e.Store.InTx(ctx, func(ctx context.Context, tx *store.Store) error {
		var err error
		if i, err = tx.LockIntake(ctx); err != nil {
			return err
		}
		switch {
		case !i.Paused:
			return ErrNotPaused
		case i.Reason != byHand && o.Note == "":
			return fmt.Errorf("%w (%s)", ErrNoteWanted, i.Message)
		}
		if i, err = tx.SaveIntake(ctx, store.Intake{Reason: i.Reason, Message: o.Note, Actor: o.Actor}); err != nil {
			return err
		}
		if err := tx.AddEvents(ctx, store.Event{Actor: o.Actor, Kind: "intake-resumed", Detail: o.Note}); err != nil {
			return err
		}
		return wake(ctx, tx, 0)
	})
	return i, err
}

// Hold pauses one project until the given time, or until it is released when
// that is nil: the step at work ends, and no further one of its migration begins.
func (e *Enqueuer) Hold(ctx context.Context, o Order, p store.Project, until *time.Time) error {
	return e.Store.InTx(ctx, func(ctx context.Context, tx *store.Store) error {
		if err := tx.SetHold(ctx, store.Hold{ProjectID: p.ID, Actor: o.Actor, Note: o.Note, Until: until}); err != nil {
			return err
		}
		detail := o.Note
		if until != nil {
			detail = fmt.Sprintf("until %s %s", until.UTC().Format(time.RFC3339), o.Note)
		}
		return tx.AddEvents(ctx, store.Event{Actor: o.Actor, Kind: "project-paused", ProjectID: p.ID, Detail: detail})
	})
}

// Release ends a project's hold; it goes on at once. Without one the error is
// ErrNotPaused.
func (e *Enqueuer) Release(ctx context.Context, o Order, p store.Project) error {
	return e.Store.InTx(ctx, func(ctx context.Context, tx *store.Store) error {
		held, err := tx.DropHold(ctx, p.ID)
		if err != nil {
			return err
		}
		if !held {
			return ErrNotPaused
		}
		if err := tx.AddEvents(ctx, store.Event{Actor: o.Actor, Kind: "project-resumed", ProjectID: p.ID, Detail: o.Note}); err != nil {
			return err
		}
		return wake(ctx, tx, p.ID)
	})
}

// wake makes the jobs look again that a gate has sent away: of one project, or
// of all when it is 0. River has a call for one job; thousands may wait here, so
// it is one statement.
func wake(ctx context.Context, tx *store.Store, project int64) error {
	_, err := tx.Tx().Exec(ctx, `
		UPDATE river.river_job j
		   SET state = 'available', scheduled_at = now()
		  FROM ferry.migrations m
		 WHERE j.state = 'scheduled'
		   AND m.id = (j.args ->> 'migration_id')::bigint
		   AND m.state IN ('queued', 'waiting')
		   AND m.reason = ANY ($2)
		   AND ($1::bigint = 0 OR m.project_id = $1)`, project, gated)
	return err
}

// stopLine pauses the intake when a migration ended in a way that asks for it: by
// a cause that nobody has seen before, or by using up the failures that its run
// may have. It is called in the transaction that records the end.
func (r *Runner) stopLine(ctx context.Context, tx *store.Store, m store.Migration) error {
	if m.State != store.StateFailed && m.State != store.StateAttention {
		return nil
	}
	p, err := tx.ProjectByID(ctx, m.ProjectID)
	if err != nil {
		return err
	}
	stop := store.Intake{Paused: true, Actor: r.Worker}
	if unseen := m.ErrorClass == "unclassified" || m.Reason == "unknown" || m.Reason == "panic"; unseen {
		stop.Reason = "unknown-cause"
		stop.Message = fmt.Sprintf("%s failed at step %s by a cause that nobody has seen before: %s", p.Path, m.Step, m.Message)
	}
	// From here on failures at the same time wait for each other.
	now, err := tx.LockIntake(ctx)
	if err != nil || now.Paused {
		return err
	}
	if stop.Reason == "" && m.RunID != 0 {
		w, err := tx.Wave(ctx, m.RunID)
		if err != nil {
			return err
		}
		var why string
		if stop.Reason, why = w.Exceeded(w.CountedFailures, w.CountedEnded); stop.Reason != "" {
			stop.RunID = m.RunID
			stop.Message = fmt.Sprintf("run %d: %s; the last was %s (%s)", m.RunID, why, p.Path, m.Reason)
			if w.Name != "" {
				stop.Message = fmt.Sprintf("wave %s: %s; the last was %s (%s)", w.Name, why, p.Path, m.Reason)
			}
		}
	}
	if stop.Reason == "" {
		return nil
	}
	if _, err := tx.SaveIntake(ctx, stop); err != nil {
		return err
	}
	r.Log.WarnContext(ctx, "the intake is paused", "reason", stop.Reason, "message", stop.Message, "project", p.Path, "migration", m.ID)
	return tx.AddEvents(ctx, store.Event{Actor: r.Worker, Kind: "intake-paused", ProjectID: m.ProjectID, MigrationID: m.ID, Detail: stop.Message})
}
