package reconcile

import (
	"fmt"
	"time"
	_ "time/tzdata" // images without a file system of zones know them too

	"github.com/robfig/cron/v3"
)

// Schedule is a cron expression on the clock of a time zone. Each time that the
// expression names comes once: an hour that the clock shows twice counts the
// first time, and a time that the clock leaps over is due right after the leap.
// (A plain cron would run twice, or not at all and so skip a whole week.)
type Schedule struct {
	spec cron.Schedule
	zone *time.Location
	text string
}

// ParseSchedule reads five fields (minute, hour, day of the month, month, day of
// the week) or a word such as @weekly, and the name of a time zone such as
// Europe/Oslo; "" is UTC.
func ParseSchedule(expression, zone string) (Schedule, error) {
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return Schedule{}, fmt.Errorf("time zone %q is not known; write a name such as Europe/Oslo or UTC", zone)
	}
	spec, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor).Parse(expression)
	if err != nil {
		return Schedule{}, fmt.Errorf("%q is no schedule: %w; write minute, hour, day of the month, month, day of the week, such as 0 6 * * 1", expression, err)
	}
	if _, ok := spec.(*cron.SpecSchedule); !ok {
		return Schedule{}, fmt.Errorf("%q is no schedule by the clock; write five fields such as 0 6 * * 1", expression)
	}
	s := Schedule{spec, loc, expression}
	if s.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return Schedule{}, fmt.Errorf("%q never comes; write a day that there is", expression)
	}
	return s, nil
}

// String returns the expression and the zone.
func (s Schedule) String() string { return s.text + " " + s.zone.String() }

// Expression returns the expression as it was given.
func (s Schedule) Expression() string { return s.text }

// Zone returns the name of the time zone.
func (s Schedule) Zone() string { return s.zone.String() }

// Next returns the first time after t that is due; zero if none ever is.
func (s Schedule) Next(t time.Time) time.Time {
	// Walking on the face of the clock, where no hour is missing or doubled. A
	// day earlier is early enough: no clock is set by more.
	face := onFace(t.In(s.zone)).Add(-24 * time.Hour)
	for {
		if face = s.spec.Next(face); face.IsZero() {
			return time.Time{}
		}
		if at := s.instant(face); at.After(t) {
			return at
		}
	}
}

// Due returns the latest time that was due after since, and not after now.
func (s Schedule) Due(since, now time.Time) (due time.Time, ok bool) {
	// Looking back in growing steps: a schedule of every minute must not walk a
	// year, and a yearly one must be found.
	for _, back := range []time.Duration{time.Hour, 25 * time.Hour, 8 * 24 * time.Hour, 32 * 24 * time.Hour, 367 * 24 * time.Hour, 5 * 367 * 24 * time.Hour} {
		from := now.Add(-back)
		if from.Before(since) {
			from = since
		}
		for at := s.Next(from); !at.IsZero() && !at.After(now); at = s.Next(at) {
			due, ok = at, true
		}
		if ok || from.Equal(since) {
			return due, ok
		}
	}
	return due, ok
}

// onFace is what the clock on the wall shows, as if it were UTC.
func onFace(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// instant is when the clock on the wall shows this for the first time, or, when
// it leaps over it, the end of the leap.
func (s Schedule) instant(face time.Time) time.Time {
	// The two offsets that may hold around it.
	_, before := face.Add(-24 * time.Hour).In(s.zone).Zone()
	_, after := face.Add(24 * time.Hour).In(s.zone).Zone()
	first := face.Add(-time.Duration(max(before, after)) * time.Second)
	second := face.Add(-time.Duration(min(before, after)) * time.Second)
	switch {
	case onFace(first.In(s.zone)).Equal(face):
		return first
	case onFace(second.In(s.zone)).Equal(face):
		return second
	}
	// The leap lies between: what the old offset still makes of this time is as
	// far behind the leap as the clock would have been into the missing hour.
	start, end := first, second
	for end.Sub(start) > time.Second {
		middle := start.Add(end.Sub(start) / 2).Truncate(time.Second)
		if _, offset := middle.In(s.zone).Zone(); offset == before {
			start = middle
		} else {
			end = middle
		}
	}
	return end
}
