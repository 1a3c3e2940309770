package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// Errors of orders that have nothing to act on.
var (
	// ErrNotWaiting says that the project's migration does not wait for production.
	ErrNotWaiting = errors.New("it does not wait for production")
	// ErrNothingWritten says that no attempt has written anything to the project.
	ErrNothingWritten = errors.New("nothing was written to it that could be taken back")
)

// Promote orders the manual production job of a project that waits for it to be
// played. The worker plays it, and goes on to prove production. A project that
// does not wait for production is ErrNotWaiting; a second order changes nothing,
// because a job that was played does not wait any more.
func (e *Enqueuer) Promote(ctx context.Context, o Order, p store.Project) (store.Migration, error) {
	var m store.Migration
	err := e.Store.InTx(ctx, func(ctx context.Context, tx *store.Store) error {
		active, err := tx.ActiveMigration(ctx, p.ID)
		if errors.Is(err, store.ErrNotFound) {
			return ErrNotWaiting
		}
		if err != nil {
			return err
		}
		if m, err = tx.LockMigration(ctx, active.ID); err != nil {
			return err
		}
		// One that is running has waited and looks again this instant: heed finds the order.
		if m.Step != store.StepVerify || m.State == store.StateQueued || m.Reason != waitsForProduction {
			return fmt.Errorf("%w: it is %s at step %s", ErrNotWaiting, m.State, m.Step)
		}
		if err := tx.AddEvents(ctx, store.Event{Actor: o.Actor, Kind: promoted, Detail: o.Note, ProjectID: p.ID, MigrationID: m.ID}); err != nil {
			return err
		}
		// Its next look may be an hour away: now is better.
		tries, err := tx.Steps(ctx, m.ID)
		if err != nil {
			return err
		}
		_, err = e.River.JobRetryTx(ctx, tx.Tx(), tries[len(tries)-1].JobID)
		return err
	})
	return m, err
}

// Rollback orders what the project's migrations wrote to be taken back. One that
// waits for somebody is ended by this; one that is at work is a
// *store.ActiveError. A project that nothing was written to is ErrNothingWritten.
func (e *Enqueuer) Rollback(ctx context.Context, o Order, p store.Project) (store.Migration, error) {
	policy, err := json.Marshal(o.Policy)
	if err != nil {
		return store.Migration{}, err
	}
	var m store.Migration
	err = e.Store.InTx(ctx, func(ctx context.Context, tx *store.Store) error {
		before, err := tx.LatestMigration(ctx, p.ID)
		if errors.Is(err, store.ErrNotFound) {
			return ErrNothingWritten
		}
		if err != nil {
			return err
		}
		files, err := tx.Inverses(ctx, p.ID)
		if err != nil {
			return err
		}
		variables, err := tx.Variables(ctx, p.ID)
		if err != nil {
			return err
		}
		if len(files) == 0 && len(variables) == 0 {
			return ErrNothingWritten
		}
		if before.State == store.StateWaiting && before.Kind == store.Migrate {
			if before, err = tx.LockMigration(ctx, before.ID); err != nil {
				return err
			}
			if before.State == store.StateWaiting {
				before.State, before.Reason = store.StateCancelled, "rolled-back"
				before.Message, before.NextAction = "ended by "+o.Actor+", who ordered a rollback", ""
				if before, err = tx.SaveMigration(ctx, before); err != nil {
					return err
				}
			}
		}
		m, err = tx.CreateMigration(ctx, store.NewMigration{ProjectID: p.ID, RunID: before.RunID, Origin: store.KindRollback, Kind: store.Rollback, Policy: policy})
		if err != nil {
			return err
		}
		m.Repository, m.RepositoryURI, m.Baseline = before.Repository, before.RepositoryURI, before.Baseline
		if m, err = tx.SaveMigration(ctx, m); err != nil {
			return err
		}
		if err := tx.AddEvents(ctx, store.Event{Actor: o.Actor, Kind: "enqueue-rollback", Detail: o.Note, ProjectID: p.ID, MigrationID: m.ID}); err != nil {
			return err
		}
		return e.insert(ctx, tx, m)
	})
	return m, err
}
