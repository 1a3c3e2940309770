package copy

import (
	"context"
	"sync"
)

// homes remembers in which repository of ours a blob is, so that another one
// can take it over without a byte being sent. Whether the account allows that
// is asked once, and not before there is something to take over.
type homes struct {
	mu      sync.Mutex
	at      map[string]string // blob digest to target repository
	probe   sync.Once
	allowed bool
}

// most is how many blobs are remembered; a worker may run for weeks.
const most = 50_000

func (h *homes) note(digest, repository string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.at == nil || len(h.at) >= most {
		h.at = make(map[string]string)
	}
	h.at[digest] = repository
}

// home returns the repository that a blob can be taken over from, or "".
func (e *Engine) home(ctx context.Context, digest, target string) string {
	h := &e.homes
	h.mu.Lock()
	from := h.at[digest]
	h.mu.Unlock()
	if from == "" || from == target {
		return ""
	}
	h.probe.Do(func() {
		on, err := e.ecr.BlobMounting(ctx)
		if err != nil {
			// A role that may not ask copies as if the answer were no.
			e.log.Debug("blob mounting is not known", "error", err)
		}
		h.allowed = on
	})
	if !h.allowed {
		return ""
	}
	return from
}
