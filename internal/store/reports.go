package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// ReportKind says what a report was made for.
type ReportKind string

// The kinds of report.
const (
	ReportScheduled ReportKind = "scheduled" // by the clock; a period has one
	ReportDemand    ReportKind = "demand"    // somebody asked
)

// ReportState says how far a report is.
type ReportState string

// The states of a report: queued while the inventory is being taken,
// collecting while the projects are looked at.
const (
	ReportQueued     ReportState = "queued"
	ReportCollecting ReportState = "collecting"
	ReportFinished   ReportState = "finished"
	ReportFailed     ReportState = "failed"
)

// Report is a reconciliation: what is really there, compared with what should
// be. A finished one never changes.
type Report struct {
	ID   int64      `db:"id"`
	Kind ReportKind `db:"kind"`
	// Period is the time it was due; of one on demand, when it was asked for.
	Period time.Time `db:"period"`
	// Actor is who asked, as user@host, or the process for the clock.
	Actor string `db:"actor"`
	Note  string `db:"note"`
	// Scope holds the project paths that were asked for; empty for all.
	Scope   []string    `db:"scope"`
	State   ReportState `db:"state"`
	Message string      `db:"message"`
	// The times are set by the store.
	StartedAt  time.Time  `db:"started_at"`
	FinishedAt *time.Time `db:"finished_at"`
	// The headline's figures count projects.
	Projects   int `db:"projects"`
	InSync     int `db:"in_sync"`
	NeedingOld int `db:"needing_old"`
	Loud       int `db:"loud"`
	Unobserved int `db:"unobserved"`
	// CanSwitchOff is nil for a report on some projects only, and until it is finished.
	CanSwitchOff *bool `db:"can_switch_off"`
	// Model is a reconcile.Report as JSON. Lists of reports leave it out.
	Model json.RawMessage `db:"model"`
}

// reportColumns are the columns of a Report without its model.
const reportColumns = `
	id, kind, period, actor, note, scope, state, message, started_at, finished_at,
	projects, in_sync, needing_old, loud, unobserved, can_switch_off`

// OpenReport begins a report. Kind, Period and Actor are required; Note and
// Scope are kept. Of a scheduled period only the first call, of however many
// workers, opens one: the others get that one, and created is false.
func (s *Store) OpenReport(ctx context.Context, r Report) (opened Report, created bool, err error) {
	type row struct {
		Report
		Created bool `db:"created"`
	}
	err = s.InTx(ctx, func(ctx context.Context, tx *Store) error {
		got, err := many[row](ctx, tx.db, `
			INSERT INTO ferry.reports (kind, period, actor, note, scope)
			VALUES ($1, $2, $3, $4, coalesce($5::text[], '{}'))
			ON CONFLICT (period) WHERE kind = 'scheduled' DO NOTHING
			RETURNING `+reportColumns+`, NULL::jsonb AS model, true AS created`,
			r.Kind, r.Period, r.Actor, r.Note, r.Scope)
		if err != nil {
			return err
		}
		if len(got) == 1 {
			opened, created = got[0].Report, true
			return nil
		}
		opened, err = one[Report](ctx, tx.db, `
			SELECT `+reportColumns+`, NULL::jsonb AS model
			  FROM ferry.reports
			 WHERE kind = 'scheduled' AND period = $1`, r.Period)
		return err
	})
	return opened, created, wrap(err, "opening the report of %s", r.Period.Format(time.RFC3339))
}

// Report returns a report with its model, or ErrNotFound.
func (s *Store) Report(ctx context.Context, id int64) (Report, error) {
	r, err := one[Report](ctx, s.db, `
		SELECT `+reportColumns+`, model
		  FROM ferry.reports
		 WHERE id = $1`, id)
	return r, wrap(err, "report %d", id)
}

// LatestReport returns the latest finished report on all projects, with its
// model, or ErrNotFound.
func (s *Store) LatestReport(ctx context.Context) (Report, error) {
	r, err := one[Report](ctx, s.db, `
		SELECT `+reportColumns+`, model
		  FROM ferry.reports
		 WHERE state = 'finished' AND scope = '{}'
		 ORDER BY id DESC
		 LIMIT 1`)
	return r, wrap(err, "latest report")
}

// ReportsBefore returns the latest finished reports on all projects that are
// older than the one with this id, with their models, the latest first.
func (s *Store) ReportsBefore(ctx context.Context, id int64, limit int) ([]Report, error) {
	rs, err := many[Report](ctx, s.db, `
		SELECT `+reportColumns+`, model
		  FROM ferry.reports
		 WHERE state = 'finished' AND scope = '{}' AND id < $1
		 ORDER BY id DESC
		 LIMIT $2`, id, limit)
	return rs, wrap(err, "reports before %d", id)
}

// Reports lists reports in any state, the latest first, without their models;
// a limit of 0 lists them all.
func (s *Store) Reports(ctx context.Context, limit int) ([]Report, error) {
	rs, err := many[Report](ctx, s.db, `
		SELECT `+reportColumns+`, NULL::jsonb AS model
		  FROM ferry.reports
		 ORDER BY id DESC
		 LIMIT nullif($1::bigint, 0)`, limit)
	return rs, wrap(err, "reports")
}

