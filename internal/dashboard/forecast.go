package dashboard

import (
	"time"
)

// enough is how many projects must have finished before a pace means anything.
const enough = 5

// forecast says when the rest will be done if things go on as they do.
type forecast struct {
	Remaining int
	// Known is false when there is nothing to go by; Why says so.
	Known bool
	Why   string
	// PerDay is the present pace. ETA follows from it; Early and Late from the
	// faster and the slower of the present and the overall pace.
	PerDay           float64
	ETA, Early, Late time.Time
}

// predict extrapolates from how many projects were done at the end of each slot
// of time. The present pace is that of the last quarter of the time since the
// first project was done, the overall pace that of all of it.
func predict(total int, done []int, begin time.Time, slot time.Duration, now time.Time) forecast {
	if len(done) == 0 {
		return forecast{Remaining: total, Why: "nothing has begun"}
	}
	last := done[len(done)-1]
	f := forecast{Remaining: max(0, total-last)}
	first := 0
	for first < len(done) && done[first] == 0 {
		first++
	}
	switch {
	case f.Remaining == 0:
		f.Why = "nothing remains"
		return f
	case last < enough:
		f.Why = "too few are done to tell a pace"
		return f
	}
	before := 0
	if first > 0 {
		before = done[first-1]
	}
	began := begin.Add(time.Duration(first) * slot)
	period := max(now.Sub(began), slot)
	overall := float64(last-before) / period.Hours()

	back := max(1, (len(done)-first+3)/4)
	at := max(0, len(done)-1-back)
	recent := float64(last-done[at]) / now.Sub(begin.Add(time.Duration(at+1)*slot)).Hours()
	if recent <= 0 {
		f.Why = "nothing was done in the last " + roughly(time.Duration(back)*slot)
		return f
	}
	arrive := func(perHour float64) time.Time {
		// A pace of next to nothing would overflow: ten years are as good as never.
		hours := min(float64(f.Remaining)/perHour, 10*365*24)
		return now.Add(time.Duration(hours * float64(time.Hour)))
	}
	f.Known, f.PerDay = true, recent*24
	f.ETA, f.Early, f.Late = arrive(recent), arrive(max(recent, overall)), arrive(min(recent, overall))
	return f
}
