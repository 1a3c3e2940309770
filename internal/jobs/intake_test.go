package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"gitlab.sikt.no/platon/ecrferry/internal/calendar"
	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/postgres/postgrestest"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// stepFunc is a step whose effect the test chooses; the bookkeeping, the queue
// and the database around it are the real ones.
type stepFunc func(ctx context.Context, t *Task) (Outcome, error)

func (f stepFunc) Run(ctx context.Context, t *Task) (Outcome, error) { return f(ctx, t) }

// line is a fleet whose steps end as the test says, on real River and Postgres.
type line struct {
	*testing.T
	pool     *pgxpool.Pool
	store    *store.Store
	enqueuer *Enqueuer
	led      bool // somebody else does River's maintenance
}

func newLine(t *testing.T, projects int) *line {
	t.Helper()
	pool := postgrestest.New(t)
	st := store.New(pool)
	var rows []store.Project
	for i := range projects {
		rows = append(rows, store.Project{ID: int64(i + 1), Path: fmt.Sprintf("kurs/p%02d", i+1), DefaultBranch: "main"})
	}
	if err := st.UpsertProjects(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	inserter, err := NewInserter(pool, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return &line{T: t, pool: pool, store: st, enqueuer: &Enqueuer{Store: st, River: inserter}}
}

// start sets a worker process of its own to work: steps is what they do, by name.
func (l *line) start(cal calendar.Calendar, steps map[store.StepName]stepFunc) {
	l.Helper()
	name := workerName()
	log := slog.New(slog.NewTextHandler(l.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	lease := &Lease{Store: l.store, Worker: name, After: time.Minute, Log: log}
	r := &Runner{Store: l.store, Worker: name, Log: log, Poll: 20 * time.Millisecond, PollMax: 50 * time.Millisecond, Lease: lease, Calendar: cal}
	workers := river.NewWorkers()
	step := func(s store.StepName) Step {
		if f, ok := steps[s]; ok {
			return f
		}
		return stepFunc(func(context.Context, *Task) (Outcome, error) { return Done("done"), nil })
	}
	add[DiscoverArgs](workers, r, store.StepDiscover, step(store.StepDiscover))
	add[ConfigureArgs](workers, r, store.StepConfigure, step(store.StepConfigure))
	add[CopyArgs](workers, r, store.StepCopy, step(store.StepCopy))
	add[RewriteArgs](workers, r, store.StepRewrite, step(store.StepRewrite))
	add[PipelineArgs](workers, r, store.StepPipeline, step(store.StepPipeline))
	add[VerifyArgs](workers, r, store.StepVerify, step(store.StepVerify))
	client, err := river.NewClient(riverpgxv5.New(l.pool), &river.Config{
		ID: name, Schema: Schema, Workers: workers, Logger: log, FetchPollInterval: 100 * time.Millisecond,
		LeaderElectionDisabled: l.led,
		SkipUnknownJobCheck:    true, // what is kept of a finished project is another's work
		Queues:                 map[string]river.QueueConfig{QueueSteps: {MaxWorkers: 4}, QueueCopy: {MaxWorkers: 4}},
	})
	if err != nil {
		l.Fatal(err)
	}
	if err := client.Start(context.WithoutCancel(l.Context())); err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := client.Stop(ctx); err != nil {
			l.Errorf("stopping: %v", err)
		}
	})
}

// enqueue enrols all projects in a run, as the inventory does.
func (l *line) enqueue(run store.Run) store.Run {
	l.Helper()
	run.Kind, run.Actor = store.KindAll, "tester"
	run, err := l.store.CreateRun(l.Context(), run)
	if err != nil {
		l.Fatal(err)
	}
	ps, err := l.store.Projects(l.Context(), store.Selection{})
	if err != nil {
		l.Fatal(err)
	}
	err = l.store.InTx(l.Context(), func(ctx context.Context, tx *store.Store) error {
		for _, p := range ps {
			if _, err := enrollOne(ctx, tx, l.enqueuer.River, p, run, false); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		l.Fatal(err)
	}
	return run
}

func (l *line) order(note string) Order { return Order{Actor: "kari", Note: note} }

// await polls until ok, with a bound that only a hang reaches.
func (l *line) await(what string, ok func([]store.Status) bool) []store.Status {
	l.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		rows, err := l.store.Status(l.Context(), store.StatusFilter{})
		if err != nil {
			l.Fatal(err)
		}
		if ok(rows) {
			return rows
		}
		if time.Now().After(end) {
			for _, r := range rows {
				l.Logf("%s %s at %s: %s %s", r.Path, r.State, r.Step, r.Reason, r.Why)
			}
			l.Fatalf("waited for %s", what)
		}
	}
}

func all(want func(store.Status) bool) func([]store.Status) bool {
	return func(rows []store.Status) bool {
		for _, r := range rows {
			if !want(r) {
				return false
			}
		}
		return true
	}
}

func isDone(r store.Status) bool { return r.State == store.StateDone }

func waitsAt(reason string) func(store.Status) bool {
	return func(r store.Status) bool {
		return r.State == store.StateQueued && r.Reason == reason && r.NextLookAt != nil && r.StartedAt == nil
	}
}

// TestPauseAndResume closes the intake before anything begins, for two workers,
// and opens it again.
func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	l := newLine(t, 5)
	if _, err := l.enqueuer.Pause(t.Context(), l.order("GitLab is down")); err != nil {
		t.Fatal(err)
	}
	if _, err := l.enqueuer.Pause(t.Context(), l.order("")); !errors.Is(err, ErrPaused) {
		t.Errorf("pausing twice: %v", err)
	}
	var steps atomic.Int64
	count := stepFunc(func(context.Context, *Task) (Outcome, error) { steps.Add(1); return Done("done"), nil })
	l.enqueue(store.Run{})
	for range 2 {
		l.start(calendar.Calendar{}, map[store.StepName]stepFunc{store.StepDiscover: count})
	}
	rows := l.await("all projects to be sent away", all(waitsAt("intake-paused")))
	if got, want := rows[0].Why, "the intake is paused: paused by kari: GitLab is down"; got != want {
		t.Errorf("why: %q, want %q", got, want)
	}
	if n := steps.Load(); n != 0 {
		t.Errorf("%d steps ran although the intake is paused", n)
	}
	// Their jobs must sleep before they can be woken; only then is it sure that
	// the waking is what woke them.
	l.awaitAsleep(5)
	if _, err := l.enqueuer.Resume(t.Context(), l.order("")); err != nil {
		t.Fatal(err)
	}
	l.await("all projects to be done", all(isDone))
	if _, err := l.enqueuer.Resume(t.Context(), l.order("")); !errors.Is(err, ErrNotPaused) {
		t.Errorf("resuming twice: %v", err)
	}
	events, err := l.store.Events(t.Context(), store.EventFilter{})
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, e := range events {
		if e.Kind == "intake-paused" || e.Kind == "intake-resumed" {
			kinds = append(kinds, e.Kind+" by "+e.Actor)
		}
	}
	if fmt.Sprint(kinds) != "[intake-paused by kari intake-resumed by kari]" {
		t.Errorf("events: %v", kinds)
	}
}

func (l *line) awaitAsleep(n int) {
	l.Helper()
	l.await("jobs to sleep", func([]store.Status) bool {
		rows, _ := l.pool.Query(l.Context(), `SELECT count(*)::int FROM river.river_job WHERE state = 'scheduled'`)
		asleep, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[int])
		if err != nil {
			l.Fatal(err)
		}
		return asleep >= n
	})
}

// TestUnderWayGoesOn pauses the intake while projects are between two steps:
// those to which something may have been written go on.
func TestUnderWayGoesOn(t *testing.T) {
	t.Parallel()
	l := newLine(t, 2)
	l.start(calendar.Calendar{}, map[store.StepName]stepFunc{
		// The first project pauses the intake while it copies; the second waits
		// in discover until that has happened.
		store.StepDiscover: func(ctx context.Context, t *Task) (Outcome, error) {
			if t.Project.ID == 2 {
				if i, err := l.store.Intake(ctx); err != nil || !i.Paused {
					return Wait("the pause", 0), err
				}
			}
			return Done("done"), nil
		},
		store.StepCopy: func(ctx context.Context, _ *Task) (Outcome, error) {
			_, err := l.enqueuer.Pause(ctx, l.order("stop"))
			return Done("done"), err
		},
	})
	l.enqueue(store.Run{})
	rows := l.await("one done, one waiting", func(rows []store.Status) bool {
		return isDone(rows[0]) && rows[1].Reason == "intake-paused"
	})
	if rows[1].Step != store.StepDiscover && rows[1].Step != store.StepConfigure {
		t.Errorf("the second stopped at %s", rows[1].Step)
	}
}

// TestHold pauses one project in the middle of its way; the others pass it.
func TestHold(t *testing.T) {
	t.Parallel()
	l := newLine(t, 3)
	p := store.Project{ID: 2, Path: "kurs/p02"}
	l.start(calendar.Calendar{}, map[store.StepName]stepFunc{
		store.StepCopy: func(ctx context.Context, t *Task) (Outcome, error) {
			if t.Project.ID == p.ID {
				return Done("done"), l.enqueuer.Hold(ctx, l.order("the owners asked"), p, nil)
			}
			return Done("done"), nil
		},
	})
	l.enqueue(store.Run{})
	rows := l.await("the held one to wait and the others to be done", func(rows []store.Status) bool {
		return isDone(rows[0]) && isDone(rows[2]) && rows[1].State == store.StateWaiting && rows[1].Reason == "project-paused"
	})
	if rows[1].Step != store.StepRewrite || rows[1].WaitingFor != "paused by kari: the owners asked" {
		t.Errorf("the held one waits at %s for %q", rows[1].Step, rows[1].WaitingFor)
	}
	l.awaitAsleep(1)
	if err := l.enqueuer.Release(t.Context(), l.order(""), p); err != nil {
		t.Fatal(err)
	}
	l.await("all to be done", all(isDone))
	if err := l.enqueuer.Release(t.Context(), l.order(""), p); !errors.Is(err, ErrNotPaused) {
		t.Errorf("releasing twice: %v", err)
	}
}

// TestUnknownCauseStopsTheLine lets the first of many projects fail by a cause
// that nobody has classified, after something was written.
func TestUnknownCauseStopsTheLine(t *testing.T) {
	t.Parallel()
	l := newLine(t, 6)
	l.start(calendar.Calendar{}, map[store.StepName]stepFunc{
		store.StepDiscover: func(ctx context.Context, t *Task) (Outcome, error) {
			if t.Project.ID > 1 {
				if i, err := l.store.Intake(ctx); err != nil || i.Reason == "" {
					return Wait("the first to fail", 0), err
				}
			}
			return Done("done"), nil
		},
		store.StepRewrite: func(_ context.Context, t *Task) (Outcome, error) {
			if t.Project.ID == 1 {
				return Failed("unknown", "the cat sat on the runner", "look"), nil
			}
			return Done("done"), nil
		},
	})
	l.enqueue(store.Run{})
	l.await("the others to wait", func(rows []store.Status) bool {
		return rows[0].State == store.StateFailed && all(func(r store.Status) bool { return r.Reason == "intake-paused" })(rows[1:])
	})
	i, err := l.store.Intake(t.Context())
	if err != nil || i.Reason != "unknown-cause" {
		t.Fatalf("intake: %+v, %v", i, err)
	}
	if want := "kurs/p01 failed at step rewrite by a cause that nobody has seen before: the cat sat on the runner"; i.Message != want {
		t.Errorf("message %q, want %q", i.Message, want)
	}
	if _, err := l.enqueuer.Resume(t.Context(), l.order("")); !errors.Is(err, ErrNoteWanted) {
		t.Errorf("resuming without a note: %v", err)
	}
	l.awaitAsleep(5)
	if _, err := l.enqueuer.Resume(t.Context(), l.order("the cat is out")); err != nil {
		t.Fatal(err)
	}
	l.await("the others to be done", func(rows []store.Status) bool { return all(isDone)(rows[1:]) })
}

// TestBudget uses up the failures that a wave may have, by known causes, with two
// workers at once, and forgives them.
func TestBudget(t *testing.T) {
	t.Parallel()
	l := newLine(t, 8)
	for range 2 {
		l.start(calendar.Calendar{}, map[store.StepName]stepFunc{
			store.StepConfigure: func(ctx context.Context, t *Task) (Outcome, error) {
				// A finding before anything is written is no failure.
				if t.Project.ID == 8 {
					return Attention("update-configuration", "nobody has clicked it", "click it"), nil
				}
				// The last ones come late, so that the line can stop before them.
				if t.Project.ID > 4 {
					if i, err := l.store.Intake(ctx); err != nil || i.ResumedAt == nil {
						return Wait("the intake to be resumed", 0), err
					}
				}
				return Done("done"), nil
			},
			store.StepRewrite: func(_ context.Context, t *Task) (Outcome, error) {
				if t.Project.ID <= 2 {
					return Outcome{}, fault.New(fault.Permanent, "push-not-allowed", "refused")
				}
				return Done("done"), nil
			},
		})
	}
	run := l.enqueue(store.Run{Wave: "canary", Budget: store.Budget{Count: 2}})
	l.await("the line to stop", func([]store.Status) bool {
		i, err := l.store.Intake(t.Context())
		return err == nil && i.Paused
	})
	i, err := l.store.Intake(t.Context())
	if err != nil || i.Reason != "failure-count" || i.RunID != run.ID {
		t.Fatalf("intake: %+v, %v", i, err)
	}
	l.await("the last to wait for the intake", func(rows []store.Status) bool {
		return all(func(r store.Status) bool { return r.Reason == "intake-paused" })(rows[4:7])
	})
	w, err := l.store.Wave(t.Context(), run.ID)
	if err != nil || w.Name != "canary" || w.Failures != 2 || w.CountedFailures != 2 || w.Projects != 8 || w.NotBegun != 3 {
		t.Errorf("wave: %+v, %v", w, err)
	}
	l.awaitAsleep(3)
	if _, err := l.enqueuer.Resume(t.Context(), l.order("known owners")); err != nil {
		t.Fatal(err)
	}
	l.await("the last to be done", func(rows []store.Status) bool { return all(isDone)(rows[4:7]) })
	w, err = l.store.Wave(t.Context(), run.ID)
	if err != nil || w.Failures != 2 || w.CountedFailures != 0 {
		t.Errorf("wave after the resuming: %+v, %v", w, err)
	}
}

// TestHoursAndFreezes sends projects away outside the hours and those on the
// freeze list, but for one that was ordered to begin now.
func TestHoursAndFreezes(t *testing.T) {
	t.Parallel()
	l := newLine(t, 3)
	tomorrow := time.Now().UTC().AddDate(0, 0, 1)
	text := tomorrow.Format("Mon") + " 12:00-12:01"
	hours, err := calendar.ParseHours(text)
	if err != nil {
		t.Fatal(err)
	}
	freezes, err := calendar.ParseFreezes("kurs/p01 the owners left", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.enqueuer.Project(t.Context(), Order{Actor: "kari", Policy: Policy{Now: true}}, store.Project{ID: 3}, ""); err != nil {
		t.Fatal(err)
	}
	l.enqueue(store.Run{})
	l.start(calendar.Calendar{Hours: hours, Freezes: freezes, Text: text}, nil)
	rows := l.await("two to be sent away", func(rows []store.Status) bool {
		return waitsAt("frozen")(rows[0]) && waitsAt("outside-hours")(rows[1]) && isDone(rows[2])
	})
	if want := "kurs/p01 is on the freeze list (kurs/p01): the owners left"; rows[0].Why != want {
		t.Errorf("why: %q, want %q", rows[0].Why, want)
	}
}

// TestFreezeList freezes projects in the database, for two workers, and takes one
// pattern off again: its projects begin at once, the others stay.
func TestFreezeList(t *testing.T) {
	t.Parallel()
	l := newLine(t, 4)
	o := l.order("exams")
	for pattern, until := range map[string]*time.Time{"kurs/p01": nil, "Kurs/P0[12]": nil, "/kurs/*2": nil, "kurs/p03": new(time.Now().Add(time.Hour)), "kurs/p04": new(time.Now().Add(-time.Hour))} {
		if _, err := l.enqueuer.Freeze(t.Context(), o, pattern, until); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.enqueuer.Freeze(t.Context(), l.order(""), "kurs/**", nil); !errors.Is(err, ErrWhyWanted) {
		t.Errorf("without a reason: %v", err)
	}
	if before, err := l.enqueuer.Freeze(t.Context(), o, "kurs/p01", nil); err != nil || before == nil || before.Note != "exams" {
		t.Errorf("a second time: %+v, %v", before, err)
	}
	l.enqueue(store.Run{})
	for range 2 {
		l.start(calendar.Calendar{}, nil)
	}
	rows := l.await("three to be sent away", func(rows []store.Status) bool {
		return waitsAt("frozen")(rows[0]) && waitsAt("frozen")(rows[1]) && waitsAt("frozen")(rows[2]) && isDone(rows[3])
	})
	for i, want := range []string{"enqueue freeze remove 'kurs/p01'", "enqueue freeze remove 'kurs/*2'", "it begins by itself"} {
		if !strings.Contains(rows[i].Next, want) || !strings.Contains(rows[i].Why, o.Actor+")") || !strings.HasSuffix(rows[i].Why, ": exams") {
			t.Errorf("%s: %s; next %s; want %q", rows[i].Path, rows[i].Why, rows[i].Next, want)
		}
	}
	l.awaitAsleep(3)
	if err := l.enqueuer.Thaw(t.Context(), o, "kurs/p01"); err != nil {
		t.Fatal(err)
	}
	l.await("the one to begin", func(rows []store.Status) bool { return isDone(rows[0]) && waitsAt("frozen")(rows[1]) })
	if err := l.enqueuer.Thaw(t.Context(), o, "kurs/p01"); !errors.Is(err, ErrNotFrozen) {
		t.Errorf("a second time: %v", err)
	}
	list, err := l.store.Freezes(t.Context())
	if err != nil || len(list) != 3 {
		t.Errorf("the list: %+v, %v; want three without the one that ended", list, err)
	}
	for kind, want := range map[string]int{"freeze-added": 6, "freeze-removed": 1} {
		if es, err := l.store.Events(t.Context(), store.EventFilter{Kind: kind}); err != nil || len(es) != want {
			t.Errorf("%d events %s, %v; want %d", len(es), kind, err, want)
		}
	}
}

// TestLimitCountsThoseThatBegin orders two waves of two: what the first has
// taken uses up none of the second's.
func TestLimitCountsThoseThatBegin(t *testing.T) {
	t.Parallel()
	l := newLine(t, 5)
	for i, want := range []int{2, 2, 1, 0} {
		run, err := l.enqueuer.All(t.Context(), l.order(""), RunSelection{Selection: store.Selection{Limit: 2}, Wave: fmt.Sprint(i + 1)})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // a second try of the inventory takes no more
			if err := enroll(t.Context(), l.store, l.enqueuer.River, run.ID); err != nil {
				t.Fatal(err)
			}
			if run, err = l.store.Run(t.Context(), run.ID); err != nil || run.Enrolled != want {
				t.Errorf("wave %s: %d enrolled, %v, want %d", run.Wave, run.Enrolled, err, want)
			}
		}
	}
}
