package pace

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Pacer says when the requests of one action may be sent.
type Pacer interface {
	// Wait returns when the next request may be sent. A turn that is further away
	// than hold is not waited for: the error is then a Later.
	Wait(ctx context.Context, hold time.Duration) error
	// Passed tells that a request was let through.
	Passed()
	// Refused tells that one that was sent then was one too many, with the time
	// for which the far side asks to wait, or zero.
	Refused(sent time.Time, after time.Duration)
}

// Later says that a turn is further away than is worth waiting for it.
type Later struct{ In time.Duration }

func (l *Later) Error() string { return fmt.Sprintf("the next turn is in %v", l.In.Round(time.Second)) }

// Pauses after a refusal that does not ask for a longer one: the first, and how
// long they grow as long as nothing gets through.
const (
	shortestPause = 300 * time.Millisecond
	longestPause  = 5 * time.Second
)

// NewFixed paces to at most perSecond. A refusal lowers the rate, and every
// success adds a little again, so that it finds what others leave of a quota
// that belongs to the whole account.
func NewFixed(perSecond float64) Pacer {
	return &pacer{limit: rate.NewLimiter(rate.Limit(perSecond), 1), quota: rate.Limit(perSecond), most: rate.Limit(perSecond)}
}

// NewAdaptive does not hold back until the first refusal, then starts from
// the published quota, and feels its way up slowly from there: accounts may
// have been given more. Where no quota is published, which 0 says, it starts from
// what was let through before the refusal.
func NewAdaptive(quota float64) Pacer {
	return &pacer{limit: rate.NewLimiter(rate.Inf, 1), quota: rate.Limit(quota), most: rate.Inf, measured: quota == 0}
}

type pacer struct {
	limit    *rate.Limiter
	quota    rate.Limit // where a first refusal leads to
	most     rate.Limit
	measured bool // quota is not published

	mu     sync.Mutex
	closed time.Time // nobody goes before this
	pauses int       // in a row, without anything having got through
	passed int       // in the last seconds: from since until last
	since  time.Time
	last   time.Time
}

func (p *pacer) Wait(ctx context.Context, hold time.Duration) error {
	for {
		if err := p.open(ctx, hold); err != nil {
			return err
		}
		turn := p.limit.Reserve()
		if d := turn.Delay(); d > hold {
			turn.Cancel()
			return &Later{d}
		} else if err := sleep(ctx, d); err != nil {
			turn.Cancel()
			return err
		}
		// A refusal may have come meanwhile, which makes the turn void.
		if p.shut() <= 0 {
			return nil
		}
	}
}

// open waits until the pause after a refusal is over.
func (p *pacer) open(ctx context.Context, hold time.Duration) error {
	d := p.shut()
	if d > hold {
		return &Later{d}
	}
	return sleep(ctx, d)
}

// shut is for how long nobody goes.
func (p *pacer) shut() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Until(p.closed)
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

func (p *pacer) Passed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count(time.Now())
	p.pauses = 0
	switch now := p.limit.Limit(); {
	case now < p.quota: // in each second a thirtieth of the quota, and a twentieth of itself
		p.limit.SetLimit(min(p.quota, now+p.quota/(30*now)+0.05))
	case now < p.most: // a tenth of itself
		p.limit.SetLimit(now + 0.1)
	}
}

// count keeps what was let through in the last seconds. mu is held.
func (p *pacer) count(now time.Time) {
	if now.Sub(p.last) > time.Second {
		p.passed, p.since = 0, now
	}
	p.passed, p.last = p.passed+1, now
	if took := now.Sub(p.since); took > 10*time.Second {
		p.passed, p.since = p.passed/2, now.Add(-took/2)
	}
}

func (p *pacer) Refused(sent time.Time, after time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	// Those who were on their way with another one are refused too; they count
	// once. A longer pause that one of them asks for holds all the same.
	first := !sent.Before(p.closed)
	pause := after
	if first {
		pause = max(after, min(shortestPause<<min(p.pauses, 10), longestPause))
	}
	if until := now.Add(pause); until.After(p.closed) {
		p.closed = until
	}
	if !first {
		return
	}
	// Refusals in a row say nothing of the rate.
	if p.pauses++; p.pauses == 1 {
		p.slow(now)
	}
}

// slow lowers the rate. mu is held.
func (p *pacer) slow(now time.Time) {
	l := p.limit.Limit()
	switch {
	case l <= p.quota:
		l = max(l*0.7, p.quota/20)
	case !p.measured:
		l = p.quota * 0.98
	case l < rate.Inf:
		l *= 0.7
		p.quota = l
	case p.passed > 0:
		l = rate.Limit(float64(p.passed) / max(0.1, now.Sub(p.since).Seconds()))
		p.quota = l
	}
	p.limit.SetLimit(l)
}
