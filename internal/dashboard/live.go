package dashboard

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// beat is how often the database is asked whether something has happened, per
// process and not per reader; breath how often a silent connection says that it
// is still there, so that proxies keep it.
const (
	beat   = time.Second
	breath = 20 * time.Second
)

// pulse tells its listeners when something has happened to a project, or to any.
type pulse struct {
	store *store.Store
	log   *slog.Logger
	ctx   context.Context

	mu        sync.Mutex
	listeners map[chan string]int64 // the project that concerns each, 0 for all
	watching  bool
}

func newPulse(ctx context.Context, st *store.Store, log *slog.Logger) *pulse {
	return &pulse{ctx: ctx, store: st, log: log, listeners: map[chan string]int64{}}
}

// listen returns a channel that gets the pulse of a project whenever it
// changes, at first at once; a slow listener misses some. It is closed when the
// process ends. Whoever listens must call stop.
func (p *pulse) listen(project int64) (said <-chan string, stop func()) {
	c := make(chan string, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listeners[c] = project
	if !p.watching {
		p.watching = true
		go p.watch()
	}
	return c, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.listeners, c)
	}
}

// watch asks as long as somebody listens.
func (p *pulse) watch() {
	last := map[chan string]string{}
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		p.mu.Lock()
		if len(p.listeners) == 0 {
			p.watching = false
			p.mu.Unlock()
			return
		}
		concerned := map[int64][]chan string{}
		for c, project := range p.listeners {
			concerned[project] = append(concerned[project], c)
		}
		maps.DeleteFunc(last, func(c chan string, _ string) bool { _, there := p.listeners[c]; return !there })
		p.mu.Unlock()
		for project, cs := range concerned {
			now, err := p.store.Pulse(p.ctx, project)
			if err != nil {
				p.log.DebugContext(p.ctx, "no pulse", "error", err.Error())
				continue
			}
			for _, c := range cs {
				if last[c] == now {
					continue
				}
				select {
				case c <- now:
					last[c] = now
				default: // it has not read the one before; the next beat tries again
				}
			}
		}
		select {
		case <-p.ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// live is the stream of events that the script listens to.
func (s *server) live(w http.ResponseWriter, r *http.Request) {
	project, _ := strconv.ParseInt(r.FormValue("project"), 10, 64)
	said, stop := s.pulse.listen(project)
	defer stop()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // proxies of the nginx kind
	flush := http.NewResponseController(w)
	silence := time.NewTicker(breath)
	defer silence.Stop()
	for text := "retry: 3000\n\n"; ; {
		if _, err := fmt.Fprint(w, text); err != nil || flush.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-s.pulse.ctx.Done():
			return
		case pulse := <-said:
			text = fmt.Sprintf("event: turn\ndata: %s\n\n", pulse)
		case <-silence.C:
			text = ": still here\n\n"
		}
	}
}
