package dashboard

import (
	"context"
	"sync"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// span is a stretch of time in equal slots; the last one holds the present.
type span struct {
	Begin time.Time
	Slot  time.Duration
	Slots int
}

// slotLengths are the lengths that people can read off a chart.
var slotLengths = []time.Duration{
	time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour,
}

// mostSlots is as fine as a chart gets.
const mostSlots = 90

// spanOf cuts the time from begin to now into slots that begin at full minutes,
// hours and so on.
func spanOf(begin, now time.Time) span {
	slot := slotLengths[len(slotLengths)-1]
	for _, l := range slotLengths {
		if now.Sub(begin) <= mostSlots*l {
			slot = l
			break
		}
	}
	begin = begin.Truncate(slot)
	return span{begin, slot, int(now.Sub(begin)/slot) + 1}
}

// end is when a slot ends.
func (s span) end(i int) time.Time { return s.Begin.Add(time.Duration(i+1) * s.Slot) }

// index is the slot that a time falls into, -1 for before.
func (s span) index(t time.Time) int {
	if t.Before(s.Begin) {
		return -1
	}
	return min(int(t.Sub(s.Begin)/s.Slot), s.Slots-1)
}

// history is the fleet over a span, one number a slot.
type history struct {
	span
	// In counts the projects of each band at the end of each slot, without those
	// that nothing has happened to yet.
	In map[store.Band][]int
	// Finished counts those that became done within a slot, Images and Bytes what
	// was copied.
	Finished, Images []int
	Bytes            []int64
}

// past keeps the last history for a moment: it costs a walk over all steps, and
// several readers ask for the same.
type past struct {
	store *store.Store

	mu    sync.Mutex
	begin time.Time
	until time.Time
	kept  history
}

// since returns the history from begin to now.
func (p *past) since(ctx context.Context, begin time.Time) (history, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.begin.Equal(begin) && now.Before(p.until) {
		return p.kept, nil
	}
	h := history{span: spanOf(begin, now)}
	moves, err := p.store.Moves(ctx, h.Begin, h.Slot)
	if err != nil {
		return h, err
	}
	copied, err := p.store.Copied(ctx, h.Begin, h.Slot)
	if err != nil {
		return h, err
	}
	h.read(moves, copied)
	// What is slow is kept longer, so that it never takes more than a tenth of
	// the time; but what is quick is always fresh.
	p.kept, p.begin, p.until = h, begin, now.Add(10*time.Since(now))
	return h, nil
}

// read adds moves up to how many projects were where.
func (h *history) read(moves []store.Move, copied []store.Copied) {
	h.Finished, h.Images, h.Bytes = make([]int, h.Slots), make([]int, h.Slots), make([]int64, h.Slots)
	h.In = map[store.Band][]int{}
	delta := map[store.Band][]int{}
	begin := map[store.Band]int{}
	add := func(b store.Band, slot, n int) {
		if slot < 0 {
			begin[b] += n
			return
		}
		if delta[b] == nil {
			delta[b] = make([]int, h.Slots)
		}
		delta[b][slot] += n
	}
	for _, m := range moves {
		i := h.index(m.Slot)
		add(m.To, i, m.Projects)
		add(m.From, i, -m.Projects)
		if m.To == store.BandDone && i >= 0 {
			h.Finished[i] += m.Projects
		}
	}
	for _, b := range []store.Band{store.BandActive, store.BandWaiting, store.BandAttention, store.BandFailed, store.BandDone} {
		h.In[b] = make([]int, h.Slots)
		n := begin[b]
		for i := range h.Slots {
			if d := delta[b]; d != nil {
				n += d[i]
			}
			h.In[b][i] = n
		}
	}
	for _, c := range copied {
		if i := h.index(c.Slot); i >= 0 {
			h.Images[i] += c.Images
			h.Bytes[i] += c.Bytes
		}
	}
}
