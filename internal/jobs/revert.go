package jobs

import (
	"bytes"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/textdiff"
)

// hunk replaces lines [start, end) of a text, counted from 0.
type hunk struct {
	start, end int
	text       string
}

// revert takes the change from before to after out of current, which is after
// with changes by others. Where those touch the same lines, or lines next to
// them, it refuses and names the first such line of after, from 1.
func revert(before, after, current []byte) (restored []byte, line int, ok bool) {
	switch {
	case bytes.Equal(current, before):
		return before, 0, true
	case bytes.Equal(current, after):
		return before, 0, true
	}
	ours, theirs := hunks(after, before), hunks(after, current)
	var pending []hunk
	for _, o := range ours {
		same := false
		for _, t := range theirs {
			if o == t {
				same = true // somebody took this part back already
				break
			}
			if o.start <= t.end && t.start <= o.end {
				return nil, o.start + 1, false
			}
		}
		if !same {
			pending = append(pending, o)
		}
	}
	return []byte(apply(string(after), append(pending, theirs...))), 0, true
}

// hunks returns the changes from a to b, whole lines, in order; touching ones are one.
func hunks(a, b []byte) []hunk {
	var out []hunk
	for _, e := range textdiff.Edits(string(a), string(b)) {
		h := hunk{start: e.Span.Start().Line() - 1, end: e.Span.End().Line() - 1, text: e.NewText}
		if n := len(out); n > 0 && out[n-1].end >= h.start {
			out[n-1].end = max(out[n-1].end, h.end)
			out[n-1].text += h.text
			continue
		}
		out = append(out, h)
	}
	return out
}

// apply makes the changes, of which no two touch.
func apply(text string, hs []hunk) string {
	at := map[int]hunk{}
	for _, h := range hs {
		at[h.start] = h
	}
	lines := strings.SplitAfter(text, "\n")
	var b strings.Builder
	for i := 0; i <= len(lines); {
		h, ok := at[i]
		if ok {
			b.WriteString(h.text)
			if h.end > h.start {
				i = h.end
				continue
			}
		}
		if i < len(lines) {
			b.WriteString(lines[i])
		}
		i++
	}
	return b.String()
}
