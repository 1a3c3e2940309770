package calendar

import (
	"strings"
	"testing"
	"time"
)

func oslo(t *testing.T) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func TestHours(t *testing.T) {
	t.Parallel()
	const text = "Mon-Thu 08:00-16:00, Fri 08:00-12:00"
	hours, err := ParseHours(text)
	if err != nil {
		t.Fatal(err)
	}
	c := Calendar{Zone: oslo(t), Hours: hours, Text: text}
	for _, tc := range []struct{ at, until string }{
		{"2026-11-23T07:00:00Z", ""},                      // Monday 08:00 in Oslo
		{"2026-11-23T06:59:59Z", "2026-11-23T08:00+01"},   // a second before
		{"2026-11-23T15:00:00Z", "2026-11-24T08:00+01"},   // 16:00 is outside
		{"2026-11-27T10:59:00Z", ""},                      // Friday
		{"2026-11-27T11:00:00Z", "2026-11-30T08:00+01"},   // over the weekend
		{"2027-03-27T12:00:00Z", "2027-03-29T08:00+02"},   // over the change to summer time
		{"2026-10-24T12:00:00+02", "2026-10-26T08:00+01"}, // and back
	} {
		at, err := time.Parse("2006-01-02T15:04:05Z07", tc.at)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if closed := c.Look(at, "a/b"); closed != nil {
			got = closed.Until.Format("2006-01-02T15:04Z07")
			if !strings.Contains(closed.Message, "Fri 08:00-12:00, Europe/Oslo") {
				t.Errorf("%s: %s", tc.at, closed.Message)
			}
		}
		if got != tc.until {
			t.Errorf("%s: closed until %q, want %q", tc.at, got, tc.until)
		}
	}
	if closed := (Calendar{}).Look(time.Now(), "a/b"); closed != nil {
		t.Errorf("without hours: %v", closed)
	}
}

func TestHoursOverTheWeekEnd(t *testing.T) {
	t.Parallel()
	hours, err := ParseHours("sat-mon 00:00-24:00")
	if err != nil {
		t.Fatal(err)
	}
	c := Calendar{Hours: hours}
	for day, open := range map[int]bool{21: true, 22: true, 23: true, 24: false, 27: false} {
		if got := c.Look(time.Date(2026, 11, day, 23, 59, 0, 0, time.UTC), "a") == nil; got != open {
			t.Errorf("2026-11-%d: open %v, want %v", day, got, open)
		}
	}
}

func TestBadHours(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"always", "Mon 16:00-08:00", "Mon-Foo 08:00-16:00", "Mon 08:00-25:00", "Mon 08:61-09:00", "Mon-Fri 08:00-16:00,"} {
		if _, err := ParseHours(text); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

func TestFreezes(t *testing.T) {
	t.Parallel()
	zone := oslo(t)
	freezes, err := ParseFreezes(`
# the year's end
** 2026-12-20..2027-01-03 Christmas
kurs/** 2026-12-01 # exam
hr/lonn the owners leave it where it is
`, zone)
	if err != nil {
		t.Fatal(err)
	}
	c := Calendar{Zone: zone, Freezes: freezes}
	for _, tc := range []struct{ at, path, want string }{
		{"2026-12-01 00:00", "Kurs/deep/er", "kurs/** until 2026-12-01: exam"},
		{"2026-12-02 00:00", "kurs/deep", ""},
		{"2026-12-01 00:00", "kursus/a", ""},
		{"2027-01-03 23:59", "any/thing", "** until 2027-01-03: Christmas"},
		{"2027-01-04 00:00", "any/thing", ""},
		{"2030-01-01 00:00", "hr/lonn", "hr/lonn: the owners leave it where it is"},
		{"2030-01-01 00:00", "hr/lonn2", ""},
	} {
		at, err := time.ParseInLocation("2006-01-02 15:04", tc.at, zone)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if closed := c.Look(at, tc.path); closed != nil {
			_, got, _ = strings.Cut(closed.Message, "the freeze list (")
			got = strings.Replace(got, ")", "", 1)
		}
		if got != tc.want {
			t.Errorf("%s at %s: %q, want %q", tc.path, tc.at, got, tc.want)
		}
	}
	for _, bad := range []string{"a/b 2026-13-01", "\na/b 2026-12-02..2026-12-01"} {
		if _, err := ParseFreezes(bad, zone); err == nil || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
