package copy

import (
	"container/heap"
	"context"
	"sync"
)

// A plan that will be executed at once has its first blobs moved while it is
// still being made: what an image needs that nothing can keep from being copied
// is on its way when the last manifest is read. What is there already is asked
// before, a hundred digests a question; only the first question may hold fewer,
// so that all this costs one question more at most.

// fullQuestion is how many digests BatchCheckLayerAvailability takes.
const fullQuestion = 100

// asked is what a mover has asked the target.
type asked struct {
	pending []*transfer // not asked about yet
	once    bool
	abreast chan struct{} // questions on their way
	wait    sync.WaitGroup
	err     error // the first
}

// feed takes in a manifest that is sure to be copied, with all below it. above
// is how many writes must follow one another after its blobs.
func (p *planner) feed(t *tree, above int) {
	m := p.mover
	if m == nil {
		return
	}
	if _, held := p.held[t.manifest.Digest]; held {
		return
	}
	m.mu.Lock()
	fresh := !m.fed[t.manifest.Digest]
	if fresh {
		m.fed[t.manifest.Digest] = true
		for _, d := range t.blobs {
			m.want(Blob{Digest: d.Digest, MediaType: d.MediaType, Size: d.Size, Repository: t.repository, Shared: 1, Above: above})
		}
		m.question(false)
	}
	m.mu.Unlock()
	if fresh {
		for _, c := range t.children {
			p.feed(c, above+1)
		}
	}
}

// want takes note of a blob, or that one more manifest needs it. mu is held.
func (m *mover) want(b Blob) {
	t := m.blobs[b.Digest]
	if t == nil {
		m.asked.pending = append(m.asked.pending, m.add(b))
		return
	}
	if t.place == started {
		return
	}
	t.blob.Shared += b.Shared
	t.blob.Above = max(t.blob.Above, b.Above)
	if t.place >= 0 {
		if t.blob.Size >= large {
			heap.Fix(&m.wide, t.place)
		} else {
			heap.Fix(&m.small, t.place)
		}
	}
}

// question asks about what is pending, if that is worth a question: all of it
// if rest is set. mu is held.
func (m *mover) question(rest bool) {
	a := &m.asked
	for n := len(a.pending); n > 0; n = len(a.pending) {
		if n < fullQuestion && !rest && (a.once || n < m.engine.streams) {
			return
		}
		batch := a.pending[:min(n, fullQuestion)]
		a.pending, a.once = a.pending[len(batch):], true
		a.wait.Go(func() { m.ask(batch) })
	}
}

func (m *mover) ask(batch []*transfer) {
	digests := make([]string, len(batch))
	for i, t := range batch {
		digests[i] = t.blob.Digest
	}
	m.asked.abreast <- struct{}{}
	there, err := m.engine.ecr.Layers(m.tally.Of(m.ctx), m.target, digests)
	<-m.asked.abreast
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		if m.asked.err == nil {
			m.asked.err = err
		}
		return
	}
	for _, t := range batch {
		m.settle(t, there[t.blob.Digest])
	}
}

// rest asks about all blobs of a plan that have not been asked about, and fills
// in what is there.
func (m *mover) rest(blobs []Blob) error {
	m.mu.Lock()
	for _, b := range blobs {
		if m.blobs[b.Digest] == nil {
			m.want(b)
		}
	}
	m.question(true)
	m.mu.Unlock()
	m.asked.wait.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx.Err() != nil {
		return context.Cause(m.ctx)
	}
	if m.asked.err != nil {
		return m.asked.err
	}
	for i := range blobs {
		blobs[i].There = m.blobs[blobs[i].Digest].blob.There
	}
	return nil
}

// giveUp ends what has been sent ahead of a plan that did not come about.
func (m *mover) giveUp() {
	m.cancel(context.Canceled)
	m.asked.wait.Wait()
	m.wait.Wait()
}
