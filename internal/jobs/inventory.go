package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/naming"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// InventoryArgs ask for a look at every GitLab project and every repository of
// the old registry. With a run, the projects that it selects are enrolled then.
type InventoryArgs struct {
	RunID int64 `json:"run_id,omitempty"`
}

// Kind implements river.JobArgs.
func (InventoryArgs) Kind() string { return "inventory" }

func inventoryOpts() *river.InsertOpts {
	return &river.InsertOpts{
		Queue: QueueSteps, Priority: 1, MaxAttempts: maxAttempts,
		UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: activeStates},
	}
}

const inventoryTimeout = 30 * time.Minute

// Inventory does what InventoryArgs ask for.
type Inventory struct {
	*survey
	Runner *Runner
}

// Work may be called again after any interruption:
// projects are upserted, the repositories replaced, and a project that has an
// active migration is not enrolled twice.
func (w *Inventory) Work(ctx context.Context, job *river.Job[InventoryArgs]) error {
	st, run := w.Runner.Store, job.Args.RunID
	err := w.walk(ctx, st, run)
	if err == nil && run != 0 {
		err = enroll(ctx, st, river.ClientFromContext[pgx.Tx](ctx), run)
	}
	if err == nil {
		return nil
	}
	w.Runner.Log.WarnContext(ctx, "inventory failed", "run", run, "attempt", job.Attempt, "reason", fault.ReasonOf(err), "error", err.Error())
	if fault.ClassOf(err) != fault.Permanent || run == 0 {
		return err
	}
	bg, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	r, loadErr := st.Run(bg, run)
	if loadErr != nil {
		return errors.Join(err, loadErr)
	}
	r.State, r.Message = store.RunFailed, err.Error()
	_, saveErr := st.UpdateRun(bg, r)
	return river.JobCancel(errors.Join(err, saveErr))
}

// batch is how many projects are written, or enrolled, in one transaction.
const batch = 200

// walk lists GitLab and the old registry, and says whose each repository is.
func (w *Inventory) walk(ctx context.Context, st *store.Store, run int64) error {
	if err := w.tell(ctx, st, run, "listing the projects of GitLab"); err != nil {
		return err
	}
	began, err := st.Now(ctx)
	if err != nil {
		return err
	}
	var rows []store.Project
	flush := func() error {
		if len(rows) == 0 {
			return nil
		}
		err := st.UpsertProjects(ctx, rows)
		rows = rows[:0]
		return err
	}
	for p, err := range w.GitLab.Projects(ctx) {
		if err != nil {
			return err
		}
		if rows = append(rows, ProjectRow(p)); len(rows) == batch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	if _, err := st.MarkGone(ctx, began); err != nil {
		return err
	}

	if err := w.tell(ctx, st, run, "listing the old registry"); err != nil {
		return err
	}
	projects, err := st.Projects(ctx, store.Selection{})
	if err != nil {
		return err
	}
	ids := make(map[string]int64, len(projects))
	paths := make([]string, len(projects))
	for i, p := range projects {
		ids[p.Path], paths[i] = p.ID, p.Path
	}
	owners := naming.NewOwners(paths, w.Settings.Aliases)
	var repositories []store.Repository
	for name, err := range w.Old.Repositories(ctx) {
		if err != nil {
			return err
		}
		o := owners.Of(name)
		r := store.Repository{Name: name, ImageName: o.Name, Ownership: store.Ownership(o.Kind), Candidates: o.Candidates}
		if o.Kind == naming.Owned {
			r.ProjectID = ids[o.Project]
		}
		repositories = append(repositories, r)
	}
	return st.ReplaceRepositories(ctx, repositories)
}

// enroll creates the migrations of a run and their first jobs.
func enroll(ctx context.Context, st *store.Store, client *river.Client[pgx.Tx], id int64) error {
	run, err := st.Run(ctx, id)
	if err != nil {
		return err
	}
	var sel RunSelection
	if err := json.Unmarshal(run.Selection, &sel); err != nil {
		return fault.New(fault.Permanent, "bad-selection", "the run's selection is not readable: %w", err)
	}
	// The limit counts those that begin: of a hundred asked for, projects that
	// an earlier wave has taken use up none.
	limit := sel.Limit
	sel.Limit = 0
	projects, err := st.Projects(ctx, sel.Selection)
	if err != nil {
		return err
	}
	counts := map[string]int{}
	enrolled := 0
	full := func() bool { return limit > 0 && enrolled+counts[mine] >= limit }
	for len(projects) > 0 && !full() {
		part := projects[:min(batch, len(projects))]
		projects = projects[len(part):]
		err := st.InTx(ctx, func(ctx context.Context, tx *store.Store) error {
			for _, p := range part {
				if full() {
					break
				}
				why, err := enrollOne(ctx, tx, client, p, run, sel.Again)
				if err != nil {
					return err
				}
				if why == "" {
					enrolled++
				} else {
					counts[why]++
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	// A second try of this job finds the first one's migrations as its own.
	run.Enrolled, run.LeftOut = enrolled+counts[mine], 0
	delete(counts, mine)
	run.Message = fmt.Sprintf("%d projects enqueued", run.Enrolled)
	for _, why := range sortedKeys(counts) {
		run.LeftOut += counts[why]
		run.Message += fmt.Sprintf(", %d %s", counts[why], why)
	}
	run.Seen = run.Enrolled + run.LeftOut
	run.State = store.RunEnqueued
	_, err = st.UpdateRun(ctx, run)
	return err
}

func (w *Inventory) tell(ctx context.Context, st *store.Store, id int64, message string) error {
	if id == 0 {
		return nil
	}
	r, err := st.Run(ctx, id)
	if err != nil {
		return err
	}
	r.State, r.Message = store.RunWalking, message
	_, err = st.UpdateRun(ctx, r)
	return err
}
