package copy

import (
	"container/heap"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/pace"
	"gitlab.sikt.no/platon/ecrferry/internal/registry"
)

// mover moves blobs to one target repository, each once, several side by side:
// those that most manifests share first. What is added while it works takes its
// place in that order.
type mover struct {
	engine *Engine
	target string
	ctx    context.Context
	cancel context.CancelCauseFunc
	meter  meter
	wait   sync.WaitGroup // for what is on its way
	taken  atomic.Bool    // by a call of Watch

	mu          sync.Mutex
	blobs       map[string]*transfer // by digest
	small, wide line
	workers     int
	widths      int         // of the workers, how many carry a large blob
	end         func(error) // ends all, because the rest would fail in the same way
	outages     int         // in a row

	asked asked
	fed   map[string]bool // manifests, by digest
	tally *pace.Tally     // of the plan that it works ahead of, or nil
}

// transfer is a blob on its way, shared by all manifests that need it. done is
// closed when it is at the target, or will not be.
type transfer struct {
	blob  Blob // its counts change, under the mover's mu, until it has started
	seq   int
	place int // in a line, or one of the following
	done  chan struct{}
	err   error
}

// Places of a transfer that is in no line.
const (
	unasked = -1 // it is not known whether the target has the blob
	started = -2 // on its way, or at the target
)

func newMover(ctx context.Context, e *Engine, target string) *mover {
	m := &mover{engine: e, target: target, blobs: make(map[string]*transfer), fed: make(map[string]bool)}
	m.ctx, m.cancel = context.WithCancelCause(ctx)
	m.end, m.asked.abreast = m.cancel, make(chan struct{}, 8)
	return m
}

// begin sends everything off that a plan has found missing.
func (m *mover) begin(blobs []Blob) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range blobs {
		m.settle(m.add(b), b.There)
	}
}

// add makes a transfer. mu is held.
func (m *mover) add(b Blob) *transfer {
	t := &transfer{blob: b, seq: len(m.blobs), place: unasked, done: make(chan struct{})}
	m.blobs[b.Digest] = t
	return t
}

// settle says whether a blob is at the target; one that is not starts when its
// turn comes. mu is held.
func (m *mover) settle(t *transfer, there bool) {
	if t.blob.There = there; there {
		m.engine.homes.note(t.blob.Digest, m.target)
		t.place = started
		close(t.done)
		return
	}
	if t.blob.Size >= large {
		heap.Push(&m.wide, t)
	} else {
		heap.Push(&m.small, t)
	}
	if m.workers < m.engine.streams {
		m.workers++
		m.wait.Go(m.work)
	}
}

// pop takes the next blob, or ends a worker with nil. Large blobs go first, but
// at most half of the streams carry them: small images do not wait behind.
func (m *mover) pop() *transfer {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case len(m.wide) > 0 && m.widths < max(1, m.engine.streams/2):
		m.widths++
		return heap.Pop(&m.wide).(*transfer)
	case len(m.small) > 0:
		return heap.Pop(&m.small).(*transfer)
	}
	m.workers--
	return nil
}

// work moves blobs, one after the other, until none is left.
func (m *mover) work() {
	next := func(open bool) (*transfer, *opening) {
		t := m.pop()
		if !open || t == nil || t.blob.Size > quick {
			return t, nil
		}
		return t, m.open(m.ctx, t.blob)
	}
	t, o := next(false)
	for t != nil {
		var following *transfer
		var opened *opening
		var ahead sync.WaitGroup
		began := time.Now()
		eager := t.blob.Size <= quick // else what waits is better taken by others
		if t.err = m.slot(); t.err == nil {
			if eager {
				ahead.Go(func() { following, opened = next(true) })
			}
			t.err = m.move(m.ctx, t.blob, o)
			<-m.engine.slots
		} else {
			eager = false
		}
		o.close()
		m.strike(t.err, began)
		close(t.done)
		if t.blob.Size >= large {
			m.mu.Lock()
			m.widths--
			m.mu.Unlock()
		}
		if ahead.Wait(); !eager {
			following, opened = next(false)
		}
		t, o = following, opened
	}
}

// transfer returns the transfer of a blob that has been added.
func (m *mover) transfer(digest string) *transfer {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.blobs[digest]
}

// slot waits for one of the engine's streams.
func (m *mover) slot() error {
	select {
	case m.engine.slots <- struct{}{}:
		return nil
	case <-m.ctx.Done():
		return context.Cause(m.ctx)
	}
}

// outage is after how many failures in a row a registry that does not answer
// counts as down. One alone may be the trouble of a single blob.
const outage = 3

// strike ends everything when all the others would fail in the same way. It is
// called once for a request that was given up, not for all that waited for it.
// What something else got through beside, since its first try began, was not
// stopped by an outage: a few blobs that their storage cannot read any more must
// not keep thousands of others from being copied.
func (m *mover) strike(err error, began time.Time) {
	if err == nil || m.ctx.Err() != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if strings.HasSuffix(fault.ReasonOf(err), "-unavailable") || refused(err) {
		if m.outages++; m.meter.tookSince(began) {
			m.outages = 0
		}
	}
	if m.outages >= outage || errors.Is(err, pace.ErrThrottled) || errors.Is(err, registry.ErrNoLogin) {
		m.end(err)
	}
}

// join makes the mover part of a run that ends with it, and the other way round.
func (m *mover) join(ctx context.Context, end context.CancelCauseFunc) {
	context.AfterFunc(ctx, func() { m.cancel(context.Cause(ctx)) })
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.end = end; m.ctx.Err() != nil {
		end(context.Cause(m.ctx))
	}
}

// line is a heap of blobs that wait: base layers first, as most images wait for
// them; then what most writes must follow, as these take a round trip each.
type line []*transfer

func (l line) Len() int { return len(l) }

func (l line) Less(i, j int) bool {
	a, b := l[i], l[j]
	switch {
	case a.blob.Shared != b.blob.Shared:
		return a.blob.Shared > b.blob.Shared
	case a.blob.Above != b.blob.Above:
		return a.blob.Above > b.blob.Above
	}
	return a.seq < b.seq
}

func (l line) Swap(i, j int) {
	l[i], l[j] = l[j], l[i]
	l[i].place, l[j].place = i, j
}

func (l *line) Push(t any) {
	t.(*transfer).place = len(*l)
	*l = append(*l, t.(*transfer))
}

func (l *line) Pop() any {
	last := len(*l) - 1
	t := (*l)[last]
	(*l)[last], t.place = nil, started
	*l = (*l)[:last]
	return t
}
