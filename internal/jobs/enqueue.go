package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"gitlab.sikt.no/platon/ecrferry/internal/diagnose"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// RunSelection says which projects a run takes.
type RunSelection struct {
	store.Selection
	// Again takes projects that are done, too: they are walked once more, and
	// nothing changes where nothing has to.
	Again bool `json:"again,omitempty"`
	// Wave is the name of the run, and Budget how many failures it may have before
	// the intake pauses. They are stored with the run.
	Wave   string       `json:"-"`
	Budget store.Budget `json:"-"`
}

// Enqueuer puts work in. It needs a River client that only inserts.
type Enqueuer struct {
	Store *store.Store
	River *river.Client[pgx.Tx]
}

// Order is who asks for what, and why.
type Order struct {
	Actor, Note string
	Policy      Policy
}

// All orders a look at every project and the migration of those selected.
func (e *Enqueuer) All(ctx context.Context, o Order, sel RunSelection) (store.Run, error) {
	selection, err := json.Marshal(sel)
	if err != nil {
		return store.Run{}, err
	}
	policy, err := json.Marshal(o.Policy)
	if err != nil {
		return store.Run{}, err
	}
	var run store.Run
	err = e.Store.InTx(ctx, func(ctx context.Context, tx *store.Store) error {
		run, err = tx.CreateRun(ctx, store.Run{Kind: store.KindAll, Actor: o.Actor, Note: o.Note, Wave: sel.Wave, Budget: sel.Budget, Selection: selection, Policy: policy})
		if err != nil {
			return err
		}
		if err := tx.AddEvents(ctx, store.Event{Actor: o.Actor, Kind: "enqueue-all", Detail: o.Note, Data: selection}); err != nil {
			return err
		}
		_, err = e.River.InsertTx(ctx, tx.Tx(), InventoryArgs{RunID: run.ID}, inventoryOpts())
		return err
	})
	return run, err
}

// Project enqueues one project. From says at which step to start; "" means at
// the one that failed or stopped the attempt before, or at the beginning.
// When the project is under way already the error is a *store.ActiveError.
func (e *Enqueuer) Project(ctx context.Context, o Order, p store.Project, from store.StepName) (store.Migration, error) {
	return e.again(ctx, o, store.KindProject, p, from)
}

// Failed enqueues a project whose latest attempt failed or needs attention.
func (e *Enqueuer) Failed(ctx context.Context, o Order, p store.Project, from store.StepName) (store.Migration, error) {
	return e.again(ctx, o, store.KindFailed, p, from)
}