// UnfinishedReports lists the reports that are being made, the oldest first,
// without their models.
func (s *Store) UnfinishedReports(ctx context.Context) ([]Report, error) {
	rs, err := many[Report](ctx, s.db, `
		SELECT `+reportColumns+`, NULL::jsonb AS model
		  FROM ferry.reports
		 WHERE state IN ('queued', 'collecting')
		 ORDER BY id`)
	return rs, wrap(err, "unfinished reports")
}

// CollectReport says that the inventory is taken and the projects are looked at.
func (s *Store) CollectReport(ctx context.Context, id int64, projects int) error {
	_, err := s.db.Exec(ctx, `
		UPDATE ferry.reports
		   SET state = 'collecting', projects = $2
		 WHERE id = $1 AND state = 'queued'`, id, projects)
	return wrap(err, "report %d", id)
}

// FinishReport stores the model and the figures of the report with r's ID. It
// returns false if the report had ended before.
func (s *Store) FinishReport(ctx context.Context, r Report) (bool, error) {
	tag, err := s.db.Exec(ctx, `
		UPDATE ferry.reports
		   SET state = 'finished', message = $2, finished_at = clock_timestamp(), projects = $3, in_sync = $4,
		       needing_old = $5, loud = $6, unobserved = $7, can_switch_off = $8, model = $9
		 WHERE id = $1 AND state IN ('queued', 'collecting')`,
		r.ID, r.Message, r.Projects, r.InSync, r.NeedingOld, r.Loud, r.Unobserved, r.CanSwitchOff, r.Model)
	return tag.RowsAffected() == 1, wrap(err, "finishing report %d", r.ID)
}

// FailReport ends a report that could not be made.
func (s *Store) FailReport(ctx context.Context, id int64, message string) error {
	_, err := s.db.Exec(ctx, `
		UPDATE ferry.reports
		   SET state = 'failed', message = $2, finished_at = clock_timestamp()
		 WHERE id = $1 AND state IN ('queued', 'collecting')`, id, message)
	return wrap(err, "failing report %d", id)
}

// Schedule is something that runs by the clock.
type Schedule struct {
	Name       string `db:"name"`
	Expression string `db:"expression"`
	Zone       string `db:"zone"`
	// Since is when this expression began to hold: what it would have been due
	// for before was not missed.
	Since time.Time `db:"since"`
	// Keeper is the worker that looked last by it.
	Keeper string `db:"keeper"`
}

// KeepSchedule says that the worker goes by a schedule. One that is known with the
// same expression and zone keeps its Since; any other begins at now. While other
// workers keep another one, which they have said within the time of patience, that
// one stays and is what is returned: workers whose configurations differ would
// else begin each other's schedule anew for ever.
func (s *Store) KeepSchedule(ctx context.Context, want Schedule, worker string, patience time.Duration, now time.Time) (Schedule, error) {
	got, err := one[Schedule](ctx, s.db, `
		INSERT INTO ferry.schedules AS old (name, expression, zone, since, keeper, seen_at)
		VALUES ($1, $2, $3, $4, $5, clock_timestamp())
		ON CONFLICT (name) DO UPDATE
		   SET since = CASE WHEN (old.expression, old.zone) = (excluded.expression, excluded.zone)
		                    THEN old.since ELSE excluded.since END,
		       expression = excluded.expression, zone = excluded.zone,
		       keeper = excluded.keeper, seen_at = excluded.seen_at
		 WHERE (old.expression, old.zone) = (excluded.expression, excluded.zone)
		    OR old.keeper = excluded.keeper
		    OR old.seen_at < clock_timestamp() - $6::interval
		RETURNING name, expression, zone, since, keeper`, want.Name, want.Expression, want.Zone, now, worker, patience)
	if errors.Is(err, ErrNotFound) {
		return s.Schedule(ctx, want.Name)
	}
	return got, wrap(err, "schedule %s", want.Name)
}

// Schedule returns a schedule that a worker keeps, or ErrNotFound.
func (s *Store) Schedule(ctx context.Context, name string) (Schedule, error) {
	got, err := one[Schedule](ctx, s.db, `
		SELECT name, expression, zone, since, keeper
		  FROM ferry.schedules
		 WHERE name = $1`, name)
	return got, wrap(err, "schedule %s", name)
}

// DropSchedule says that the worker goes by no schedule. One that others have kept
// within the time of patience stays.
func (s *Store) DropSchedule(ctx context.Context, name, worker string, patience time.Duration) error {
	_, err := s.db.Exec(ctx, `
		DELETE FROM ferry.schedules
		 WHERE name = $1 AND (keeper = $2 OR seen_at < clock_timestamp() - $3::interval)`, name, worker, patience)
	return wrap(err, "dropping schedule %s", name)
}

// LatestScheduled returns the latest scheduled report in any of the states (any
// at all if none is named), without its model, or ErrNotFound.
func (s *Store) LatestScheduled(ctx context.Context, states ...ReportState) (Report, error) {
	r, err := one[Report](ctx, s.db, `
		SELECT `+reportColumns+`, NULL::jsonb AS model
		  FROM ferry.reports
		 WHERE kind = 'scheduled' AND (cardinality($1::text[]) = 0 OR state = ANY ($1))
		 ORDER BY period DESC
		 LIMIT 1`, texts(states))
	return r, wrap(err, "latest scheduled report")
}

// texts never returns nil, because a NULL array has no cardinality.
func texts[T ~string](values []T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}
