package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"gitlab.sikt.no/platon/ecrferry/internal/reconcile"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// CloseReport does what CloseArgs ask for.
type CloseReport struct {
	*survey
	Runner *Runner
}

// remembered is how many earlier reports the trend shows: half a year of weeks.
const remembered = 26

// Work does it.
func (w *CloseReport) Work(ctx context.Context, job *river.Job[CloseArgs]) error {
	st := w.Runner.Store
	r, err := st.Report(ctx, job.Args.ReportID)
	if err != nil {
		return err
	}
	if r.State != store.ReportCollecting {
		return nil
	}
	pending, err := st.PendingReconciliations(ctx, r.ID)
	if err != nil {
		return err
	}
	if pending > 0 && time.Since(r.StartedAt) < giveUp {
		return river.JobSnooze(max(100*time.Millisecond, min(time.Duration(pending)*20*time.Millisecond, 30*time.Second)))
	}
	model, err := w.model(ctx, r)
	if err != nil {
		return err
	}
	return w.finish(ctx, r, model)
}

// model makes the report of what was found.
func (w *CloseReport) model(ctx context.Context, r store.Report) (reconcile.Report, error) {
	st := w.Runner.Store
	rows, err := st.Reconciliations(ctx, r.ID)
	if err != nil {
		return reconcile.Report{}, err
	}
	before, err := earlier(ctx, st, r.ID)
	if err != nil {
		return reconcile.Report{}, err
	}
	head := reconcile.Report{
		ID: r.ID, Kind: string(r.Kind), Period: r.Period.UTC(), StartedAt: r.StartedAt.UTC(), FinishedAt: w.Settings.Reports.now().UTC(),
		Actor: r.Actor, Note: r.Note, Scope: r.Scope, OldHost: w.Settings.OldHost, ClusterAsked: w.Cluster != nil,
	}
	var subjects []reconcile.Subject
	for _, row := range rows {
		s := reconcile.Subject{Kind: string(row.Subject), ProjectID: row.ProjectID, Path: row.Path, Group: reconcile.GroupOf(row.Path), NeedsOld: row.NeedsOld}
		if row.State == store.ReconciliationPending {
			s.Findings, s.NeedsOld = reconcile.Unobserved("no worker had come to it after "+giveUp.String()), true
		} else if err := json.Unmarshal(row.Findings, &s.Findings); err != nil {
			return head, fmt.Errorf("the findings about %s are not readable: %w", row.Path, err)
		}
		var seen struct {
			Path   string `json:"path"`
			WebURL string `json:"web_url"`
			// of projects with something to do
			Maintainers []string `json:"maintainers"`
		}
		if err := json.Unmarshal(row.Evidence, &seen); err != nil {
			return head, fmt.Errorf("the evidence about %s is not readable: %w", row.Path, err)
		}
		s.URL, s.Maintainers = seen.WebURL, append([]string{}, seen.Maintainers...)
		subjects = append(subjects, s)
	}
	return reconcile.Close(head, subjects, before), nil
}

// earlier returns the models of the reports before, the latest first.
func earlier(ctx context.Context, st *store.Store, id int64) ([]reconcile.Report, error) {
	rows, err := st.ReportsBefore(ctx, id, remembered)
	if err != nil {
		return nil, err
	}
	var out []reconcile.Report
	for _, row := range rows {
		var m reconcile.Report
		if err := json.Unmarshal(row.Model, &m); err != nil {
			return nil, fmt.Errorf("the model of report %d is not readable: %w", row.ID, err)
		}
		out = append(out, m)
	}
	return out, nil
}

// finish stores the report and sends it on its way, in one transaction.
func (w *CloseReport) finish(ctx context.Context, r store.Report, model reconcile.Report) error {
	raw, err := json.Marshal(model)
	if err != nil {
		return err
	}
	h := model.Headline
	r.Model, r.Message, r.Projects, r.InSync = raw, h.Sentence, h.Projects, h.InSync
	r.NeedingOld, r.Loud, r.Unobserved = h.NeedingOld, h.Loud, h.Unobserved
	if len(r.Scope) == 0 {
		yes := h.Answer == "yes"
		r.CanSwitchOff = &yes
	}
	client := river.ClientFromContext[pgx.Tx](ctx)
	err = w.Runner.Store.InTx(ctx, func(ctx context.Context, tx *store.Store) error {
		ok, err := tx.FinishReport(ctx, r)
		if err != nil || !ok {
			return err
		}
		if len(r.Scope) > 0 {
			return nil // who asks about a few projects wants to know, not to tell
		}
		for _, place := range w.Settings.Reports.Places {
			if err := tx.SaveDelivery(ctx, store.Delivery{ReportID: r.ID, Target: place.Target(), State: "pending"}); err != nil {
				return err
			}
			if _, err := client.InsertTx(ctx, tx.Tx(), DeliverArgs{r.ID, place.Target()}, reportOpts()); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		w.Runner.Log.InfoContext(ctx, "report finished", "report", r.ID, "projects", h.Projects, "needing_old", h.NeedingOld, "loud", h.Loud, "unobserved", h.Unobserved)
	}
	return err
}

// SnapshotArgs ask for the old registry's tags of a project whose migration has
// just ended: what differs from them later was pushed since.
type SnapshotArgs struct{ Ref }

// Kind implements river.JobArgs.
func (SnapshotArgs) Kind() string { return "snapshot" }

// Snapshot does what SnapshotArgs ask for.
type Snapshot struct {
	*survey
	Runner *Runner
}

// Work does it.
func (w *Snapshot) Work(ctx context.Context, job *river.Job[SnapshotArgs]) error {
	st := w.Runner.Store
	m, err := st.MigrationByID(ctx, job.Args.MigrationID)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if kept, err := st.Baseline(ctx, m.ID); err != nil || len(kept) > 0 {
		return err
	}
	tags, err := w.oldTags(ctx, st, m.ProjectID, func(string, string) bool { return true })
	if err != nil {
		return err
	}
	return st.KeepBaseline(ctx, m.ID, tags)
}

// keepBaseline orders the baseline of a migration that has ended well.
func keepBaseline(ctx context.Context, tx *store.Store, m store.Migration) error {
	if m.Kind != store.Migrate || !slices.Contains([]store.State{store.StateDone, store.StateExceptions}, m.State) {
		return nil
	}
	_, err := river.ClientFromContext[pgx.Tx](ctx).InsertTx(ctx, tx.Tx(), SnapshotArgs{Ref{m.ID}}, reportOpts())
	return err
}
