// Package pace holds requests back so that the quotas of a registry are not run
// over, and waits out its refusals of one request too many.
//
// Limits is one registry, or one account of ECR, as all who share it see it. It
// holds a limiter for each action, as each has a quota of its own. A client room
// sends every request through the limiter of its action:
//
//	err := limits.Of("PutImage").Do(ctx, func() error { … })
//
// A limiter does not hold back until the first refusal; from then on it goes at
// the quota that is published for the action, or more slowly, and feels its way
// up again. Of the far side's refusals and of those of our own pacers nothing is
// waited out anywhere else: whoever gets ErrThrottled has waited long enough, and
// gives up its place.
package pace

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
)

// ErrThrottled says that a registry asks for fewer requests, and that it has been
// waited for long enough here, or would have to be. The error's fault.RetryAfter
// says when to come back, where that is known.
var ErrThrottled = errors.New("too many requests")

// Refused is what a room makes of a refusal for too many requests. Do takes care
// of it; only Once hands it out.
type Refused struct {
	After time.Duration // that the far side asks for, or 0
	Err   error         // in the room's words, with class and reason
}

func (r *Refused) Error() string { return r.Err.Error() }

func (r *Refused) Unwrap() error { return r.Err }

// IsRefused tells a refusal that is worth another try at once: its limiter holds
// that one back for as long as is needed.
func IsRefused(err error) bool {
	_, ok := errors.AsType[*Refused](err)
	return ok
}

// Options of Limits. All fields may be empty.
type Options struct {
	Name string // of the registry, for messages and metrics
	// Reason is the code of the errors for turns that are too far away, such as
	// "ecr-throttled".
	Reason string
	// Quotas are what is published: requests a second by action.
	Quotas map[string]float64
	// Pacers are used for their actions instead of adaptive ones.
	Pacers map[string]Pacer
	// Hold is how long a request waits for its turn; 0 means 30 s. Who would have to
	// wait longer is told so, and can give up its place meanwhile.
	Hold time.Duration
	// Patience is how long an action may be refused without one request getting
	// through; 0 means 2 minutes.
	Patience time.Duration
	// Waited, if set, is told of each wait for a turn.
	Waited func(action string, d time.Duration)
}

// Limits are the limiters of one registry, by action. It is safe for concurrent use.
type Limits struct {
	o  Options
	mu sync.Mutex
	by map[string]*Limiter
}

// New makes the limits of one registry.
func New(o Options) *Limits {
	o.Hold, o.Patience = cmp.Or(o.Hold, 30*time.Second), cmp.Or(o.Patience, 2*time.Minute)
	return &Limits{o: o, by: make(map[string]*Limiter)}
}

// Of returns the limiter of an action.
func (l *Limits) Of(action string) *Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter := l.by[action]
	if limiter == nil {
		limiter = &Limiter{limits: l, action: action, pacer: l.o.Pacers[action]}
		if limiter.pacer == nil {
			limiter.pacer = NewAdaptive(l.o.Quotas[action])
		}
		l.by[action] = limiter
	}
	return limiter
}

// Limiter is that of one action.
type Limiter struct {
	limits *Limits
	action string
	pacer  Pacer

	mu     sync.Mutex
	since  time.Time // of the first refusal after the last success, or zero
	latest time.Time // refusal
}

// Do sends a request when its turn has come, and again when it is refused for
// being one too many, as long as that leads somewhere. What send returns
// otherwise comes back as it is.
func (l *Limiter) Do(ctx context.Context, send func() error) error {
	for {
		err := l.Once(ctx, send)
		if !IsRefused(err) {
			return err
		}
	}
}

// Once is Do for a request that cannot be sent twice, as its body is a stream. If
// it is worth another try with another body, the error is a Refused.
func (l *Limiter) Once(ctx context.Context, send func() error) error {
	if err := l.wait(ctx); err != nil {
		return err
	}
	sent := time.Now()
	err := send()
	refused, ok := errors.AsType[*Refused](err)
	switch {
	case ctx.Err() != nil && err != nil:
		// The far side has not spoken: what broke off carries the reason for
		// which everything ended, and that may be another action's refusal.
		return context.Cause(ctx)
	case err == nil:
		l.passed()
		return nil
	case !ok:
		return err
	}
	l.pacer.Refused(sent, refused.After)
	switch {
	case refused.After > l.limits.o.Hold:
		return l.over(refused.Err, refused.After)
	case l.spent():
		return l.over(refused.Err, l.forgotten())
	}
	return err
}

// wait returns when it is the request's turn.
func (l *Limiter) wait(ctx context.Context) error {
	start := time.Now()
	hold := l.limits.o.Hold
	// Who will be gone before its turn need not wait for it.
	if end, ok := ctx.Deadline(); ok {
		hold = min(hold, time.Until(end))
	}
	err := l.pacer.Wait(ctx, hold)
	// Less is the asking itself.
	if d := time.Since(start); d > time.Millisecond && l.limits.o.Waited != nil {
		l.limits.o.Waited(l.action, d)
	}
	if later, ok := errors.AsType[*Later](err); ok {
		return l.over(later, later.In)
	}
	return err
}

// passed takes note of a request that was let through.
func (l *Limiter) passed() {
	l.mu.Lock()
	l.since = time.Time{}
	l.mu.Unlock()
	l.pacer.Passed()
}

// spent takes note of a refusal, and tells whether patience is at its end: as
// long as some requests get through, waiting leads somewhere.
func (l *Limiter) spent() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.since.IsZero() || now.Sub(l.latest) > l.forgotten() {
		l.since = now
	}
	l.latest = now
	return now.Sub(l.since) >= l.limits.o.Patience
}

// forgotten is after what time without a request a row of refusals counts no
// more. Who gives up for want of patience had better come back then: until then
// the next refusal is the last, so that many who wait do not wait in turn.
func (l *Limiter) forgotten() time.Duration { return 2 * l.limits.o.Hold }

// over is the error for who has waited long enough.
func (l *Limiter) over(err error, after time.Duration) error {
	who := strings.TrimSpace(l.limits.o.Name + " " + l.action)
	return fault.New(fault.Transient, l.limits.o.Reason, "%s: %w: %w", who, ErrThrottled, err).
		WithRetryAfter(after).WithRemedy("wait; lower the configured rate if it goes on")
}

// RetryAfter reads the header of that name in either of its forms; 0 means that
// there is none.
func RetryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(v); err == nil && seconds > 0 {
		return time.Duration(seconds) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(0, time.Until(t))
	}
	return 0
}
