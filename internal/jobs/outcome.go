package jobs

import (
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// verdict is the kind of an outcome.
type verdict int

const (
	done verdict = iota
	wait
	stop
)

// Outcome is what a step found out and did: the runner turns it into rows and
// into what happens next. Build one with Done, Wait, Attention, Stop.
type Outcome struct {
	verdict verdict
	// then is the step that follows when verdict is done; "" for the next in order.
	then store.StepName
	// state is the migration's final state when verdict is stop.
	state store.State

	// Message says in one sentence what is; Next what happens or is to be done
	// next; Reason is a short code for grouping.
	Message, Next, Reason string

	// For names what is waited for, Within how long from the first wait (0: for
	// ever) and Every fixes the interval (0: growing with the time waited).
	For    string
	Within time.Duration
	Every  time.Duration

	// Findings and Evidence replace those of this step when not nil.
	Findings []store.Finding
	Evidence []store.Evidence
	// Result is kept with the try, as JSON.
	Result any
}

// Done ends the step: the next one is enqueued.
func Done(message string) Outcome { return Outcome{verdict: done, Message: message} }

// Back ends the step and goes on at an earlier one.
func Back(step store.StepName, message string) Outcome {
	return Outcome{verdict: done, then: step, Message: message}
}

// Wait snoozes the step until something outside has happened.
func Wait(what string, within time.Duration) Outcome {
	return Outcome{verdict: wait, For: what, Within: within, Message: "waiting for " + what}
}

// Attention ends the migration: a human has to act before it can go on.
func Attention(reason, message, next string) Outcome {
	return Outcome{verdict: stop, state: store.StateAttention, Reason: reason, Message: message, Next: next}
}

// Failed ends the migration as failed.
func Failed(reason, message, next string) Outcome {
	return Outcome{verdict: stop, state: store.StateFailed, Reason: reason, Message: message, Next: next}
}

// Skipped ends the migration because there is nothing to migrate.
func Skipped(reason, message string) Outcome {
	return Outcome{verdict: stop, state: store.StateSkipped, Reason: reason, Message: message, Next: "nothing to do"}
}

// Finished ends the migration well. With exceptions, they are listed in its
// findings and images.
func Finished(message string, exceptions bool) Outcome {
	o := Outcome{verdict: stop, state: store.StateDone, Message: message, Next: "nothing to do"}
	if exceptions {
		o.state = store.StateExceptions
		o.Next = "read the exceptions"
	}
	return o
}
