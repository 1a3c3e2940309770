package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
	"gitlab.sikt.no/platon/ecrferry/reports"
)

// project is the body of a project's page: one attempt of it in full, and what
// is known of the others.
type project struct {
	store.Project
	Link     string
	State    store.State
	Current  store.Migration // the latest attempt; ID 0: never enqueued
	Shown    store.Migration // the one that the page shows
	Old      bool            // Shown is not the latest
	Attempts []attempt

	Stages   []stage
	Tries    []tries
	Images   []store.Image
	Tally    []imageTally
	Findings []store.Finding
	Evidence []store.Evidence
	Files    []file
	Events   []store.Event

	Commit string      // its page in GitLab
	Hold   *store.Hold // nil: nobody has paused it
	// Compared sets the shown attempt beside another one; nil: nobody asked.
	Compared *reports.Comparison
	// Copying is how far the copy is that runs now; nil: none does.
	Copying *store.Copying
	Acts    []act
}

type attempt struct {
	store.Migration
	Link   string
	Chosen bool
	// Beside is where it is compared with the shown one.
	Beside string
}

// stage is a step on the way: what became of it in this attempt.
type stage struct {
	Name  store.StepName
	Class string // done, here, waiting, attention, failed, before (in an earlier attempt), ahead
	Said  string
	Tries int
	Took  time.Duration
}

// tries are tries of a step in a row with the same outcome.
type tries struct {
	store.Step        // the last of them
	From, To   int    // the numbers of the tries
	Said       string // error or reason
	Worked     time.Duration
}

type imageTally struct {
	State  store.ImageState
	Images int
	Bytes  int64
}

// Blob is where GitLab shows a line of a file as the rewrite found it.
func (p *project) Blob(path string, line int) string {
	if p.WebURL == "" || path == "" {
		return ""
	}
	ref := p.Shown.BaseSHA
	if ref == "" {
		ref = p.DefaultBranch
	}
	var parts []string
	for part := range strings.SplitSeq(path, "/") {
		parts = append(parts, url.PathEscape(part))
	}
	link := p.WebURL + "/-/blob/" + url.PathEscape(ref) + "/" + strings.Join(parts, "/")
	if line > 0 {
		link += "#L" + strconv.Itoa(line)
	}
	return link
}

// projectLink is the address of a project's page.
func projectLink(path string) string { return (&url.URL{Path: "/projects/" + path}).String() }

func (s *server) project(r *http.Request, f *frame) error {
	p, err := s.Store.Project(r.Context(), strings.Trim(r.PathValue("path"), "/"))
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(r.FormValue("attempt"))
	if r.FormValue("attempt") != "" && (err != nil || number < 1) {
		return fmt.Errorf("%w: there is no attempt %q", errWrongUse, r.FormValue("attempt"))
	}
	if err := s.fillProject(r.Context(), f, p, number); err != nil || r.FormValue("beside") == "" {
		return err
	}
	return s.compare(r, f.Body.(*project))
}

// compare sets the shown attempt beside another one, the earlier one first.
func (s *server) compare(r *http.Request, b *project) error {
	other, err := strconv.Atoi(r.FormValue("beside"))
	if err != nil || other < 1 || other == b.Shown.Attempt {
		return fmt.Errorf("%w: attempt %d can't be compared with %q", errWrongUse, b.Shown.Attempt, r.FormValue("beside"))
	}
	c, err := reports.GatherComparison(r.Context(), s.Store, b.Path, min(other, b.Shown.Attempt), max(other, b.Shown.Attempt))
	_, one := errors.AsType[*reports.OneAttemptError](err)
	if _, none := errors.AsType[*reports.NoAttemptError](err); one || none {
		return fmt.Errorf("%w: %v", errWrongUse, err)
	}
	b.Compared = &c
	return err
}

