package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"riverqueue.com/riverui"

	"gitlab.sikt.no/platon/ecrferry/internal/assembly"
	"gitlab.sikt.no/platon/ecrferry/internal/config"
	"gitlab.sikt.no/platon/ecrferry/internal/dashboard"
	"gitlab.sikt.no/platon/ecrferry/internal/diagnose"
	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/metrics"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// routes are what monitoring asks for, and the dashboard, nil for none.
func routes(st *store.Store, m *metrics.Metrics, pages http.Handler, overdue time.Duration) http.Handler {
	mux := http.NewServeMux()
	// Alive says that the process answers; ready, that it can do its work.
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
		defer cancel()
		if err := st.Ping(ctx); err != nil {
			http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "ok\n")
		// The worker can work all the same: this is for people who look.
		if timing, err := jobs.Timing(ctx, st, overdue, time.Now()); err == nil && timing.Overdue {
			fmt.Fprintf(w, "the reconciliation that was due at %s is overdue\n", timing.Due.UTC().Format(time.RFC3339))
		}
	})
	mux.Handle("GET /metrics", m.Handler())
	if pages != nil {
		mux.Handle("/", pages)
	}
	return mux
}

// pages makes the dashboard with River UI beside it, nil when it is off. Both
// end with ctx.
func pages(ctx context.Context, c config.Config, st *store.Store, crew *jobs.Crew, log *slog.Logger) (http.Handler, error) {
	if c.Dashboard == config.DashboardOff {
		return nil, nil
	}
	ui, err := riverui.NewHandler(&riverui.HandlerOpts{
		Endpoints: riverui.NewEndpoints(crew.River, nil), Prefix: dashboard.JobsPrefix, Logger: log.With("from", "river-ui"),
	})
	if err != nil {
		return nil, fmt.Errorf("making River UI: %w", err)
	}
	if err := ui.Start(ctx); err != nil {
		return nil, fmt.Errorf("starting River UI: %w", err)
	}
	access := dashboard.Access{
		Proxies: c.Proxies, UserHeader: c.DashboardUserHeader, GroupsHeader: c.DashboardGroupHeader, Operators: c.DashboardOperators,
	}
	for _, u := range c.Users {
		access.Users = append(access.Users, dashboard.User{Name: u.Name, Role: dashboard.Role(u.Role), Hash: u.Hash})
	}
	if c.DashboardAnonymous != config.RoleNobody {
		access.Anonymous = dashboard.Role(c.DashboardAnonymous)
	}
	return dashboard.New(ctx, dashboard.Options{
		Store: st, Acts: &acts{&jobs.Enqueuer{Store: st, River: crew.River}, assembly.Policy(c)}, Access: access, Jobs: ui,
		Due: func(ctx context.Context) (dashboard.Due, error) {
			timing, err := jobs.Timing(ctx, st, c.ReconcileOverdue, time.Now())
			return dashboard.Due{Last: timing.Due, Next: timing.Next, Overdue: timing.Overdue}, err
		},
		Calendar: c.Calendar, PipelinesPerHour: c.PipelinesPerHour, Log: log.With("from", "dashboard"),
		Mask: func(text string) string { return string(diagnose.Mask([]byte(text))) },
	})
}

// acts does what the dashboard's operators order, as the command line would.
type acts struct {
	enqueuer *jobs.Enqueuer
	policy   jobs.Policy
}

func (a *acts) order(o dashboard.Order) jobs.Order {
	return jobs.Order{Actor: o.Actor, Note: o.Why, Policy: a.policy}
}

func (a *acts) Enqueue(ctx context.Context, o dashboard.Order, p store.Project, from store.StepName) error {
	before, err := a.enqueuer.Store.LatestMigration(ctx, p.ID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	enqueue := a.enqueuer.Project
	if before.State == store.StateFailed || before.State == store.StateAttention {
		enqueue = a.enqueuer.Failed // also a rollback goes on where it stopped
	}
	_, err = enqueue(ctx, a.order(o), p, from)
	return refusal(err)
}

func (a *acts) Promote(ctx context.Context, o dashboard.Order, p store.Project) error {
	_, err := a.enqueuer.Promote(ctx, a.order(o), p)
	return refusal(err)
}

func (a *acts) Rollback(ctx context.Context, o dashboard.Order, p store.Project) error {
	_, err := a.enqueuer.Rollback(ctx, a.order(o), p)
	return refusal(err)
}

func (a *acts) Cancel(ctx context.Context, o dashboard.Order, p store.Project) error {
	_, err := a.enqueuer.Cancel(ctx, a.order(o), p)
	if errors.Is(err, store.ErrNotFound) {
		return &dashboard.Refusal{Text: "The project is not under way any more."}
	}
	return refusal(err)
}

func (a *acts) Hold(ctx context.Context, o dashboard.Order, p store.Project) error {
	return refusal(a.enqueuer.Hold(ctx, a.order(o), p, nil))
}

func (a *acts) Release(ctx context.Context, o dashboard.Order, p store.Project) error {
	return refusal(a.enqueuer.Release(ctx, a.order(o), p))
}

func (a *acts) Pause(ctx context.Context, o dashboard.Order) error {
	_, err := a.enqueuer.Pause(ctx, a.order(o))
	return refusal(err)
}

func (a *acts) Resume(ctx context.Context, o dashboard.Order) error {
	_, err := a.enqueuer.Resume(ctx, a.order(o))
	return refusal(err)
}

func (a *acts) Freeze(ctx context.Context, o dashboard.Order, pattern string, until *time.Time) error {
	_, err := a.enqueuer.Freeze(ctx, a.order(o), pattern, until)
	return refusal(err)
}

func (a *acts) Thaw(ctx context.Context, o dashboard.Order, pattern string) error {
	return refusal(a.enqueuer.Thaw(ctx, a.order(o), pattern))
}

// refusal tells what an operator should know from what is a fault.
func refusal(err error) error {
	if active, ok := errors.AsType[*store.ActiveError](err); ok {
		m := active.Migration
		return &dashboard.Refusal{Text: fmt.Sprintf("It is under way already: attempt %d, %s at step %s.", m.Attempt, m.State, m.Step)}
	}
	switch {
	case errors.Is(err, jobs.ErrPaused), errors.Is(err, jobs.ErrNotPaused):
		return &dashboard.Refusal{Text: "Somebody was quicker: " + err.Error() + "."}
	case errors.Is(err, jobs.ErrNotFrozen):
		return &dashboard.Refusal{Text: "Somebody was quicker: " + err.Error() + "."}
	case errors.Is(err, jobs.ErrNoPattern):
		return &dashboard.Refusal{Text: err.Error() + "."}
	case errors.Is(err, jobs.ErrNotWaiting):
		return &dashboard.Refusal{Text: "There is nothing to promote: " + err.Error() + "."}
	case errors.Is(err, jobs.ErrNothingWritten):
		return &dashboard.Refusal{Text: "There is nothing to take back: " + err.Error() + "."}
	}
	return err
}
