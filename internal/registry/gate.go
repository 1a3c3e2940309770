package registry

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// gate holds back reads of a registry that has asked for fewer of them. Before
// the first refusal they go freely. Then all of them pause together, and go on
// at the rate at which they were let through before, feeling their way up: many
// goroutines that each wait by themselves would come back all at once, and some
// would be refused every time.
type gate struct {
	limit *rate.Limiter
	delay time.Duration // the first pause

	mu      sync.Mutex
	closed  time.Time // nobody goes before this
	pauses  int       // in a row, without anything having got through
	passed  int       // since the last refusal
	counted time.Time // since when passed is counted
}

// longestPause bounds the growing pauses between refusals, where the registry
// asks for no longer one.
const longestPause = 5 * time.Second

func newGate(delay time.Duration) *gate {
	return &gate{limit: rate.NewLimiter(rate.Inf, 1), delay: delay}
}

// wait returns when the next request may be sent, and for how long it waited.
func (g *gate) wait(ctx context.Context) (waited time.Duration, err error) {
	start := time.Now()
	for {
		if err := g.limit.Wait(ctx); err != nil {
			return 0, context.Cause(ctx)
		}
		g.mu.Lock()
		if g.counted.IsZero() {
			g.counted = time.Now()
		}
		d := time.Until(g.closed)
		g.mu.Unlock()
		if d <= 0 {
			return time.Since(start), nil
		}
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-time.After(d):
		}
	}
}

// pass takes note of a request that was not refused.
func (g *gate) pass() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.passed++
	g.pauses = 0
	if l := g.limit.Limit(); l != rate.Inf {
		g.limit.SetLimit(l + l/200)
	}
}

// refuse takes note of a refusal of what was sent then, with the time that the
// registry asks for. It answers how often in a row all has been refused.
func (g *gate) refuse(sent time.Time, after time.Duration) (pauses int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	// Those that were on their way with another one are refused too; they count once.
	if sent.Before(g.closed) {
		return g.pauses
	}
	g.closed = now.Add(max(after, min(g.delay<<g.pauses, longestPause)))
	g.pauses++
	if g.pauses == 1 && g.passed > 0 { // else it is an outage, which says nothing of the rate
		through := rate.Limit(float64(g.passed) / max(now.Sub(g.counted).Seconds(), 0.1))
		if l := g.limit.Limit(); l != rate.Inf {
			through = max(l/2, min(l*0.9, through))
		}
		g.limit.SetLimit(max(1, through))
	}
	g.passed, g.counted = 0, now
	return g.pauses
}
