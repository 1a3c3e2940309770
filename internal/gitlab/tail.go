package gitlab

import "bytes"

// tail is a writer that keeps the last bytes written to it.
type tail struct {
	limit int
	buf   []byte // grows to limit, then is a ring
	next  int    // where the oldest byte is, once the ring is full
	cut   bool
}

func newTail(limit int64) *tail { return &tail{limit: int(max(0, limit))} }

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	written := len(p)
	if over := len(p) - t.limit; over > 0 {
		p = p[over:]
		t.cut = true
	}
	if room := t.limit - len(t.buf); room > 0 {
		n := min(room, len(p))
		t.buf = append(t.buf, p[:n]...)
		p = p[n:]
	}
	for len(p) > 0 {
		t.cut = true
		n := copy(t.buf[t.next:], p)
		p = p[n:]
		t.next = (t.next + n) % len(t.buf)
	}
	return written, nil
}

// lines returns what was kept, without the broken line at its beginning.
func (t *tail) lines() []byte {
	all := make([]byte, 0, len(t.buf))
	all = append(append(all, t.buf[t.next:]...), t.buf[:t.next]...)
	if t.cut {
		if i := bytes.IndexByte(all, '\n'); i >= 0 {
			all = all[i+1:]
		}
	}
	return all
}
