package pace

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"
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
// long they grow as long as nothing gets through. Where a quota is published the
// first is that of two requests, if that is shorter: one that came a little too
// close to another must not cost more.
const (
	shortestPause = 300 * time.Millisecond
	longestPause  = 5 * time.Second
)

// NewFixed paces to at most perSecond. A refusal lowers the rate, and every
// success adds a little again, so that it finds what others leave of a quota
// that belongs to the whole account.
func NewFixed(perSecond float64) Pacer {
	return &pacer{rate: perSecond, quota: perSecond, most: perSecond}
}

// NewAdaptive does not hold back until the first refusal, then starts from
// the published quota, and feels its way up slowly from there: accounts may
// have been given more. Where no quota is published, which 0 says, it starts from
// what was let through before the refusal.
func NewAdaptive(quota float64) Pacer {
	return &pacer{rate: math.Inf(1), quota: quota, most: math.Inf(1), measured: quota == 0}
}

// pacer gives turns one after the other, and none ahead: turns that were handed
// out at an old rate would go on in that rate for as long as many have waited,
// after the refusal that was to slow them down.
type pacer struct {
	quota    float64 // requests a second, where a first refusal leads to
	most     float64
	measured bool // quota is not published

	mu      sync.Mutex
	rate    float64   // requests a second
	next    time.Time // turn
	waiting int
	closed  time.Time // nobody goes before this
	pauses  int       // in a row, without anything having got through
	passed  int       // in the last seconds: from since until last
	since   time.Time
	last    time.Time
}

func (p *pacer) Wait(ctx context.Context, hold time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	start := time.Now()
	queue := p.every() * time.Duration(p.waiting) // the others' turns
	p.waiting++
	defer func() { p.waiting-- }()
	for {
		now := time.Now()
		turn := p.next
		if p.closed.After(turn) {
			turn = p.closed
		}
		d := turn.Sub(now)
		if d <= 0 {
			p.take(now)
			return nil
		}
		if in := d + queue; now.Sub(start)+in > hold {
			return &Later{in}
		}
		queue = 0 // it is shorter by now, nobody knows by how much
		p.mu.Unlock()
		err := sleep(ctx, d)
		p.mu.Lock()
		if err != nil {
			return err
		}
	}
}

// take uses a turn up. One that was taken a little late does not delay those that
// follow, but too close together they would be refused. mu is held.
func (p *pacer) take(now time.Time) {
	late := max(p.every()/10, 2*time.Millisecond)
	if from := now.Add(-late); from.After(p.next) {
		p.next = from
	}
	p.next = p.next.Add(p.every())
}

// every is the time between two turns. mu is held.
func (p *pacer) every() time.Duration { return time.Duration(float64(time.Second) / p.rate) }

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
	switch {
	case p.rate < p.quota: // in each second a thirtieth of the quota, and a twentieth of itself
		p.rate = min(p.quota, p.rate+p.quota/(30*p.rate)+0.05)
	case p.rate < p.most: // a tenth of itself
		p.rate += 0.1
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
		pause = max(after, min(p.first()<<min(p.pauses, 10), longestPause))
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

// first is the pause after a refusal that follows a success.
func (p *pacer) first() time.Duration {
	if p.measured || p.quota <= 0 {
		return shortestPause
	}
	return min(shortestPause, time.Duration(2/p.quota*float64(time.Second)))
}

// slow lowers the rate, to what was let through of late where that is known: a
// single refusal among many successes says little. mu is held.
func (p *pacer) slow(now time.Time) {
	through := float64(p.passed) / max(0.1, now.Sub(p.since).Seconds())
	switch {
	case p.rate <= p.quota:
		p.rate = max(p.rate*0.7, p.quota/20, min(p.rate*0.95, through))
	case !p.measured:
		p.rate = p.quota * 0.98
	case !math.IsInf(p.rate, 1):
		p.rate *= 0.7
		p.quota = p.rate
	case p.passed > 0:
		p.rate = through
		p.quota = through
	}
}
