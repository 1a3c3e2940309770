package pace_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/pace"
)

// server refuses what comes sooner than its rate allows, as a token bucket does.
type server struct {
	rate, burst float64

	mu       sync.Mutex
	tokens   float64
	last     time.Time
	passed   int
	refusals int
}

func (s *server) answer() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.last.IsZero() {
		s.tokens = s.burst
	} else {
		s.tokens = min(s.burst, s.tokens+now.Sub(s.last).Seconds()*s.rate)
	}
	s.last = now
	if s.tokens < 1 {
		s.refusals++
		return refused(0)
	}
	s.tokens--
	s.passed++
	return nil
}

func refused(after time.Duration) error {
	return &pace.Refused{After: after, Err: fault.New(fault.Transient, "ecr-throttled", "429")}
}

// TestNothingIsHeldBackUntilARefusal: as many as come go, and then the quota holds.
func TestNothingIsHeldBackUntilARefusal(t *testing.T) {
	t.Parallel()
	l := pace.New(pace.Options{Quotas: map[string]float64{"a": 50}}).Of("a")
	start := time.Now()
	for range 20_000 {
		if err := l.Do(t.Context(), func() error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("20000 without a refusal took %v", d)
	}
	tries := 0
	start = time.Now()
	for range 20 {
		if err := l.Do(t.Context(), func() error {
			if tries++; tries == 1 {
				return refused(0)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	// 40 ms of rest, then 20 at 50 a second.
	if d := time.Since(start); d < 380*time.Millisecond || tries != 21 {
		t.Errorf("20 after a refusal took only %v, in %d tries", d, tries)
	}
}

// TestFindsWhatOthersLeave: the quota is the account's, and less is left of it
// than is published. Many wait at once; all get through, and few are refused.
func TestFindsWhatOthersLeave(t *testing.T) {
	t.Parallel()
	for name, quotas := range map[string]map[string]float64{"published": {"a": 100}, "unpublished": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			findsWhatOthersLeave(t, pace.New(pace.Options{Quotas: quotas, Patience: time.Minute}).Of("a"))
		})
	}
}

func findsWhatOthersLeave(t *testing.T, l *pace.Limiter) {
	s := &server{rate: 40, burst: 5}
	const requests = 240
	var wait sync.WaitGroup
	start := time.Now()
	places := make(chan struct{}, 32)
	for range requests {
		places <- struct{}{}
		wait.Go(func() {
			defer func() { <-places }()
			if err := l.Do(t.Context(), s.answer); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if s.passed != requests || s.refusals == 0 {
		t.Errorf("%d of %d passed, %d refusals", s.passed, requests, s.refusals)
	}
	if s.refusals > requests/2 {
		t.Errorf("%d refusals for %d requests: it does not slow down", s.refusals, requests)
	}
	if took := time.Since(start); took > 40*time.Second {
		t.Errorf("%d requests at %v a second took %v", requests, s.rate, took)
	}
	t.Logf("%d requests at a quota of %v a second in %v, %d refusals", requests, s.rate, time.Since(start), s.refusals)
}

// TestEachActionHasItsOwn: one that is refused does not hold back another.
func TestEachActionHasItsOwn(t *testing.T) {
	t.Parallel()
	limits := pace.New(pace.ECR())
	err := limits.Of("PutImage").Do(t.Context(), func() error { return refused(time.Hour) })
	if !errors.Is(err, pace.ErrThrottled) || fault.RetryAfter(err) != time.Hour || fault.ReasonOf(err) != "ecr-throttled" || !strings.Contains(err.Error(), "ecr PutImage") {
		t.Errorf("%v, again in %v", err, fault.RetryAfter(err))
	}
	// Who comes within the hour is told so at once, and asks nobody.
	err = limits.Of("PutImage").Do(t.Context(), func() error { t.Error("was sent"); return nil })
	if !errors.Is(err, pace.ErrThrottled) || fault.RetryAfter(err) < 59*time.Minute || fault.ClassOf(err) != fault.Transient {
		t.Errorf("%v, again in %v", err, fault.RetryAfter(err))
	}
	start := time.Now()
	for _, action := range []string{"InitiateLayerUpload", "CompleteLayerUpload", "BatchCheckLayerAvailability", "DescribeImages", "GetAuthorizationToken"} {
		if err := limits.Of(action).Do(t.Context(), func() error { return nil }); err != nil {
			t.Errorf("%s: %v", action, err)
		}
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("the others took %v", d)
	}
}

// TestAskedForPauseIsKept by all, also by those who were not refused themselves.
func TestAskedForPauseIsKept(t *testing.T) {
	t.Parallel()
	l := pace.New(pace.Options{}).Of("manifests")
	const asked = 700 * time.Millisecond
	start := time.Now()
	first := true
	if err := l.Do(t.Context(), func() error {
		if first {
			first = false
			return refused(asked)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d < asked {
		t.Errorf("tried again after %v, asked for were %v", d, asked)
	}
	// One that was on its way asks for more: that holds too.
	_ = l.Once(t.Context(), func() error { return refused(0) })
	_ = l.Once(t.Context(), func() error { return refused(asked) })
	start = time.Now()
	if err := l.Do(t.Context(), func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d < asked-100*time.Millisecond {
		t.Errorf("the longer pause was not kept: %v", d)
	}
}

// TestPatience ends when nothing gets through, and not while something does.
func TestPatience(t *testing.T) {
	t.Parallel()
	l := pace.New(pace.Options{Patience: 700 * time.Millisecond, Quotas: map[string]float64{"a": 1000}}).Of("a")
	start, tries := time.Now(), 0
	always := func() error { tries++; return refused(0) }
	err := l.Do(t.Context(), always)
	if d := time.Since(start); !errors.Is(err, pace.ErrThrottled) || d < 700*time.Millisecond || d > 30*time.Second || tries < 2 {
		t.Errorf("%v after %v and %d tries", err, d, tries)
	}
	// Others who wait have waited with it.
	before := tries
	if err := l.Do(t.Context(), always); !errors.Is(err, pace.ErrThrottled) || tries != before+1 {
		t.Errorf("the next one: %v after %d more tries", err, tries-before)
	}
	l = pace.New(pace.Options{Patience: 700 * time.Millisecond}).Of("a")
	n := 0
	start = time.Now()
	for time.Since(start) < 2*time.Second {
		// Every other one gets through.
		if err := l.Do(t.Context(), func() error {
			if n++; n%2 == 1 {
				return refused(0)
			}
			return nil
		}); err != nil {
			t.Fatalf("given up although some get through: %v", err)
		}
	}
}

// TestAStreamIsOpenedAgain: Once leaves it to the caller to send a new body.
func TestAStreamIsOpenedAgain(t *testing.T) {
	t.Parallel()
	l := pace.New(pace.Options{Patience: time.Millisecond}).Of("a")
	err := l.Once(t.Context(), func() error { return refused(0) })
	if !pace.IsRefused(err) || errors.Is(err, pace.ErrThrottled) {
		t.Errorf("the first refusal: %v", err)
	}
	err = l.Once(t.Context(), func() error { return refused(0) })
	if pace.IsRefused(err) || !errors.Is(err, pace.ErrThrottled) {
		t.Errorf("after patience ended: %v", err)
	}
}

// TestWhatTheFarSideDidNotSay is reported to nobody.
func TestWhatTheFarSideDidNotSay(t *testing.T) {
	t.Parallel()
	told := &listening{Pacer: pace.NewAdaptive(10)}
	l := pace.New(pace.Options{Pacers: map[string]pace.Pacer{"a": told}}).Of("a")
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := errors.New("the run has ended")
	err := l.Do(ctx, func() error { cancel(ended); return refused(time.Hour) })
	if !errors.Is(err, ended) || told.reports > 0 {
		t.Errorf("%v, %d reports", err, told.reports)
	}
	broken := errors.New("connection reset")
	if err := l.Do(t.Context(), func() error { return broken }); !errors.Is(err, broken) || told.reports > 0 {
		t.Errorf("%v, %d reports", err, told.reports)
	}
	// A refusal of something within, such as a token's, has been dealt with.
	inner := pace.New(pace.Options{}).Of("token").Do(t.Context(), func() error { return refused(time.Hour) })
	if err := l.Do(t.Context(), func() error { return inner }); !errors.Is(err, pace.ErrThrottled) || told.reports > 0 {
		t.Errorf("%v, %d reports", err, told.reports)
	}
}

type listening struct {
	pace.Pacer
	reports int
}

func (l *listening) Passed() {
	l.reports++
	l.Pacer.Passed()
}

func (l *listening) Refused(sent time.Time, after time.Duration) {
	l.reports++
	l.Pacer.Refused(sent, after)
}

// TestWhoWillBeGone before its turn does not wait for it.
func TestWhoWillBeGone(t *testing.T) {
	t.Parallel()
	l := pace.New(pace.Options{}).Of("a")
	_ = l.Once(t.Context(), func() error { return refused(20 * time.Second) })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	err := l.Do(ctx, func() error { return nil })
	if !errors.Is(err, pace.ErrThrottled) || ctx.Err() != nil {
		t.Errorf("%v, %v", err, ctx.Err())
	}
}

func TestWaitsAreTold(t *testing.T) {
	t.Parallel()
	waits := map[string]time.Duration{}
	l := pace.New(pace.Options{Waited: func(action string, d time.Duration) { waits[action] += d }})
	first := true
	if err := l.Of("a").Do(t.Context(), func() error {
		if first {
			first = false
			return refused(0)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	_ = l.Of("b").Do(t.Context(), func() error { return nil })
	if waits["a"] < 250*time.Millisecond || len(waits) != 1 {
		t.Errorf("told: %v", waits)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-1": 0, "soon": 0,
		time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat): 89 * time.Second,
		time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat):       0,
	} {
		got := pace.RetryAfter(http.Header{"Retry-After": {value}})
		if got < want || got > want+2*time.Second || want == 0 && got != 0 {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}
