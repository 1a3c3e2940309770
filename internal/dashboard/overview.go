package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/calendar"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// overview is the body of the first page.
type overview struct {
	Total, Done int
	Percent     string
	// Segments are the states that somebody is in, as parts of a bar.
	Segments []segment
	Images   int
	Bytes    int64

	Range, RangeName string
	Ranges           []choice
	Charts           []chart
	Forecast         forecast
	// Stopped counts the projects that need a human before they go on.
	Stopped int

	Due    Due
	Intake store.Intake
	Acts   []act
	Holds  []store.Hold
	// Freezes are those that operators keep, Configured those of the configuration's
	// file, which count beside them, and Hours the working hours, if there are any.
	Freezes    []store.Freeze
	Configured []calendar.Freeze
	Hours      string
	Waves      []wave

	// Copies run now; Moving sums them.
	Copies []store.RunningCopy
	Moving store.Copying

	Failures []failure
	Waits    []wait
	Budget   budget
	Workers  []worker
	Events   []happening
}

type segment struct {
	State    store.State
	Band     store.Band
	Projects int
	X, Width float64
	Link     string
}

// choice is a link among several, one of which is chosen.
type choice struct {
	Name, Link string
	Chosen     bool
}

// wave is an order of many projects with its parts of a bar.
type wave struct {
	store.Wave
	Link                   string
	DoneWidth, MovingWidth float64
}

type failure struct {
	store.Failure
	Link string
}

// wait is something outside that projects wait for.
type wait struct {
	Reason   string
	Projects int
	Link     string
}

type budget struct {
	Used, Limit int
	Free        *time.Time
	Share       float64 // of a bar of 100
}

type worker struct {
	store.Worker
	Alive bool
}

// happening is an event with the project it belongs to.
type happening struct {
	store.Event
	Path string
}

// ranges are the times that the charts can show.
var ranges = []struct {
	code, name string
	back       time.Duration // 0: since the first migration
}{
	{"1h", "hour", time.Hour}, {"24h", "day", 24 * time.Hour}, {"7d", "week", 7 * 24 * time.Hour}, {"30d", "30 days", 30 * 24 * time.Hour}, {"", "all", 0},
}

func (s *server) overview(r *http.Request, f *frame) error {
	f.Page, f.Title, f.Here = "overview", "Fleet", "fleet"
	ctx := r.Context()
	if err := s.alive(ctx, f, 0); err != nil {
		return err
	}
	o := &overview{Range: r.FormValue("range")}
	f.Body = o
	if !slices.ContainsFunc(ranges, func(c struct {
		code, name string
		back       time.Duration
	}) bool {
		return c.code == o.Range
	}) {
		return fmt.Errorf("%w: there is no range %q", errWrongUse, o.Range)
	}
	for _, fill := range []func(context.Context, *overview) error{s.tally, s.intake, s.copies, s.charts, s.failures, s.machine} {
		if err := fill(ctx, o); err != nil {
			return err
		}
	}
	o.Acts = s.offerIntake(f.Person, o.Intake, o.Freezes)
	return nil
}

// mostWaves is how many orders the overview shows.
const mostWaves = 6

func (s *server) intake(ctx context.Context, o *overview) (err error) {
	if o.Intake, err = s.Store.Intake(ctx); err != nil {
		return err
	}
	if o.Due, err = s.Due(ctx); err != nil {
		return err
	}
	if o.Holds, err = s.Store.Holds(ctx); err != nil {
		return err
	}
	if o.Freezes, err = s.Store.Freezes(ctx); err != nil {
		return err
	}
	o.Configured = s.Calendar.Left(time.Now())
	if c := s.Calendar; c.Text != "" && c.Zone != nil {
		o.Hours = c.Text + ", " + c.Zone.String()
	}
	waves, err := s.Store.Waves(ctx, mostWaves)
	for _, w := range waves {
		if w.Projects == 0 {
			continue
		}
		v := wave{Wave: w, DoneWidth: 100 * float64(w.Done) / float64(w.Projects)}
		v.MovingWidth = 100 * float64(w.UnderWay) / float64(w.Projects)
		if w.Name != "" {
			v.Link = "/projects?wave=" + url.QueryEscape(w.Name)
		}
		o.Waves = append(o.Waves, v)
	}
	return err
}

func (s *server) copies(ctx context.Context, o *overview) (err error) {
	o.Copies, err = s.Store.RunningCopies(ctx)
	for _, c := range o.Copies {
		o.Moving.Images, o.Moving.ImagesDone = o.Moving.Images+c.Images, o.Moving.ImagesDone+c.ImagesDone
		o.Moving.Bytes, o.Moving.BytesDone = o.Moving.Bytes+c.Bytes, o.Moving.BytesDone+c.BytesDone
		o.Moving.Rate += c.Rate
	}
	return err
}

