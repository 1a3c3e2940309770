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
	"gitlab.sikt.no/platon/ecrferry/internal/reconcile"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// A reconciliation looks at what is really there and writes nothing outside:
//
//	report -> reconcile (a job a project) -> close -> deliver (a job a place)
//
// The report's row in Postgres is what claims its period; the jobs can be run
// again after any interruption.

// QueueReports is where reconciliations run, so that a look at thousands of
// projects does not hold up their migrations.
const QueueReports = "reports"

// ReportArgs ask for a report that has been opened: the inventory is taken and
// its subjects are written down.
type ReportArgs struct {
	ReportID int64 `json:"report_id"`
}

// ReconcileArgs ask for a look at one subject of a report.
type ReconcileArgs struct {
	ReconciliationID int64 `json:"reconciliation_id"`
}

// CloseArgs ask for the report to be made when all its subjects were looked at.
type CloseArgs struct {
	ReportID int64 `json:"report_id"`
}

// Kind implements river.JobArgs.
func (ReportArgs) Kind() string { return "report" }

// Kind implements river.JobArgs.
func (ReconcileArgs) Kind() string { return "reconcile" }

// Kind implements river.JobArgs.
func (CloseArgs) Kind() string { return "close-report" }

func reportOpts() *river.InsertOpts {
	return &river.InsertOpts{
		Queue: QueueReports, MaxAttempts: maxAttempts,
		UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: activeStates},
	}
}

// ReportSettings are the choices that reports are made with.
type ReportSettings struct {
	// Schedule is when a report is due; nil for only on demand. Overdue is how
	// long after that one may be missing before it is an alarm.
	Schedule *reconcile.Schedule
	Overdue  time.Duration
	// How long something may stay as it is before a report tells of it.
	MergeRequest, Production, Failed time.Duration
	// Patience is how long a report asks again for a project that it cannot look at.
	Patience time.Duration
	// Places are where finished reports go.
	Places []Place
	// Now is the time; time.Now when nil. Tests move it.
	Now func() time.Time
}

func (s ReportSettings) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

// Reconcile orders a report now, on all projects or on those at the given paths.
func (e *Enqueuer) Reconcile(ctx context.Context, o Order, paths []string) (store.Report, error) {
	var r store.Report
	err := e.Store.InTx(ctx, func(ctx context.Context, tx *store.Store) error {
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		r, _, err = openReport(ctx, tx, e.River, store.Report{
			Kind: store.ReportDemand, Period: now, Actor: o.Actor, Note: o.Note, Scope: paths,
		})
		return err
	})
	return r, err
}

// openReport opens a report and puts its first job in, unless its period has one.
func openReport(ctx context.Context, tx *store.Store, client *river.Client[pgx.Tx], want store.Report) (store.Report, bool, error) {
	r, created, err := tx.OpenReport(ctx, want)
	if err != nil || !created {
		return r, created, err
	}
	data, err := json.Marshal(map[string]any{"report": r.ID, "scope": r.Scope})
	if err != nil {
		return r, false, err
	}
	if err := tx.AddEvents(ctx, store.Event{Actor: r.Actor, Kind: "reconcile", Detail: r.Note, Data: data}); err != nil {
		return r, false, err
	}
	_, err = client.InsertTx(ctx, tx.Tx(), ReportArgs{r.ID}, reportOpts())
	return r, true, err
}

// OpenReport does what ReportArgs ask for.
type OpenReport struct {
	*survey
	Runner *Runner
}

// giveUp is how long a report may take before it is ended as it is.
const giveUp = 24 * time.Hour

// Work does it.
func (w *OpenReport) Work(ctx context.Context, job *river.Job[ReportArgs]) error {
	st := w.Runner.Store
	r, err := st.Report(ctx, job.Args.ReportID)
	if err != nil {
		return err
	}
	if r.State != store.ReportQueued {
		return nil
	}
	if err = w.open(ctx, r); err == nil {
		return nil
	}
	w.Runner.Log.WarnContext(ctx, "report could not be begun", "report", r.ID, "attempt", job.Attempt, "reason", fault.ReasonOf(err), "error", err.Error())
	if ctx.Err() != nil || fault.ClassOf(err) != fault.Permanent && time.Since(r.StartedAt) < giveUp {
		return err
	}
	return river.JobCancel(errors.Join(err, st.FailReport(ctx, r.ID, "the inventory could not be taken: "+masked(err.Error()))))
}

