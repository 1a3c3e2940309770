package runner

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/clock"
)

// trace writes a job's log in GitLab's form: sections with times, masked values,
// an upper limit. Commands in the background may still write after the job; a
// closed trace drops that.
type trace struct {
	mu      sync.Mutex
	w       io.Writer
	clock   *clock.Clock
	left    int // bytes until the limit
	limit   int
	secrets []string
	held    []byte // the last line, until it is complete: a secret may be cut in two
	closed  bool
}

func newTrace(w io.Writer, limit int, c *clock.Clock) *trace {
	return &trace{w: w, left: limit, limit: limit, clock: c}
}

// mask hides a value from now on. Short values are not masked, as in GitLab,
// where they cannot be marked so.
func (t *trace) mask(secret string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range strings.Split(secret, "\n") {
		if len(s) >= 8 && !slices.Contains(t.secrets, s) {
			t.secrets = append(t.secrets, s)
		}
	}
	// Longest first, so that no part of a longer one is left standing.
	slices.SortFunc(t.secrets, func(a, b string) int { return len(b) - len(a) })
}

// longLine is how much of a line without an end is held back.
const longLine = 64 << 10

func (t *trace) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return len(p), nil
	}
	t.held = append(t.held, p...)
	if end := bytes.LastIndexByte(t.held, '\n') + 1; end > 0 {
		t.emit(t.held[:end])
		t.held = append(t.held[:0], t.held[end:]...)
	} else if len(t.held) > longLine {
		t.flush()
	}
	return len(p), nil
}

func (t *trace) flush() {
	if len(t.held) > 0 {
		t.emit(t.held)
		t.held = t.held[:0]
	}
}

func (t *trace) emit(p []byte) {
	for _, s := range t.secrets {
		p = bytes.ReplaceAll(p, []byte(s), []byte("[MASKED]"))
	}
	if t.left <= 0 {
		return
	}
	cut := len(p) > t.left
	if cut {
		p = p[:t.left]
	}
	t.left -= len(p)
	t.w.Write(p)
	if cut || t.left == 0 {
		t.left = 0
		fmt.Fprintf(t.w, "\n\x1b[33;1mJob's log exceeded limit of %d bytes.\nJob execution will continue but no more output will be collected.\x1b[0;m\n", t.limit)
	}
}

// always writes also beyond the limit: the runner's own last words.
func (t *trace) always(s string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flush()
	left := t.left
	t.left = max(left, len(s)+1)
	t.emit([]byte(s))
	t.left = max(left-len(s), 0)
}

func (t *trace) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flush()
	t.closed = true
}

func (t *trace) line(s string) { io.WriteString(t, s+"\n") }

// failed is the last line of a failed job.
func (t *trace) failed(s string) { t.always("\x1b[31;1mERROR: " + s + "\n\x1b[0;m\n") }

func (t *trace) header(e ci.Execution) {
	t.line("\x1b[0KRunning with gitlab-runner 17.11.0 (0f67ff19)\x1b[0;m")
	t.line("\x1b[0K  on sandbox-docker sB4xD0ck, system ID: s_5a9d0f3c7b21\x1b[0;m")
}

// section brackets what f writes as GitLab's collapsible sections are, see
// https://docs.gitlab.com/ci/jobs/job_logs/#custom-collapsible-sections.
func (t *trace) section(name, title string, f func() error) error {
	t.always(fmt.Sprintf("section_start:%d:%s\r\x1b[0K\x1b[0K\x1b[36;1m%s\x1b[0;m\x1b[0;m\n", t.clock.Now().Unix(), name, title))
	err := f()
	t.always(fmt.Sprintf("section_end:%d:%s\r\x1b[0K", t.clock.Now().Unix(), name))
	return err
}