// shown is the order of the states in the bar: what is finished first.
var shown = []store.State{
	store.StateDone, store.StateExceptions, store.StateSkipped, store.StateWaiting, store.StateRunning, store.StateQueued,
	store.StateAttention, store.StateFailed, store.StateCancelled, store.StateRolledBack, store.StateNone,
}

func (s *server) tally(ctx context.Context, o *overview) error {
	states, err := s.Store.States(ctx)
	if err != nil {
		return err
	}
	in := map[store.State]int{}
	for _, t := range states {
		in[store.State(t.Word)] = t.Projects
		o.Total += t.Projects
	}
	x := 0.0
	for _, st := range shown {
		n := in[st]
		if n == 0 {
			continue
		}
		width := chartWidth * float64(n) / float64(o.Total)
		o.Segments = append(o.Segments, segment{st, store.BandOf(st), n, x, width, "/projects?state=" + url.QueryEscape(string(st))})
		x += width
		switch store.BandOf(st) {
		case store.BandDone:
			o.Done += n
		case store.BandAttention, store.BandFailed:
			o.Stopped += n
		}
	}
	o.Percent = "0"
	if o.Total > 0 {
		// Rounded down: 100 % is when all are done.
		o.Percent = fmt.Sprint(o.Done * 100 / o.Total)
	}
	return nil
}

func (s *server) charts(ctx context.Context, o *overview) error {
	for _, c := range ranges {
		link := "/"
		if c.code != "" {
			link = "/?range=" + c.code
		}
		o.Ranges = append(o.Ranges, choice{c.name, link, c.code == o.Range})
	}
	began, err := s.Store.Began(ctx)
	if err != nil || began == nil {
		return err
	}
	begin := *began
	for _, c := range ranges {
		if from := time.Now().Add(-c.back); c.code == o.Range && c.back > 0 && from.After(begin) {
			begin = from.Truncate(time.Minute)
		}
	}
	h, err := s.past.since(ctx, begin)
	if err != nil {
		return err
	}
	for i := range h.Slots {
		o.Images += h.Images[i]
		o.Bytes += h.Bytes[i]
	}
	now := time.Now()
	o.Forecast = predict(o.Total, h.In[store.BandDone], h.Begin, h.Slot, now)
	o.Charts = []chart{
		stateChart(h, o.Total),
		burnDown(h, o.Total, o.Forecast, now),
		bars("finished", "Finished projects", "band-done", h.span, h.Finished, axis, func(n int) string { return plural(n, "project", "projects") }),
		bars("bytes", "Bytes copied", "ink-accent", h.span, h.Bytes, func(f float64) string { return size(int64(f)) }, size),
	}
	return nil
}

func (s *server) failures(ctx context.Context, o *overview) error {
	failures, err := s.Store.Failures(ctx)
	if err != nil {
		return err
	}
	for _, f := range failures {
		o.Failures = append(o.Failures, failure{f, "/projects?" + url.Values{"cause": {f.Reason}, "state": {string(f.State)}, "step": {string(f.Step)}}.Encode()})
	}
	waits, err := s.Store.Reasons(ctx, store.StateWaiting)
	for _, t := range waits {
		o.Waits = append(o.Waits, wait{t.Word, t.Projects, "/projects?state=waiting&cause=" + url.QueryEscape(t.Word)})
	}
	return err
}

func (s *server) machine(ctx context.Context, o *overview) error {
	var err error
	if o.Budget.Used, o.Budget.Free, err = s.Store.PipelineStarts(ctx); err != nil {
		return err
	}
	if o.Budget.Limit = s.PipelinesPerHour; o.Budget.Limit > 0 {
		o.Budget.Share = min(100, 100*float64(o.Budget.Used)/float64(o.Budget.Limit))
	}
	workers, err := s.Store.Workers(ctx)
	if err != nil {
		return err
	}
	now, err := s.Store.Now(ctx)
	if err != nil {
		return err
	}
	for _, w := range workers {
		o.Workers = append(o.Workers, worker{w, now.Sub(w.SeenAt) < s.Silence})
	}
	events, err := s.Store.Events(ctx, store.EventFilter{Limit: 12})
	if err != nil {
		return err
	}
	paths := map[int64]string{}
	for _, e := range slices.Backward(events) {
		if _, known := paths[e.ProjectID]; !known && e.ProjectID != 0 {
			p, err := s.Store.ProjectByID(ctx, e.ProjectID)
			if err != nil {
				return err
			}
			paths[e.ProjectID] = p.Path
		}
		o.Events = append(o.Events, happening{e, paths[e.ProjectID]})
	}
	return nil
}

// axis says a number on an axis.
func axis(f float64) string {
	if f != float64(int(f)) {
		return strings.TrimRight(fmt.Sprintf("%.1f", f), "0")
	}
	return count(int(f))
}