func (w *OpenReport) open(ctx context.Context, r store.Report) error {
	st := w.Runner.Store
	_, err := st.InventoryAt(ctx)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	// A look at a few projects makes do with the inventory that there is.
	if len(r.Scope) == 0 || errors.Is(err, store.ErrNotFound) {
		if err := (&Inventory{survey: w.survey, Runner: w.Runner}).walk(ctx, st, 0); err != nil {
			return err
		}
	}
	subjects, projects, err := w.subjects(ctx, r)
	if err != nil {
		return err
	}
	client := river.ClientFromContext[pgx.Tx](ctx)
	return st.InTx(ctx, func(ctx context.Context, tx *store.Store) error {
		if err := tx.AddReconciliations(ctx, r.ID, subjects); err != nil {
			return err
		}
		rows, err := tx.Reconciliations(ctx, r.ID)
		if err != nil {
			return err
		}
		params := []river.InsertManyParams{}
		for _, row := range rows {
			params = append(params, river.InsertManyParams{Args: ReconcileArgs{row.ID}, InsertOpts: reportOpts()})
		}
		params = append(params, river.InsertManyParams{Args: CloseArgs{r.ID}, InsertOpts: reportOpts()})
		for len(params) > 0 {
			n := min(len(params), 500)
			if _, err := client.InsertManyTx(ctx, tx.Tx(), params[:n]); err != nil {
				return err
			}
			params = params[n:]
		}
		return tx.CollectReport(ctx, r.ID, projects)
	})
}

// subjects are what a report has to look at.
func (w *OpenReport) subjects(ctx context.Context, r store.Report) (out []store.Reconciliation, projects int, err error) {
	st := w.Runner.Store
	if len(r.Scope) > 0 {
		for _, path := range r.Scope {
			p, err := st.Project(ctx, path)
			if errors.Is(err, store.ErrNotFound) {
				return nil, 0, fault.New(fault.Permanent, "unknown-project", "project %s is not known", path)
			}
			if err != nil {
				return nil, 0, err
			}
			out = append(out, store.Reconciliation{Subject: store.SubjectProject, ProjectID: p.ID, Path: p.Path})
		}
		return out, len(out), nil
	}
	all, err := st.Status(ctx, store.StatusFilter{})
	if err != nil {
		return nil, 0, err
	}
	// Projects that left GitLab are in the list if they were ever enqueued.
	for _, p := range all {
		out = append(out, store.Reconciliation{Subject: store.SubjectProject, ProjectID: p.ProjectID, Path: p.Path})
	}
	projects = len(out)
	repositories, err := st.Repositories(ctx)
	if err != nil {
		return nil, 0, err
	}
	for _, v := range repositories {
		if v.Ownership != store.Owned {
			out = append(out, store.Reconciliation{Subject: store.SubjectRepository, Path: v.Name})
		}
	}
	return out, projects, nil
}

// Reconcile does what ReconcileArgs ask for.
type Reconcile struct {
	*survey
	Runner *Runner
}

// Work does it. A subject that cannot be looked at is asked for
// again while the report's patience lasts, and is then told as such: nobody
// takes it for one that is in sync.
func (w *Reconcile) Work(ctx context.Context, job *river.Job[ReconcileArgs]) error {
	st := w.Runner.Store
	row, err := st.Reconciliation(ctx, job.Args.ReconciliationID)
	if err != nil {
		return err
	}
	if row.State != store.ReconciliationPending {
		return nil
	}
	r, err := st.Report(ctx, row.ReportID)
	if err != nil {
		return err
	}
	row.Tries = job.Attempt
	evidence, findings, err := w.look(ctx, row)
	row.State = store.ReconciliationObserved
	if err != nil {
		w.Runner.Log.WarnContext(ctx, "could not look", "report", r.ID, "subject", row.Path, "attempt", job.Attempt, "reason", fault.ReasonOf(err), "error", err.Error())
		lasting := fault.ClassOf(err) == fault.Permanent || fault.ClassOf(err) == fault.Attention
		if ctx.Err() != nil || !lasting && time.Since(r.StartedAt) < w.Settings.Reports.Patience {
			return err
		}
		row.State, row.Error = store.ReconciliationFailed, masked(err.Error())
		findings = reconcile.Unobserved(row.Error)
	}
	if err := fill(&row, evidence, findings); err != nil {
		return err
	}
	_, err = st.SaveReconciliation(ctx, row)
	return err
}

// fill writes findings and evidence into a row.
func fill(row *store.Reconciliation, evidence any, findings []reconcile.Finding) (err error) {
	row.Classes, row.NeedsOld = nil, false
	for _, f := range findings {
		row.Classes = append(row.Classes, string(f.Class))
		row.NeedsOld = row.NeedsOld || f.NeedsOld
	}
	first := findings[0]
	row.Class, row.Owner, row.Detail = string(first.Class), string(first.Owner), first.Detail
	if row.Findings, err = json.Marshal(findings); err != nil {
		return fmt.Errorf("keeping findings: %w", err)
	}
	if evidence != nil {
		if row.Evidence, err = json.Marshal(evidence); err != nil {
			return fmt.Errorf("keeping evidence: %w", err)
		}
	}
	return nil
}