// fillProject makes the page of a project, showing one attempt; 0 is the latest.
func (s *server) fillProject(ctx context.Context, f *frame, p store.Project, number int) error {
	f.Page, f.Title, f.Here = "project", p.Path, "projects"
	if err := s.alive(ctx, f, p.ID); err != nil {
		return err
	}
	b := &project{Project: p, Link: projectLink(p.Path), State: store.StateNone}
	f.Body = b
	migrations, err := s.Store.Migrations(ctx, p.ID)
	if err != nil {
		return err
	}
	if b.Events, err = s.Store.Events(ctx, store.EventFilter{ProjectID: p.ID, Limit: 200}); err != nil {
		return err
	}
	slices.Reverse(b.Events)
	if len(migrations) > 0 {
		b.Current, b.Shown = migrations[0], migrations[0]
		b.State = b.Current.State
		if b.Current.Kind == store.Rollback && (b.State == store.StateDone || b.State == store.StateExceptions) {
			b.State = store.StateRolledBack
		}
		if number > 0 {
			i := slices.IndexFunc(migrations, func(m store.Migration) bool { return m.Attempt == number })
			if i < 0 {
				return fmt.Errorf("%w: the project has no attempt %d", errWrongUse, number)
			}
			b.Shown, b.Old = migrations[i], i > 0
		}
		for _, m := range migrations {
			a := attempt{Migration: m, Link: b.Link + "?attempt=" + strconv.Itoa(m.Attempt), Chosen: m.ID == b.Shown.ID}
			a.Beside = fmt.Sprintf("%s?attempt=%d&beside=%d#compared", b.Link, b.Shown.Attempt, m.Attempt)
			b.Attempts = append(b.Attempts, a)
		}
		if err := s.fillAttempt(ctx, b); err != nil {
			return err
		}
		if c, err := s.Store.Copying(ctx, b.Current.ID); err == nil && c.EndedAt == nil && b.Current.State.Active() {
			b.Copying = &c
		} else if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	hold, err := s.Store.HoldOf(ctx, p.ID)
	if err == nil {
		b.Hold = &hold
	} else if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return s.offer(ctx, f.Person, b)
}

// fillAttempt adds what the shown attempt did and found.
func (s *server) fillAttempt(ctx context.Context, b *project) error {
	id := b.Shown.ID
	steps, err := s.Store.Steps(ctx, id)
	if err != nil {
		return err
	}
	b.Stages, b.Tries = stages(b.Shown, steps), inRows(steps)
	if b.Images, err = s.Store.Images(ctx, id); err != nil {
		return err
	}
	b.Tally = tallyImages(b.Images)
	if b.Findings, err = s.Store.Findings(ctx, id); err != nil {
		return err
	}
	if b.Evidence, err = s.Store.Evidence(ctx, id); err != nil {
		return err
	}
	changes, err := s.Store.Changes(ctx, id)
	if err != nil {
		return err
	}
	b.Files = s.diffs(changes)
	if b.Shown.CommitSHA != "" && b.WebURL != "" {
		b.Commit = b.WebURL + "/-/commit/" + b.Shown.CommitSHA
	}
	return nil
}

// stages says for each step of a migration what became of it.
func stages(m store.Migration, steps []store.Step) []stage {
	order := m.Kind.Order()
	at := slices.Index(order, m.Step)
	if m.Step == store.StepDone {
		at = len(order)
	}
	var out []stage
	for i, name := range order {
		st := stage{Name: name}
		for _, t := range steps {
			if t.Name != name {
				continue
			}
			st.Tries++
			if t.Duration != nil {
				st.Took += *t.Duration
			}
		}
		switch {
		case i < at && st.Tries == 0 && m.State == store.StateSkipped:
			st.Class, st.Said = "ahead", "not needed"
		case i < at && st.Tries == 0:
			st.Class, st.Said = "before", "from an earlier attempt"
		case i < at:
			st.Class, st.Said = "done", "done"
		case i > at:
			st.Class, st.Said = "ahead", "to come"
			if !m.State.Active() {
				st.Said = "not reached"
			}
		default:
			st.Class, st.Said = "here", string(m.State)
			switch m.State {
			case store.StateWaiting, store.StateAttention, store.StateFailed:
				st.Class, st.Said = string(m.State), stateWord(m.State)
			case store.StateCancelled:
				st.Class = "ahead"
			}
		}
		out = append(out, st)
	}
	return out
}

// inRows puts tries of the same step and outcome together that follow each
// other: a wait of days is a line, and not a hundred.
func inRows(steps []store.Step) []tries {
	var out []tries
	for _, st := range steps {
		said := st.Error
		if said == "" {
			said = st.Reason
		}
		worked := time.Duration(0)
		if st.Duration != nil {
			worked = *st.Duration
		}
		if n := len(out); n > 0 && out[n-1].Name == st.Name && out[n-1].Outcome == st.Outcome && out[n-1].Said == said {
			last := &out[n-1]
			began := last.StartedAt
			last.Step, last.To, last.Worked = st, st.Try, last.Worked+worked
			last.StartedAt = began
			continue
		}
		out = append(out, tries{Step: st, From: st.Try, To: st.Try, Said: said, Worked: worked})
	}
	return out
}

func tallyImages(images []store.Image) []imageTally {
	var out []imageTally
	for _, st := range []store.ImageState{
		store.ImageConflict, store.ImageCollision, store.ImageInvalid, store.ImageFailed, store.ImageGone,
		store.ImagePlanned, store.ImageCopied, store.ImagePresent, store.ImageLeftOut,
	} {
		t := imageTally{State: st}
		for _, i := range images {
			if i.State == st {
				t.Images++
				t.Bytes += i.Bytes
			}
		}
		if t.Images > 0 {
			out = append(out, t)
		}
	}
	return out
}
