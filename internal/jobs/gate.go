package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/calendar"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// The reasons for which a gate sends a job away; they stand in migrations.reason.
const (
	gateIntake  = "intake-paused"
	gateProject = "project-paused"
	gateHours   = "outside-hours"
	gateFrozen  = "frozen"
)

var gated = []string{gateIntake, gateProject, gateHours, gateFrozen}

// Gated says whether a migration's reason is that it may not begin, or go on,
// for now: the intake is paused, somebody paused the project, or it is outside
// the hours.
func Gated(reason string) bool {
	for _, g := range gated {
		if reason == g {
			return true
		}
	}
	return false
}

// lookAgain is the longest pause between two looks of a job that a gate sent
// away. Resuming wakes it at once; the pause is for hours and lists that changed,
// and for a job whose going to sleep the resuming just missed.
const lookAgain = 5 * time.Minute

// closed is why a step may not begin now.
type closed struct {
	reason, message, next string
	until                 time.Time // zero: not known
}

// pause returns how long the job sleeps: a thousand of them do not come back at
// the same second.
func (c *closed) pause(now time.Time) time.Duration {
	pause := lookAgain
	if !c.until.IsZero() {
		pause = min(pause, max(c.until.Sub(now), time.Second))
	}
	return pause + rand.N(pause/10+1)
}

// begun says whether something may have been written for the migration: then
// only a hold on its project stops it. Discover writes nothing, so between it
// and configure a project still counts as not begun.
func begun(step store.StepName) bool {
	return step != store.StepDiscover && step != store.StepConfigure
}

// gate says why the step may not begin now, nil when it may. A rollback passes:
// it is ordered for a project by somebody who wants it now.
func (r *Runner) gate(ctx context.Context, tx *store.Store, m store.Migration, p store.Project) (*closed, error) {
	if m.Kind == store.Rollback {
		return nil, nil
	}
	hold, err := tx.HoldOf(ctx, p.ID)
	if err == nil {
		return held(hold), nil
	}
	if !errors.Is(err, store.ErrNotFound) || begun(m.Step) {
		return nil, ignoreNotFound(err)
	}
	var policy Policy
	if err := json.Unmarshal(m.Policy, &policy); err != nil || policy.Now {
		return nil, nil // the step says what is wrong with the policy
	}
	intake, err := tx.Intake(ctx)
	if err != nil {
		return nil, err
	}
	if intake.Paused {
		return &closed{
			reason: gateIntake, message: "the intake is paused: " + intake.Message,
			next: "see to the cause, then enqueue resume",
		}, nil
	}
	if c, err := frozen(ctx, tx, p.Path); c != nil || err != nil {
		return c, err
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return nil, err
	}
	return calendared(r.Calendar.Look(now, p.Path)), nil
}

func held(h store.Hold) *closed {
	c := &closed{reason: gateProject, message: "paused by " + h.Actor, next: "enqueue resume " + h.Path + ", when it may go on"}
	if h.Until != nil {
		c.until = *h.Until
		c.message += " until " + h.Until.UTC().Format(time.DateTime) + " UTC"
	}
	if h.Note != "" {
		c.message += ": " + h.Note
	}
	return c
}

func calendared(c *calendar.Closed) *closed {
	if c == nil {
		return nil
	}
	out := &closed{reason: c.Reason, message: c.Message, until: c.Until, next: "nothing; it begins by itself"}
	if c.Until.IsZero() {
		out.next = "take it off the freeze list, when it may begin"
	}
	return out
}

func ignoreNotFound(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// sentAway is the error by which begin says that a gate is closed.
type sentAway struct {
	why   string
	pause time.Duration
}

func (s *sentAway) Error() string { return s.why }

// turnAway writes into the migration why it does not begin its step, and when it
// looks again.
func turnAway(ctx context.Context, tx *store.Store, m store.Migration, c *closed) (*sentAway, error) {
	now, err := tx.Now(ctx)
	if err != nil {
		return nil, err
	}
	pause := c.pause(now)
	look := now.Add(pause)
	// What has not begun is still in the queue; what has waits.
	m.State = store.StateQueued
	if begun(m.Step) {
		m.State = store.StateWaiting
	}
	m.Reason, m.Message, m.NextAction, m.WaitingFor, m.NextLookAt = c.reason, c.message, c.next, c.message, &look
	if _, err := tx.SaveMigration(ctx, m); err != nil {
		return nil, err
	}
	return &sentAway{why: fmt.Sprintf("%s: %s", c.reason, c.message), pause: pause}, nil
}
