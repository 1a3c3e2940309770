package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// act is something that an operator can do on a page.
type act struct {
	Code, Name string
	// Help says what will happen, Button what the button says.
	Help, Button string
	// Class is "plain", or "grave" for what takes something back or ends it.
	Class string
	// Pattern asks for project paths and a day, Patterns for one of those there are.
	Pattern  bool
	Patterns []option
	// From are the steps to choose from, when the act wants one.
	From []option
	// Project is what it is done to.
	Project int64
}

// said is what a page says after an act; only these words, because addresses
// can be made by anybody.
var said = map[string]string{
	"enqueue":  "The project is enqueued. A worker takes it within a moment.",
	"promote":  "Ordered. The worker plays the production job and then proves production.",
	"rollback": "The way back is enqueued: variables, files, pipeline, proof.",
	"cancel":   "Cancelled. What it had written stays as it is.",
	"hold":     "Paused: no further step of this project begins.",
	"release":  "The project goes on.",
	"pause":    "The intake is paused: projects that have not begun wait, those under way go on.",
	"resume":   "The intake is open again.",
	"freeze":   "It is on the freeze list: what has not begun does not begin, those under way go on.",
	"thaw":     "It is off the freeze list: what it kept begins at once.",
}

// longestWhy bounds a reason, in bytes.
const longestWhy = 1000

// offer finds out what can be done about a project now.
func (s *server) offer(ctx context.Context, who person, b *project) error {
	if s.Acts == nil || !who.CanAct() {
		return nil
	}
	m := b.Current
	if m.State == store.StateWaiting && m.Reason == "production" {
		a := act{Code: "promote", Name: "Promote", Class: "plain", Button: "Play production",
			Help: "Staging is proven. The worker plays the manual production job and proves that production runs from ECR."}
		if m.Kind == store.Rollback {
			a.Help = "Staging is back. The worker plays the manual production job and proves that production is back, too."
		}
		b.Acts = append(b.Acts, a)
	}
	if !m.State.Active() {
		from := []option{{"", "where it stopped", true}}
		for _, step := range store.StepOrder {
			name := "from " + string(step)
			if step == store.StepDiscover {
				name = "from the beginning"
			}
			if m.ID != 0 || step == store.StepDiscover {
				from = append(from, option{string(step), name, false})
			}
		}
		a := act{Code: "enqueue", Name: "Re-enqueue", Class: "plain", Button: "Enqueue", From: from,
			Help: "Starts the next attempt. What is done already is found and not done twice."}
		if m.ID == 0 {
			a.Name, a.From = "Enqueue", from[1:]
		}
		b.Acts = append(b.Acts, a)
	} else {
		b.Acts = append(b.Acts, act{Code: "cancel", Name: "Cancel", Class: "grave", Button: "Cancel this attempt",
			Help: "Ends the attempt. What it has written to the project and to ECR stays."})
	}
	if m.State != store.StateRunning && m.State != store.StateQueued {
		written, err := s.Store.Inverses(ctx, b.ID)
		if err != nil {
			return err
		}
		variables, err := s.Store.Variables(ctx, b.ID)
		if err != nil {
			return err
		}
		if len(written)+len(variables) > 0 {
			b.Acts = append(b.Acts, act{Code: "rollback", Name: "Roll back", Class: "grave", Button: "Roll back",
				Help: fmt.Sprintf("Brings back %s and %s, runs the pipeline and proves the old state. It stops where others have changed the same lines since.",
					plural(len(written), "file", "files"), plural(len(variables), "CI/CD variable", "CI/CD variables"))})
		}
	}
	if b.Hold != nil {
		b.Acts = append(b.Acts, act{Code: "release", Name: "Resume", Class: "plain", Button: "Resume this project",
			Help: "The project goes on at once, from where it was paused."})
	} else if m.State.Active() {
		b.Acts = append(b.Acts, act{Code: "hold", Name: "Pause", Class: "plain", Button: "Pause this project",
			Help: "The step at work ends; no further step begins until somebody resumes the project."})
	}
	for i := range b.Acts {
		b.Acts[i].Project = b.ID
	}
	return nil
}

// offerIntake is what can be done about the intake now.
func (s *server) offerIntake(who person, in store.Intake, frozen []store.Freeze) []act {
	if s.Acts == nil || !who.CanAct() {
		return nil
	}
	out := []act{{Code: "pause", Name: "Pause the intake", Class: "grave", Button: "Pause",
		Help: "Projects that have not begun wait until somebody resumes the intake. Those under way go on."}}
	if in.Paused {
		out = []act{{Code: "resume", Name: "Resume the intake", Class: "plain", Button: "Resume",
			Help: "Projects that wait for it begin at once, and the failures so far count no more. Write down what was found."}}
	}
	out = append(out, act{Code: "freeze", Name: "Freeze projects", Class: "plain", Button: "Freeze", Pattern: true,
		Help: "Those that match do not begin, until the day or until somebody takes the pattern off. Those under way go on."})
	if len(frozen) > 0 {
		a := act{Code: "thaw", Name: "Unfreeze projects", Class: "plain", Button: "Take it off", Help: "What the pattern kept begins at once."}
		for _, f := range frozen {
			a.Patterns = append(a.Patterns, option{Value: f.Pattern, Name: f.Pattern})
		}
		out = append(out, a)
	}
	return out
}

