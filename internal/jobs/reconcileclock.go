package jobs

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"gitlab.sikt.no/platon/ecrferry/internal/reconcile"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// Clock opens the reports that are due by the clock on the wall. Every worker
// has one; the row of a report claims its period, so each is opened once, by
// whichever worker looks first. River's own periodic jobs live in the memory of
// one process and forget what was due while none ran.
type Clock struct {
	Store    *store.Store
	River    *river.Client[pgx.Tx]
	Worker   string
	Settings ReportSettings
	Log      *slog.Logger
	// Every is the interval between two looks at the clock.
	Every time.Duration

	differs string    // the schedule of others that the log has told of
	warned  time.Time // the period whose being overdue the log has told of
}

// Run looks at the clock until ctx ends. The first look is at once: what was due
// while no worker ran is made up for.
func (c *Clock) Run(ctx context.Context) {
	tick := time.NewTicker(c.Every)
	defer tick.Stop()
	for {
		if err := c.Look(ctx); err != nil && ctx.Err() == nil {
			c.Log.WarnContext(ctx, "looking whether a report is due failed; it is tried again", "error", err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// keeps is for how long a schedule is a worker's after its last look.
const keeps = 2 * time.Minute

// Reconciliation is the name of its schedule.
const Reconciliation = "reconcile"

// Look opens the report that is due, if it has not been. Of several periods that
// were missed only the latest is made up for: it tells what the others would.
func (c *Clock) Look(ctx context.Context) error {
	schedule := c.Settings.Schedule
	if schedule == nil {
		return c.Store.DropSchedule(ctx, Reconciliation, c.Worker, keeps)
	}
	now := c.Settings.now()
	// A schedule holds from when it is first seen: a new installation does not
	// make up for what nobody could have done.
	kept, err := c.Store.KeepSchedule(ctx, store.Schedule{Name: Reconciliation, Expression: schedule.Expression(), Zone: schedule.Zone()}, c.Worker, keeps, now)
	if err != nil {
		return err
	}
	if differs := kept.Expression + " " + kept.Zone; kept.Expression == schedule.Expression() && kept.Zone == schedule.Zone() {
		c.differs = ""
	} else if c.differs != differs {
		c.differs = differs
		c.Log.WarnContext(ctx, "another worker keeps another schedule of the reconciliation: that one holds until it ends; give all workers the same ECRFERRY_RECONCILE_SCHEDULE and _ZONE",
			"ours", schedule.String(), "holds", differs, "keeper", kept.Keeper)
	}
	timing, err := Timing(ctx, c.Store, c.Settings.Overdue, now)
	if err != nil || timing.Due.IsZero() {
		return err
	}
	if timing.Overdue && !c.warned.Equal(timing.Due) {
		c.warned = timing.Due
		c.Log.ErrorContext(ctx, "the reconciliation is overdue", "due", timing.Due, "schedule", schedule.String())
	}
	if timing.Opened {
		return nil
	}
	return c.Store.InTx(ctx, func(ctx context.Context, tx *store.Store) error {
		_, _, err := openReport(ctx, tx, c.River, store.Report{
			Kind: store.ReportScheduled, Period: timing.Due, Actor: c.Worker, Note: "due by the schedule " + schedule.String(),
		})
		return err
	})
}

// ReportTiming says where the schedule stands.
type ReportTiming struct {
	// Due is the latest time that a report was due; zero if none was yet.
	Due time.Time
	// Opened says that it has been begun.
	Opened bool
	// Next is when the next one is; zero without a schedule.
	Next time.Time
	// Overdue says that the one that was due is not there although its time is up.
	Overdue bool
}

// Timing asks where the schedule that the workers keep stands; everything is
// zero without one. Overdue is how long after its time a report may be missing.
func Timing(ctx context.Context, st *store.Store, overdue time.Duration, now time.Time) (ReportTiming, error) {
	var t ReportTiming
	kept, err := st.Schedule(ctx, Reconciliation)
	if errors.Is(err, store.ErrNotFound) {
		return t, nil
	}
	if err != nil {
		return t, err
	}
	schedule, err := reconcile.ParseSchedule(kept.Expression, kept.Zone)
	if err != nil {
		return t, err
	}
	t.Next = schedule.Next(now)
	due, ok := schedule.Due(kept.Since, now)
	if !ok {
		return t, nil
	}
	t.Due = due
	last, err := st.LatestScheduled(ctx)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return t, err
	}
	t.Opened = err == nil && !last.Period.Before(due)
	if now.Sub(due) <= overdue {
		return t, nil
	}
	done, err := st.LatestScheduled(ctx, store.ReportFinished)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return t, err
	}
	t.Overdue = err != nil || done.Period.Before(due)
	return t, nil
}
