package copy

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Pacer holds back requests of one kind so that a quota is not run over.
type Pacer interface {
	// Wait returns when the next request may be sent.
	Wait(ctx context.Context) error
	// Report tells how it went: throttled if it was one too many, with the time
	// the far side asked for, or zero.
	Report(throttled bool, after time.Duration)
}

// NewPacer paces to at most perSecond. A refusal halves the rate, and every
// success adds a little again, so that it finds what others leave of a quota
// that belongs to the whole account. ECR's PutImage allows 10 a second there.
func NewPacer(perSecond float64) Pacer {
	return &pacer{limit: rate.NewLimiter(rate.Limit(perSecond), 1), most: rate.Limit(perSecond)}
}

type pacer struct {
	limit *rate.Limiter
	most  rate.Limit

	mu     sync.Mutex
	closed time.Time // nobody goes before this
}

func (p *pacer) Wait(ctx context.Context) error {
	if err := p.limit.Wait(ctx); err != nil {
		return err
	}
	for {
		p.mu.Lock()
		d := time.Until(p.closed)
		p.mu.Unlock()
		if d <= 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(d):
		}
	}
}

func (p *pacer) Report(throttled bool, after time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.limit.Limit()
	if !throttled {
		if now < p.most {
			p.limit.SetLimit(min(p.most, now+p.most/50))
		}
		return
	}
	// Those who were on their way with this one are refused too; they count once.
	if time.Now().Before(p.closed) {
		return
	}
	p.limit.SetLimit(max(now/2, p.most/20))
	p.closed = time.Now().Add(max(after, 300*time.Millisecond))
}