// act follows an order: it checks who asks, from which form, and why, and shows
// the page on which the outcome is to be seen.
func (s *server) act() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		r = r.WithContext(ctx)
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		who := personOf(r)
		why := strings.TrimSpace(r.PostFormValue("why"))
		switch {
		case !ownForm(r):
			s.refuse(w, r, http.StatusForbidden, "Refused", "The form does not belong to this browser. Load the page again and send it from there.")
			return
		case !who.CanAct():
			s.refuse(w, r, http.StatusForbidden, "Reading only", fmt.Sprintf("%s may read, but not act: that needs the role operator.", who.Name))
			return
		case s.Acts == nil:
			s.refuse(w, r, http.StatusNotImplemented, "Reading only", "This process only shows what is; act through another worker or with enqueue.")
			return
		case why == "" || len(why) > longestWhy:
			s.refuse(w, r, http.StatusBadRequest, "Say why", fmt.Sprintf("Every act is kept with its reason: write one, of at most %d letters.", longestWhy))
			return
		}
		order := Order{Actor: who.Name + "@dashboard", Why: why}
		var err error
		switch code := r.PathValue("act"); code {
		case "pause", "resume", "freeze", "thaw":
			err = s.actOnIntake(w, r, code, order)
		default:
			err = s.actOnProject(w, r, code, order)
		}
		if err != nil {
			s.show(w, r, s.frame(w, r), err)
		}
	})
}

// actOnIntake follows an order about what may begin.
func (s *server) actOnIntake(w http.ResponseWriter, r *http.Request, code string, order Order) error {
	pattern := strings.TrimSpace(r.PostFormValue("pattern"))
	var err error
	switch code {
	case "pause":
		err = s.Acts.Pause(r.Context(), order)
	case "resume":
		err = s.Acts.Resume(r.Context(), order)
	case "freeze":
		var until *time.Time
		if day := r.PostFormValue("until"); day != "" {
			at, err := time.ParseInLocation(time.DateOnly, day, time.Local)
			if err != nil || at.Before(time.Now()) {
				return fmt.Errorf("%w: a freeze ends on a day to come, such as %s, and not on %q", errWrongUse, time.Now().AddDate(0, 1, 0).Format(time.DateOnly), day)
			}
			until = &at
		}
		err = s.Acts.Freeze(r.Context(), order, pattern, until)
	case "thaw":
		err = s.Acts.Thaw(r.Context(), order, pattern)
	}
	s.Log.InfoContext(r.Context(), "order", "act", code, "pattern", pattern, "actor", order.Actor, "why", order.Why, "error", fmt.Sprint(err))
	if refused, ok := errors.AsType[*Refusal](err); ok {
		f := s.frame(w, r)
		err := s.overview(r, f)
		f.Refused, f.Status = refused.Text, http.StatusConflict
		s.show(w, r, f, err)
		return nil
	}
	if err == nil {
		http.Redirect(w, r, "/?did="+code, http.StatusSeeOther)
	}
	return err
}

// actOnProject follows an order about a project. A refusal is shown on the
// project's page, where one sees how things stand.
func (s *server) actOnProject(w http.ResponseWriter, r *http.Request, code string, order Order) error {
	ctx := r.Context()
	id, err := strconv.ParseInt(r.PostFormValue("project"), 10, 64)
	if err != nil {
		return fmt.Errorf("%w: the form names no project", errWrongUse)
	}
	p, err := s.Store.ProjectByID(ctx, id)
	if err != nil {
		return err
	}
	switch code {
	case "enqueue":
		from := store.StepName(r.PostFormValue("from"))
		if from != "" && !slices.Contains(store.StepOrder, from) {
			return fmt.Errorf("%w: no migration begins at %q", errWrongUse, from)
		}
		err = s.Acts.Enqueue(ctx, order, p, from)
	case "promote":
		err = s.Acts.Promote(ctx, order, p)
	case "rollback":
		err = s.Acts.Rollback(ctx, order, p)
	case "cancel":
		err = s.Acts.Cancel(ctx, order, p)
	case "hold":
		err = s.Acts.Hold(ctx, order, p)
	case "release":
		err = s.Acts.Release(ctx, order, p)
	default:
		return errNotHere
	}
	s.Log.InfoContext(ctx, "order", "act", code, "actor", order.Actor, "project", p.Path, "why", order.Why, "error", fmt.Sprint(err))
	if refused, ok := errors.AsType[*Refusal](err); ok {
		f := s.frame(w, r)
		err := s.fillProject(ctx, f, p, 0)
		f.Refused, f.Status = refused.Text, http.StatusConflict
		s.show(w, r, f, err)
		return nil
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, projectLink(p.Path)+"?did="+code, http.StatusSeeOther)
	return nil
}

// jobs is River UI behind our login: reading for everybody, acting for
// operators, and each act an event, though one that can't be asked why.
func (s *server) jobs() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", jobsPolicy)
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			who := personOf(r)
			if !who.CanAct() {
				http.Error(w, `{"message":"this needs the role operator"}`, http.StatusForbidden)
				return
			}
			err := s.Store.AddEvents(r.Context(), store.Event{
				Actor: who.Name + "@dashboard", Kind: "river-ui", Detail: r.Method + " " + strings.TrimPrefix(r.URL.Path, JobsPrefix),
			})
			if err != nil {
				s.Log.ErrorContext(r.Context(), "an act in River UI could not be recorded", "error", err.Error())
				http.Error(w, `{"message":"the act could not be recorded, so it was not done"}`, http.StatusServiceUnavailable)
				return
			}
		}
		s.Jobs.ServeHTTP(w, r)
	})
}