func (e *Enqueuer) again(ctx context.Context, o Order, kind store.RunKind, p store.Project, from store.StepName) (store.Migration, error) {
	policy, err := json.Marshal(o.Policy)
	if err != nil {
		return store.Migration{}, err
	}
	var m store.Migration
	err = e.Store.InTx(ctx, func(ctx context.Context, tx *store.Store) error {
		before, err := tx.LatestMigration(ctx, p.ID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		start, way := from, store.Migrate
		if start == "" && before.Kind == store.Rollback && kind == store.KindFailed {
			// What failed was the way back: it goes on where it stopped.
			start, way = store.StepRestore, store.Rollback
		}
		if start == "" {
			start = resumeAt(before)
		}
		m, err = tx.CreateMigration(ctx, store.NewMigration{ProjectID: p.ID, RunID: before.RunID, Origin: kind, Kind: way, Step: start, Policy: policy})
		if err != nil {
			return err
		}
		if way == store.Rollback {
			m.Repository, m.RepositoryURI, m.Baseline = before.Repository, before.RepositoryURI, before.Baseline
			if m, err = tx.SaveMigration(ctx, m); err != nil {
				return err
			}
		} else if start != store.StepDiscover {
			if m, err = carryOver(ctx, tx, before, m); err != nil {
				return err
			}
		}
		if err := tx.AddEvents(ctx, store.Event{
			Actor: o.Actor, Kind: "enqueue-" + string(kind), ProjectID: p.ID, MigrationID: m.ID, Detail: o.Note,
		}); err != nil {
			return err
		}
		return e.insert(ctx, tx, m)
	})
	return m, err
}

// Cancel ends a project's active migration. What it has written stays.
func (e *Enqueuer) Cancel(ctx context.Context, o Order, p store.Project) (store.Migration, error) {
	var m store.Migration
	err := e.Store.InTx(ctx, func(ctx context.Context, tx *store.Store) error {
		active, err := tx.ActiveMigration(ctx, p.ID)
		if err != nil {
			return err
		}
		if m, err = tx.LockMigration(ctx, active.ID); err != nil {
			return err
		}
		m.State, m.Reason = store.StateCancelled, "cancelled"
		m.Message, m.NextAction = "cancelled by "+o.Actor, "enqueue the project again when it suits"
		if m, err = tx.SaveMigration(ctx, m); err != nil {
			return err
		}
		return tx.AddEvents(ctx, store.Event{Actor: o.Actor, Kind: "cancel", ProjectID: p.ID, MigrationID: m.ID, Detail: o.Note})
	})
	return m, err
}

func (e *Enqueuer) insert(ctx context.Context, tx *store.Store, m store.Migration) error {
	args := argsOf(m.Step, m.ID)
	if args == nil {
		return fmt.Errorf("no job begins at step %s", m.Step)
	}
	_, err := e.River.InsertTx(ctx, tx.Tx(), args, insertOpts(args.Kind()))
	return err
}

// resumeAt returns the step at which a project starts again: where its last
// attempt failed. Discover looks anew whenever the attempt before did not get
// through it, ended well, or failed because the project was moved.
func resumeAt(before store.Migration) store.StepName {
	if before.Kind == store.Rollback {
		return store.StepDiscover
	}
	switch diagnose.Cause(before.Reason) {
	case diagnose.ProjectMoved:
		return store.StepDiscover // its path, and so its repository, are others now
	case diagnose.RepositoryMissing:
		return store.StepConfigure
	}
	switch before.State {
	case store.StateFailed, store.StateAttention, store.StateCancelled:
		if slices.Contains(store.StepOrder, before.Step) {
			return before.Step
		}
	}
	return store.StepDiscover
}

// carryOver gives a resumed attempt what the steps before its start had found.
func carryOver(ctx context.Context, tx *store.Store, before, m store.Migration) (store.Migration, error) {
	if before.ID == 0 {
		return m, fmt.Errorf("the project has never been migrated: it can't start at step %s", m.Step)
	}
	m.Repository, m.RepositoryURI = before.Repository, before.RepositoryURI
	m.Branch, m.BaseSHA, m.CommitSHA = before.Branch, before.BaseSHA, before.CommitSHA
	m.MergeRequestIID, m.MergeRequestURL = before.MergeRequestIID, before.MergeRequestURL
	m.PipelineID, m.PipelineURL = before.PipelineID, before.PipelineURL
	m.Baseline = before.Baseline
	m, err := tx.SaveMigration(ctx, m)
	if err != nil {
		return m, err
	}
	// The images and findings of the steps that are not run again belong to
	// this attempt's story too: without them it would look emptier than it is.
	images, err := tx.Images(ctx, before.ID)
	if err != nil {
		return m, err
	}
	if slices.Index(store.StepOrder, m.Step) > slices.Index(store.StepOrder, store.StepCopy) {
		if err := tx.SaveImages(ctx, m.ID, images); err != nil {
			return m, err
		}
	}
	findings, err := tx.Findings(ctx, before.ID)
	if err != nil {
		return m, err
	}
	for _, step := range store.StepOrder[:slices.Index(store.StepOrder, m.Step)] {
		var kept []store.Finding
		for _, f := range findings {
			if f.Step == step {
				kept = append(kept, f)
			}
		}
		if err := tx.ReplaceFindings(ctx, m.ID, step, kept); err != nil {
			return m, err
		}
	}
	return m, nil
}

// mine marks a project whose active migration belongs to the same run.
const mine = "enqueued by this run"

// enrollOne creates a project's migration in a run, or says why not.
func enrollOne(ctx context.Context, tx *store.Store, client *river.Client[pgx.Tx], p store.Project, run store.Run, again bool) (why string, err error) {
	before, err := tx.LatestMigration(ctx, p.ID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return "", err
	}
	switch {
	case before.RunID == run.ID && before.ID != 0:
		return mine, nil
	case before.State.Active() && before.State == store.StateWaiting:
		return "under way and waiting", nil
	case before.State.Active():
		return "under way", nil
	case !again && (before.State == store.StateDone || before.State == store.StateExceptions || before.State == store.StateSkipped):
		return "done before", nil
	}
	m, err := tx.CreateMigration(ctx, store.NewMigration{ProjectID: p.ID, RunID: run.ID, Origin: store.KindAll, Policy: run.Policy})
	if _, ok := errors.AsType[*store.ActiveError](err); ok {
		return "under way", nil
	}
	if err != nil {
		return "", err
	}
	args := argsOf(m.Step, m.ID)
	_, err = client.InsertTx(ctx, tx.Tx(), args, insertOpts(args.Kind()))
	return "", err
}

func sortedKeys(m map[string]int) []string { return slices.Sorted(maps.Keys(m)) }
