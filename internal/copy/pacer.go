package copy

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/registry"
)

// Quotas of ECR's actions a second, for an account and region.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html
const (
	PutImageQuota = 10
	LayerQuota    = 100 // InitiateLayerUpload and CompleteLayerUpload, each
)

// Pacer holds back requests of one kind so that a quota is not run over.
type Pacer interface {
	// Wait returns when the next request may be sent. An error that is
	// registry.ErrThrottled says that this is too long to wait for it here.
	Wait(ctx context.Context) error
	// Report tells how it went: throttled if it was one too many, with the time
	// the far side asked for, or zero.
	Report(throttled bool, after time.Duration)
}

// Timed tells how long the pacer held requests back.
func Timed(p Pacer, waited func(time.Duration)) Pacer { return &timed{p, waited} }

type timed struct {
	Pacer
	waited func(time.Duration)
}

func (t *timed) Wait(ctx context.Context) error {
	start := time.Now()
	err := t.Pacer.Wait(ctx)
	// Less is the asking itself.
	if d := time.Since(start); d > time.Millisecond {
		t.waited(d)
	}
	return err
}

// shortestPause is the pause after a refusal that does not ask for a longer one.
const shortestPause = 300 * time.Millisecond

// tooLong is for who would have to wait longer for a turn than is worth it.
func tooLong(wait time.Duration) error {
	return fault.New(fault.Transient, "ecr-throttled", "%w: the next turn is in %v", registry.ErrThrottled, wait.Round(time.Second)).
		WithRetryAfter(wait).WithRemedy("wait; lower the configured rate if it goes on")
}

// NewPacer paces to at most perSecond. A refusal lowers the rate, and every
// success adds a little again, so that it finds what others leave of a quota
// that belongs to the whole account.
func NewPacer(perSecond float64) Pacer {
	return &pacer{limit: rate.NewLimiter(rate.Limit(perSecond), 1), quota: rate.Limit(perSecond), most: rate.Limit(perSecond)}
}

// NewAdaptivePacer does not hold back until the first refusal, then starts from
// the published quota, and feels its way up slowly from there: accounts may
// have been given more.
func NewAdaptivePacer(quota float64) Pacer {
	return &pacer{limit: rate.NewLimiter(rate.Inf, 1), quota: rate.Limit(quota), most: rate.Inf}
}

type pacer struct {
	limit *rate.Limiter
	quota rate.Limit // where a first refusal leads to
	most  rate.Limit

	mu     sync.Mutex
	closed time.Time // nobody goes before this
}

func (p *pacer) Wait(ctx context.Context) error {
	for {
		if err := p.open(ctx); err != nil {
			return err
		}
		if err := p.limit.Wait(ctx); err != nil {
			return err
		}
		p.mu.Lock()
		d := time.Until(p.closed)
		p.mu.Unlock()
		if d <= 0 {
			return nil
		}
	}
}

// open waits until the pause after a refusal is over.
func (p *pacer) open(ctx context.Context) error {
	p.mu.Lock()
	d := time.Until(p.closed)
	p.mu.Unlock()
	if d <= 0 {
		return nil
	}
	if d > longestHold {
		return tooLong(d)
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

func (p *pacer) Report(throttled bool, after time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.limit.Limit()
	if !throttled {
		switch {
		case now < p.quota:
			p.limit.SetLimit(min(p.quota, now+p.quota/50))
		case now < p.most:
			p.limit.SetLimit(now + p.quota/2000)
		}
		return
	}
	// Those who were on their way with this one are refused too; they count once.
	if time.Now().Before(p.closed) {
		return
	}
	if now > p.quota {
		p.limit.SetLimit(p.quota * 0.98)
	} else {
		p.limit.SetLimit(max(now*0.7, p.quota/20))
	}
	p.closed = time.Now().Add(max(after, shortestPause))
}
