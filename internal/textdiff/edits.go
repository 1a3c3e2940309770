package textdiff

import (
	"sort"
	"strings"

	"github.com/hexops/gotextdiff"
	"github.com/hexops/gotextdiff/myers"
	uri "github.com/hexops/gotextdiff/span"
)

// most is how many lines the library compares at once, of both sides together. Its
// memory grows with the lines times the differing lines: a rewrite that made forty
// thousand lines of one and a half took twelve gigabytes.
const most = 2000

// Edits are the changes from before to after, whole lines, in order. Long texts are
// compared between the lines that each side has once and both have in one order; what
// has no such line and is too long is one change.
func Edits(before, after string) []gotextdiff.TextEdit {
	return edits(lines(before), lines(after), 0)
}

// edits compares lines of which those before begin behind the first n.
func edits(a, b []string, n int) (out []gotextdiff.TextEdit) {
	if len(a)+len(b) <= most {
		for _, e := range myers.ComputeEdits("", strings.Join(a, ""), strings.Join(b, "")) {
			out = append(out, edit(e.Span.Start().Line()-1+n, e.Span.End().Line()-1+n, e.NewText))
		}
		return out
	}
	from, to := 0, 0
	for _, p := range append(anchors(a, b), [2]int{len(a), len(b)}) {
		switch x, y := a[from:p[0]], b[to:p[1]]; {
		case len(x) == 0 && len(y) == 0:
		case len(x)+len(y) <= most || len(x) < len(a) && len(x) > 0 && len(y) > 0:
			out = append(out, edits(x, y, n+from)...)
		default:
			out = append(out, edit(n+from, n+p[0], strings.Join(y, "")))
		}
		from, to = p[0]+1, p[1]+1
	}
	return out
}

func edit(from, to int, text string) gotextdiff.TextEdit {
	return gotextdiff.TextEdit{Span: uri.New("", uri.NewPoint(from+1, 1, 0), uri.NewPoint(to+1, 1, 0)), NewText: text}
}

// lines are the lines of a text with their ends.
func lines(s string) []string {
	out := strings.SplitAfter(s, "\n")
	if out[len(out)-1] == "" {
		out = out[:len(out)-1]
	}
	return out
}

// anchors are the places of lines that both sides have once, as many of them as stand in
// one order, and of the common lines at both ends.
// https://bramcohen.livejournal.com/73318.html
func anchors(a, b []string) (out [][2]int) {
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		out = append(out, [2]int{head, head})
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	type seen struct{ a, b, at, in int }
	count := map[string]*seen{}
	of := func(l string) *seen {
		if count[l] == nil {
			count[l] = &seen{}
		}
		return count[l]
	}
	for i := head; i < len(a)-tail; i++ {
		s := of(a[i])
		s.a, s.at = s.a+1, i
	}
	for i := head; i < len(b)-tail; i++ {
		s := of(b[i])
		s.b, s.in = s.b+1, i
	}
	var once [][2]int // in the order of a
	for i := head; i < len(a)-tail; i++ {
		if s := count[a[i]]; s.a == 1 && s.b == 1 {
			once = append(once, [2]int{s.at, s.in})
		}
	}
	// The longest run that grows on the other side, by the ends of the shorter ones.
	var ends []int
	before := make([]int, len(once))
	for i, p := range once {
		k := sort.Search(len(ends), func(k int) bool { return once[ends[k]][1] > p[1] })
		before[i] = -1
		if k > 0 {
			before[i] = ends[k-1]
		}
		ends = append(ends[:k], append([]int{i}, ends[min(k+1, len(ends)):]...)...)
	}
	run := make([][2]int, len(ends))
	if len(ends) > 0 {
		for i, k := ends[len(ends)-1], len(ends)-1; i >= 0; i, k = before[i], k-1 {
			run[k] = once[i]
		}
	}
	out = append(out, run...)
	for ; tail > 0; tail-- {
		out = append(out, [2]int{len(a) - tail, len(b) - tail})
	}
	return out
}
