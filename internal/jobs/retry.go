package jobs

import (
	"math/rand/v2"
	"runtime/debug"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// maxTries says how many tries in a row may fail before the step has failed.
// Transient causes get a good day with the pauses below, because GitLab and the
// registries have maintenance windows; a cause that nobody has classified gets
// few, because an unknown error should stop the line.
var maxTries = map[fault.Class]int{fault.Transient: 60, fault.Unclassified: 4}

const (
	firstPause = 2 * time.Second
	maxPause   = 30 * time.Minute
)

// backoff returns the pause before the next try after n failures in a row, the
// first of which is followed by first, and whether there is to be one. The far
// side's hint is a lower bound. A quarter of jitter keeps a thousand projects
// from coming back at the same second.
func backoff(class fault.Class, n int, first, hint time.Duration) (time.Duration, bool) {
	if n >= maxTries[class] {
		return 0, false
	}
	pause := min(first<<min(n-1, 20), maxPause)
	pause = max(pause, hint)
	return pause + rand.N(pause/4+1), true
}

// interval returns the pause before look n+1 of a wait: it grows by half from
// first to longest.
func interval(n int, first, longest time.Duration) time.Duration {
	d := first
	for range n {
		if d += d / 2; d >= longest {
			return longest
		}
	}
	return d
}

// streak is what came right before the present try of a step.
type streak struct {
	waits    []look // the latest first
	failures int    // failures in a row; lost tries count, interrupted ones do not
}

// look is an earlier try that ended with a wait.
type look struct {
	reason string
	at     time.Time
}

// streakOf reads the streak before try from the tries of a migration, oldest first.
func streakOf(tries []store.Step, try store.Step) streak {
	var s streak
	counting := true
	for i := len(tries) - 1; i >= 0; i-- {
		t := tries[i]
		if t.Name != try.Name || t.ID >= try.ID {
			continue
		}
		switch t.Outcome {
		case store.OutcomeWaiting:
			counting = false
			s.waits = append(s.waits, look{t.Reason, t.StartedAt})
		case store.OutcomeRetry, store.OutcomeLost:
			if counting {
				s.failures++
			}
		}
	}
	return s
}

// looks counts the looks of the present wait: one that another wait came
// between begins anew, so that a deadline counts only what it is about.
func (s streak) looks(reason string) int {
	for n, l := range s.waits {
		if l.reason != reason {
			return n
		}
	}
	return len(s.waits)
}

func (s streak) waitingSince(reason string, now time.Time) time.Time {
	if n := s.looks(reason); n > 0 {
		return s.waits[n-1].at
	}
	return now
}

func stack() string { return string(debug.Stack()) }

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
