// Package dashboard is the fleet in a browser: an overview, the list of
// projects, a page for each with what an operator may do about it, and the
// archive of reports.
//
// Pages are made on the server from what the store knows; without JavaScript
// they work by reloading. A small script of ours hears over Server-Sent Events
// that something has happened, fetches the page again and puts the parts marked
// data-live in place, unless somebody is typing there.
//
// Reading and acting are two roles (see Access). Whoever acts says why, and who
// and why become an event. Forms are guarded twice: by what browsers say about
// where a request comes from, and by a token that other sites cannot know. No
// page loads anything from elsewhere, and none holds a script or style of its own.
//
// The package decides nothing about migrations: what operators order goes
// through Acts, which the worker implements.
package dashboard

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/calendar"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// Order is who asks for something, and why.
type Order struct{ Actor, Why string }

// Acts are what an operator can order. A Refusal among the errors is told to
// the operator; other errors are faults of ours.
type Acts interface {
	// Enqueue starts a project's next attempt at a step; "" means where the
	// last one stopped.
	Enqueue(ctx context.Context, o Order, p store.Project, from store.StepName) error
	// Promote plays the production job of a project that waits for it.
	Promote(ctx context.Context, o Order, p store.Project) error
	// Rollback takes back what was written to a project.
	Rollback(ctx context.Context, o Order, p store.Project) error
	// Cancel ends a project's attempt; what it has written stays.
	Cancel(ctx context.Context, o Order, p store.Project) error
	// Hold pauses a project between two steps, Release lets it go on.
	Hold(ctx context.Context, o Order, p store.Project) error
	Release(ctx context.Context, o Order, p store.Project) error
	// Pause closes the intake: projects that have not begun wait. Resume opens it.
	Pause(ctx context.Context, o Order) error
	Resume(ctx context.Context, o Order) error
	// Freeze keeps the projects whose paths match from beginning, until a time or,
	// with nil, until Thaw.
	Freeze(ctx context.Context, o Order, pattern string, until *time.Time) error
	Thaw(ctx context.Context, o Order, pattern string) error
}

// Refusal is an order that could not be followed, and why, in words for people.
type Refusal struct{ Text string }

func (r *Refusal) Error() string { return r.Text }

// Options are what the dashboard is made of.
type Options struct {
	Store *store.Store
	// Acts may be nil: then nobody can act.
	Acts   Acts
	Access Access
	// Jobs is mounted below JobsPrefix, behind the same login; nil for none.
	Jobs http.Handler
	// PipelinesPerHour is the fleet's budget, 0 for none.
	PipelinesPerHour int
	// Calendar is when projects may begin, by the configuration.
	Calendar calendar.Calendar
	// Mask hides secrets in the text of files that are shown; nil for none.
	Mask func(string) string
	// Due says where the schedule of the reconciliation stands; nil: there is none.
	Due func(context.Context) (Due, error)
	// Silence is how long nothing may be heard of a worker that lives.
	Silence time.Duration
	Log     *slog.Logger
}

// Due is where the schedule of the reconciliation stands.
type Due struct {
	Last, Next time.Time // when one was due, and is; zero: none was, or is
	Overdue    bool      // the last is missing although its time is up
}

// JobsPrefix is where Options.Jobs is mounted.
const JobsPrefix = "/jobs"

// server holds what the handlers share.
type server struct {
	Options
	gate  *gate
	pulse *pulse
	past  *past
}

// New returns the dashboard. It answers every path; more specific patterns of a
// mux, such as those of monitoring, stay in front of it. Its watch over the
// database ends with ctx.
func New(ctx context.Context, o Options) (http.Handler, error) {
	if o.Store == nil || o.Log == nil {
		return nil, errors.New("the dashboard needs a store and a log")
	}
	if o.Silence == 0 {
		o.Silence = 45 * time.Second
	}
	g, err := newGate(o.Access)
	if err != nil {
		return nil, err
	}
	if o.Due == nil {
		o.Due = func(context.Context) (Due, error) { return Due{}, nil }
	}
	s := &server{Options: o, gate: g, pulse: newPulse(ctx, o.Store, o.Log), past: &past{store: o.Store}}
	mux := http.NewServeMux()
	mux.Handle("GET /assets/", assetHandler())
	mux.Handle("GET /{$}", s.page(s.overview))
	mux.Handle("GET /projects", s.page(s.list))
	mux.Handle("GET /projects/{path...}", s.page(s.project))
	mux.Handle("GET /reports", s.page(s.archive))
	mux.Handle("GET /reports/{id}", s.page(s.report))
	mux.HandleFunc("GET /reports/{id}/{file}", s.stored)
	mux.HandleFunc("GET /live", s.live)
	mux.Handle("POST /act/{act}", s.act())
	if o.Jobs != nil {
		mux.Handle(JobsPrefix+"/", s.jobs())
		mux.Handle(JobsPrefix, http.RedirectHandler(JobsPrefix+"/", http.StatusSeeOther))
	}
	mux.Handle("/", s.page(func(*http.Request, *frame) error { return errNotHere }))
	return s.guard(mux), nil
}
