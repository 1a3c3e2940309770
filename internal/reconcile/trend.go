package reconcile

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

const (
	week = 7 * 24 * time.Hour
	// memory is how far back the pace is measured: what was done months ago
	// says little about the coming weeks.
	memory = 8 * week
	// measurable is the least time that a pace can be measured over.
	measurable = 24 * time.Hour
	// horizon is how far ahead a date means anything.
	horizon = 5 * 52 * week
)

// forecast measures the pace and names the date, if there is one.
func (r *Report) forecast() {
	h := &r.Headline
	now := r.Trend[len(r.Trend)-1]
	i := slices.IndexFunc(r.Trend, func(p Point) bool { return now.At.Sub(p.At) <= memory })
	first := r.Trend[i]
	span := now.At.Sub(first.At)
	if span < measurable {
		h.Forecast = "There is no earlier report to measure the pace by."
		if h.NeedingOld == 0 {
			h.Forecast = ""
		}
		return
	}
	pace := float64(first.NeedingOld-now.NeedingOld) / (float64(span) / float64(week))
	pace = math.Round(pace*10) / 10
	h.PerWeek = &pace
	since := day(first.At)
	switch {
	case h.NeedingOld == 0:
		h.Forecast = ""
	case first.NeedingOld == now.NeedingOld:
		h.Forecast = fmt.Sprintf("At the present pace there is no date: as many needed it on %s.", since)
	case pace <= 0:
		h.Forecast = fmt.Sprintf("At the present pace there is no date: %d needed it on %s, and %d do now.", first.NeedingOld, since, now.NeedingOld)
	default:
		left := time.Duration(float64(h.NeedingOld) / pace * float64(week))
		if left > horizon || left < 0 {
			h.Forecast = fmt.Sprintf("At the present pace, %.1f projects a week since %s, it takes more than five years.", pace, since)
			return
		}
		date := now.At.Add(left).UTC().Truncate(24 * time.Hour)
		h.Date = &date
		h.Forecast = fmt.Sprintf("At the present pace, %.1f projects a week since %s, nobody needs it from about %s on.", pace, since, day(date))
	}
}

// Changes is what became different between two reports.
type Changes struct {
	From   int64     `json:"from"` // the earlier report's id
	FromAt time.Time `json:"from_at"`
	To     int64     `json:"to"`
	// NeedingOld is by how many more projects need the old registry now.
	NeedingOld int `json:"needing_old"`
	// The lists are by path, then by gravity.
	New      []Change `json:"new"`      // in a class that it was not in
	Resolved []Change `json:"resolved"` // no longer in one
	Joined   []string `json:"joined"`   // subjects that were not there
	Left     []string `json:"left"`     // subjects that are no longer there
}

// Change is a subject that came into a class or out of it.
type Change struct {
	Kind     string   `json:"kind"`
	Path     string   `json:"path"`
	Class    Class    `json:"class"`
	Severity Severity `json:"severity"`
	Detail   string   `json:"detail"`
	NeedsOld bool     `json:"needs_old"`
}

// Empty says that nothing is different.
func (c Changes) Empty() bool {
	return len(c.New)+len(c.Resolved)+len(c.Joined)+len(c.Left) == 0
}

// Compare returns what became different from one report to a later one. A report
// on some projects only is compared on those. Being in sync, or under way, is
// no news by itself.
func Compare(from, to Report) Changes {
	c := Changes{
		From: from.ID, FromAt: from.FinishedAt, To: to.ID, NeedingOld: to.Headline.NeedingOld - from.Headline.NeedingOld,
		New: []Change{}, Resolved: []Change{}, Joined: []string{}, Left: []string{},
	}
	type key struct{ kind, path string }
	index := func(r Report) map[key]Subject {
		m := make(map[key]Subject, len(r.Subjects))
		for _, s := range r.Subjects {
			m[key{s.Kind, s.Path}] = s
		}
		return m
	}
	was, is := index(from), index(to)
	if len(to.Scope) > 0 || len(from.Scope) > 0 {
		c.NeedingOld = 0
		for k, s := range is {
			before, ok := was[k]
			if !ok {
				delete(is, k)
			} else if s.NeedsOld != before.NeedsOld {
				c.NeedingOld += map[bool]int{true: 1, false: -1}[s.NeedsOld]
			}
		}
		for k := range was {
			if _, ok := is[k]; !ok {
				delete(was, k)
			}
		}
	}
	for k, s := range is {
		before, ok := was[k]
		if !ok {
			c.Joined = append(c.Joined, s.Path)
		}
		c.New = append(c.New, fresh(before, s)...)
		if s.Class() != NotObserved { // of one that was not looked at, nothing is known to be over
			c.Resolved = append(c.Resolved, fresh(s, before)...)
		}
	}
	for k, s := range was {
		if _, ok := is[k]; !ok {
			c.Left = append(c.Left, s.Path)
		}
	}
	order := func(a, b Change) int {
		return cmp.Or(cmp.Compare(rank(a.Class), rank(b.Class)), cmp.Compare(a.Path, b.Path))
	}
	slices.SortFunc(c.New, order)
	slices.SortFunc(c.Resolved, order)
	slices.Sort(c.Joined)
	slices.Sort(c.Left)
	return c
}

// fresh returns the findings of b in classes that a is not in.
func fresh(a, b Subject) []Change {
	var out []Change
	for _, f := range b.Findings {
		if f.Class == InSync || f.Class == UnderWay {
			continue
		}
		if !slices.ContainsFunc(a.Findings, func(g Finding) bool { return g.Class == f.Class }) {
			out = append(out, Change{Kind: b.Kind, Path: b.Path, Class: f.Class, Severity: f.Severity, Detail: f.Detail, NeedsOld: f.NeedsOld})
		}
	}
	return out
}
