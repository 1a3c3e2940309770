// Package calendar says when a project may begin: within working hours, and not
// while it is frozen.
//
// Hours and freezes are lines that people write. Hours are weekdays and times,
// such as "Mon-Thu 08:00-16:00, Fri 08:00-12:00". A freeze is a pattern of
// project paths, with dates or for good, and why: "kurs/** 2026-12-01..2027-01-10
// exams". Both are meant in one time zone. The package is pure: the time is an
// argument.
package calendar

import (
	"bufio"
	"fmt"
	"regexp"
	"strings"
	"time"
	_ "time/tzdata" // images without a zone database exist
)

// Calendar is working hours and freezes. The zero value is always open.
type Calendar struct {
	Zone    *time.Location // UTC when nil
	Hours   []Hours
	Freezes []Freeze
	// Text is how the hours were written.
	Text string
}

// Hours are times of a day, on some weekdays.
type Hours struct {
	Days       [7]bool // by time.Weekday
	From, Till int     // minutes after midnight; Till is the first that is outside
}

// Freeze keeps the projects whose path matches from beginning.
type Freeze struct {
	Pattern     string // * within one part of the path, ** through groups
	path        *regexp.Regexp
	First, Last time.Time // dates; zero for no bound
	Why         string
}

// Left returns the freezes that are not over, those to come among them.
func (c Calendar) Left(now time.Time) (left []Freeze) {
	for _, f := range c.Freezes {
		if f.Last.IsZero() || now.Before(f.Last.AddDate(0, 0, 1)) {
			left = append(left, f)
		}
	}
	return left
}

// Closed says why a project may not begin, and until when as far as is known.
type Closed struct {
	Reason  string // outside-hours or frozen
	Message string
	Until   time.Time // zero: not known
}

// Look says whether the project at path may begin at the time now; nil is yes.
func (c Calendar) Look(now time.Time, path string) *Closed {
	zone := c.Zone
	if zone == nil {
		zone = time.UTC
	}
	now = now.In(zone)
	for _, f := range c.Freezes {
		if !f.path.MatchString(path) || !f.First.IsZero() && now.Before(f.First) {
			continue
		}
		end := time.Time{}
		text := path + " is on the freeze list (" + f.Pattern + ")"
		if !f.Last.IsZero() {
			if end = f.Last.AddDate(0, 0, 1); !now.Before(end) {
				continue
			}
			text += " until " + f.Last.Format(time.DateOnly)
		}
		if f.Why != "" {
			text += ": " + f.Why
		}
		return &Closed{Reason: "frozen", Message: text, Until: end}
	}
	if c.open(now) {
		return nil
	}
	at := c.opens(now)
	return &Closed{
		Reason: "outside-hours", Until: at,
		Message: fmt.Sprintf("outside working hours (%s, %s)", c.Text, zone),
	}
}

func (c Calendar) open(t time.Time) bool {
	if len(c.Hours) == 0 {
		return true
	}
	minute := t.Hour()*60 + t.Minute()
	for _, h := range c.Hours {
		if h.Days[t.Weekday()] && minute >= h.From && minute < h.Till {
			return true
		}
	}
	return false
}

// opens returns when hours that are closed at t begin next. Clocks that are put
// forward or back are the time zone's affair: the wall clock decides.
func (c Calendar) opens(t time.Time) time.Time {
	var best time.Time
	for day := range 8 {
		for _, h := range c.Hours {
			at := time.Date(t.Year(), t.Month(), t.Day()+day, h.From/60, h.From%60, 0, 0, t.Location())
			if h.Days[at.Weekday()] && at.After(t) && (best.IsZero() || at.Before(best)) {
				best = at
			}
		}
	}
	return best
}

var (
	weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
	hoursRE  = regexp.MustCompile(`^([a-z]{3})(?:-([a-z]{3}))? ([0-9]{1,2}):([0-9]{2})-([0-9]{1,2}):([0-9]{2})$`)
)

// ParseHours reads working hours; "" is always.
func ParseHours(text string) ([]Hours, error) {
	var all []Hours
	for part := range strings.SplitSeq(text, ",") {
		part = strings.Join(strings.Fields(strings.ToLower(part)), " ")
		if part == "" && strings.TrimSpace(text) == "" {
			return nil, nil
		}
		m := hoursRE.FindStringSubmatch(part)
		if m == nil {
			return nil, fmt.Errorf("%q is not understood; write days and times such as Mon-Fri 08:00-16:00", part)
		}
		h := Hours{From: minutes(m[3], m[4]), Till: minutes(m[5], m[6])}
		if h.From < 0 || h.Till < 0 || h.From >= h.Till {
			return nil, fmt.Errorf("%q: the times must be of one day, the earlier one first (24:00 is the end of the day)", part)
		}
		first, last := weekday(m[1]), weekday(m[1])
		if m[2] != "" {
			last = weekday(m[2])
		}
		if first < 0 || last < 0 {
			return nil, fmt.Errorf("%q: the days are Mon, Tue, Wed, Thu, Fri, Sat, Sun", part)
		}
		for d := first; ; d = (d + 1) % 7 {
			h.Days[d] = true
			if d == last {
				break
			}
		}
		all = append(all, h)
	}
	return all, nil
}

func weekday(s string) int {
	for i, w := range weekdays {
		if w == s {
			return i
		}
	}
	return -1
}

// minutes returns the minutes after midnight, -1 for no time of day.
func minutes(hour, minute string) int {
	var h, m int
	fmt.Sscanf(hour, "%d", &h)
	fmt.Sscanf(minute, "%d", &m)
	if m > 59 || h*60+m > 24*60 {
		return -1
	}
	return h*60 + m
}

// ParseFreezes reads a freeze list: a pattern a line, then dates (one, or the
// first and the last with .. between) or none, then why. Empty lines and those
// that begin with # do not count. Errors name the line.
func ParseFreezes(text string, zone *time.Location) ([]Freeze, error) {
	var all []Freeze
	lines := bufio.NewScanner(strings.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		words := strings.Fields(lines.Text())
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		f := Freeze{Pattern: words[0], path: pattern(words[0])}
		words = words[1:]
		if len(words) > 0 && words[0] != "" && words[0][0] >= '0' && words[0][0] <= '9' {
			from, till, both := strings.Cut(words[0], "..")
			if !both {
				till = from
			}
			var err error
			if f.First, err = time.ParseInLocation(time.DateOnly, from, zone); err == nil {
				f.Last, err = time.ParseInLocation(time.DateOnly, till, zone)
			}
			if err != nil {
				return nil, fmt.Errorf("line %d: %q are no dates; write 2026-12-20..2027-01-03", n, words[0])
			}
			if f.Last.Before(f.First) {
				return nil, fmt.Errorf("line %d: %s ends before it begins", n, words[0])
			}
			words = words[1:]
		}
		f.Why = strings.TrimPrefix(strings.Join(words, " "), "# ")
		all = append(all, f)
	}
	return all, lines.Err()
}

var wildcards = strings.NewReplacer(`\*\*`, `.*`, `\*`, `[^/]*`, `\?`, `[^/]`)

// Matches says whether the project at path is one that a freeze's pattern means.
func Matches(glob, path string) bool { return pattern(glob).MatchString(path) }

// pattern reads a path pattern as --match does.
func pattern(glob string) *regexp.Regexp {
	return regexp.MustCompile("(?i)^" + wildcards.Replace(regexp.QuoteMeta(strings.Trim(glob, "/"))) + "$")
}
