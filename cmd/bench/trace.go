package main

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// trace is the requests of one scenario in time, to see what waits for what.
// A nil trace takes no notes.
type trace struct {
	file string

	mu    sync.Mutex
	lines []traced
}

type traced struct {
	side, what string
	fresh      bool // on a new connection
	start, end time.Time
}

func newTrace(file string) *trace {
	if file == "" {
		return nil
	}
	return &trace{file: file}
}

func (t *trace) note(side string, r *http.Request, fresh bool, start time.Time) {
	if t == nil {
		return
	}
	what := r.Method + " " + r.URL.Path
	if operation := r.Header.Get("X-Amz-Target"); operation != "" {
		what = operation[strings.LastIndexByte(operation, '.')+1:]
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, traced{side, what, fresh, start, time.Now()})
}

// write appends what has come since the last call to the file, with the
// milliseconds since start.
func (t *trace) write(tool, scenario string, start time.Time) error {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	lines := t.lines
	t.lines = nil
	t.mu.Unlock()
	slices.SortFunc(lines, func(a, b traced) int { return cmp.Or(a.start.Compare(b.start), cmp.Compare(a.what, b.what)) })
	f, err := os.OpenFile(t.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	ms := func(at time.Time) float64 { return float64(at.Sub(start).Microseconds()) / 1000 }
	for _, l := range lines {
		connection := "kept"
		if l.fresh {
			connection = "new"
		}
		if _, err := fmt.Fprintf(f, "%s\t%s\t%.1f\t%.1f\t%s\t%s\t%s\n", tool, scenario, ms(l.start), ms(l.end), l.side, connection, l.what); err != nil {
			return err
		}
	}
	return f.Close()
}
