package jobs

import (
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

func TestBackoff(t *testing.T) {
	t.Parallel()
	last := time.Duration(0)
	for n := 1; n < maxTries[fault.Transient]; n++ {
		pause, again := backoff(fault.Transient, n, firstPause, 0)
		if !again {
			t.Fatalf("transient: no try after %d failures", n)
		}
		if pause > maxPause+maxPause/4+1 {
			t.Errorf("after %d failures: pause %v is longer than allowed", n, pause)
		}
		if n < 5 && pause <= last/2 {
			t.Errorf("after %d failures: pause %v does not grow (before: %v)", n, pause, last)
		}
		last = pause
	}
	if _, again := backoff(fault.Transient, maxTries[fault.Transient], firstPause, 0); again {
		t.Error("transient: tried for ever")
	}
	if _, again := backoff(fault.Unclassified, 4, firstPause, 0); again {
		t.Error("an unknown cause is tried for long")
	}
	if _, again := backoff(fault.Permanent, 1, firstPause, 0); again {
		t.Error("a permanent cause is tried again")
	}
	if pause, _ := backoff(fault.Transient, 1, firstPause, time.Hour); pause < time.Hour {
		t.Errorf("the far side's hint of an hour is not honoured: %v", pause)
	}
}

func TestInterval(t *testing.T) {
	t.Parallel()
	first, longest := time.Second, 10*time.Second
	got := []time.Duration{}
	for n := range 10 {
		got = append(got, interval(n, first, longest))
	}
	for i := 1; i < len(got); i++ {
		if got[i] < got[i-1] {
			t.Errorf("the interval shrinks: %v", got)
		}
	}
	if got[0] != first || got[9] != longest {
		t.Errorf("intervals %v: want %v first, %v at last", got, first, longest)
	}
}

func TestStreak(t *testing.T) {
	t.Parallel()
	at := func(min int) time.Time { return time.Date(2026, 1, 1, 12, min, 0, 0, time.UTC) }
	tries := []store.Step{
		{ID: 1, Name: store.StepRewrite, Outcome: store.OutcomeRetry},
		{ID: 2, Name: store.StepPipeline, Outcome: store.OutcomeRetry, StartedAt: at(1)},
		{ID: 3, Name: store.StepPipeline, Outcome: store.OutcomeWaiting, StartedAt: at(2)},
		{ID: 4, Name: store.StepPipeline, Outcome: store.OutcomeWaiting, StartedAt: at(3)},
		{ID: 5, Name: store.StepPipeline, Outcome: store.OutcomeLost, StartedAt: at(4)},
		{ID: 6, Name: store.StepPipeline, Outcome: store.OutcomeCancelled, StartedAt: at(5)},
		{ID: 7, Name: store.StepPipeline, Outcome: store.OutcomeRetry, StartedAt: at(6)},
		{ID: 8, Name: store.StepPipeline, Outcome: store.OutcomeRunning, StartedAt: at(7)},
	}
	got := streakOf(tries, tries[7])
	if got.failures != 2 {
		t.Errorf("failures = %d, want 2: the retry and the lost one since the last wait", got.failures)
	}
	if got.looks("") != 2 || !got.waitingSince("", at(9)).Equal(at(2)) {
		t.Errorf("waits = %d since %v, want 2 since %v", got.looks(""), got.waitingSince("", at(9)), at(2))
	}
	if s := streakOf(nil, tries[0]); !s.waitingSince("", at(9)).Equal(at(9)) {
		t.Error("a wait without looks does not begin now")
	}
}

func TestSlug(t *testing.T) {
	t.Parallel()
	for ref, want := range map[string]string{
		"main":            "main",
		"Feature/ABC_1.2": "feature-abc-1-2",
		"-x-":             "x",
	} {
		if got := slug(ref); got != want {
			t.Errorf("slug(%q) = %q, want %q", ref, got, want)
		}
	}
}

func TestComponentSources(t *testing.T) {
	t.Parallel()
	got := componentSources("gitlab.sikt.no/platon/ci-components/docker/docker@2")
	if len(got) != 2 || got[0].project != "platon/ci-components/docker" || got[0].ref != "2" || got[0].file != "templates/docker.yml" {
		t.Errorf("sources = %+v", got)
	}
	if got := componentSources("nonsense"); got != nil {
		t.Errorf("sources of nonsense = %+v", got)
	}
}
