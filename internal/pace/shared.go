package pace

import (
	"context"
	"errors"
	"sync"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
)

// Ledger is the time line of one action, kept where all processes see it.
type Ledger interface {
	// Lease takes n places of the time line: the first may be used after in, and
	// the others each 1/rate seconds later. went is how many requests of this
	// process have been let through since its last lease. refusals is how many
	// have slowed the time line down so far. If it is taken for longer than longest,
	// ok is false and in says for how long.
	Lease(ctx context.Context, n, went int, longest time.Duration) (in time.Duration, rate float64, refusals int64, ok bool, err error)
	// Refused makes everybody pause, and go on more slowly if nobody else has been
	// refused since the lease of the request, which was taken after so many refusals.
	Refused(ctx context.Context, refusals int64, pause time.Duration) error
}

// NewShared paces by a ledger. What waits in this process leases its turns
// together, at most a second's worth: that costs the ledger a question a second
// and process, and what a process that dies has leased is soon over.
func NewShared(ledger Ledger, quota float64) Pacer {
	return &sharedPacer{ledger: ledger, most: max(1, int(quota))}
}

type sharedPacer struct {
	ledger Ledger
	most   int // places of one lease

	mu      sync.Mutex
	turns   []turn // leased and not yet given out
	latest  int64  // refusals, at the lease of the turn that was given out last
	waiting int
	went    int
	closed  time.Time
	asking  *asking
}

// turn is a place of the time line.
type turn struct {
	at       time.Time
	refusals int64 // of the ledger, when it was leased
}

// answerTime is how long the ledger may take to answer.
const answerTime = 30 * time.Second

// asking is a lease on its way.
type asking struct {
	done chan struct{}
	err  error
}

func (p *sharedPacer) Wait(ctx context.Context, hold time.Duration) error {
	p.mu.Lock()
	p.waiting++
	defer func() {
		p.waiting--
		p.mu.Unlock()
	}()
	for {
		turn, a := p.next(ctx, hold)
		if a == nil {
			if d := time.Until(turn); d > 0 && !await(ctx, &p.mu, time.After(d)) {
				return context.Cause(ctx)
			}
			// A refusal may have come meanwhile, which makes the turn void.
			if !turn.Before(p.closed) {
				return nil
			}
			continue
		}
		if !await(ctx, &p.mu, a.done) {
			return context.Cause(ctx)
		}
		// Who asked may have less time than we have.
		if later, ok := errors.AsType[*Later](a.err); ok && later.In <= hold {
			continue
		}
		if a.err != nil {
			return a.err
		}
	}
}

// next takes a turn, or else starts to lease some. mu is held.
func (p *sharedPacer) next(ctx context.Context, hold time.Duration) (time.Time, *asking) {
	for len(p.turns) > 0 {
		turn := p.turns[0]
		p.turns = p.turns[1:]
		// Turns that nobody was there to take must not be used all at once later.
		if !turn.at.Before(p.closed) && time.Since(turn.at) < time.Second {
			p.latest = turn.refusals
			return turn.at, nil
		}
	}
	if p.asking == nil {
		p.asking = &asking{done: make(chan struct{})}
		go p.lease(context.WithoutCancel(ctx), p.asking, hold, min(p.waiting, p.most), p.went)
		p.went = 0
	}
	return time.Time{}, p.asking
}

func (p *sharedPacer) lease(ctx context.Context, a *asking, hold time.Duration, n, went int) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	in, rate, refusals, ok, err := p.ledger.Lease(ctx, n, went, hold)
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err != nil:
		a.err = fault.New(fault.Transient, "pace-unavailable", "asking for a turn: %w", err).
			WithRemedy("wait until the database answers again")
	case !ok:
		a.err = &Later{in}
	default:
		for i := range n {
			p.turns = append(p.turns, turn{now.Add(in + time.Duration(float64(i)/rate*float64(time.Second))), refusals})
		}
	}
	p.asking = nil
	close(a.done)
}

func (p *sharedPacer) Passed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.went++
}

func (p *sharedPacer) Refused(sent time.Time, after time.Duration) {
	p.mu.Lock()
	pause, now := max(after, shortestPause), time.Now()
	// Those who were on their way with this one are refused too; they count once,
	// unless one of them asks for a longer pause.
	known := sent.Before(p.closed) && (after == 0 || !now.Add(after).After(p.closed))
	if !known {
		p.closed = now.Add(pause)
		p.turns = nil
	}
	refusals := p.latest
	p.mu.Unlock()
	if known {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	// A ledger that cannot be told now is told by the next refusal.
	_ = p.ledger.Refused(ctx, refusals, pause)
}

// await waits for done without holding mu; false means that ctx ended first.
func await[T any](ctx context.Context, mu *sync.Mutex, done <-chan T) bool {
	mu.Unlock()
	defer mu.Lock()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}
