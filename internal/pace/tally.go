package pace

import (
	"context"
	"sync"
)

// Tally counts the requests that one piece of work makes of clients which others
// use at the same time. It is safe for concurrent use.
type Tally struct {
	mu     sync.Mutex
	counts map[string]int
}

// NewTally makes an empty one.
func NewTally() *Tally { return &Tally{counts: make(map[string]int)} }

type tallyKey struct{}

// Of returns a context whose requests are counted. A nil Tally stops the counting.
func (t *Tally) Of(ctx context.Context) context.Context { return context.WithValue(ctx, tallyKey{}, t) }

// Count returns how many requests of a kind have been made.
func (t *Tally) Count(kind string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts[kind]
}

// Sent counts a request for the work that ctx belongs to. The client rooms call
// it for each request that goes out, repeated ones too: with the method and the
// route, as in "GET manifests", or with the operation of an API.
func Sent(ctx context.Context, kind string) {
	t, _ := ctx.Value(tallyKey{}).(*Tally)
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts[kind]++
}
