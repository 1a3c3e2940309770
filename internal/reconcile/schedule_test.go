package reconcile_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"gitlab.sikt.no/platon/ecrferry/internal/reconcile"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestNext(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, expression, zone, after, want string }{
		{"weekly", "0 6 * * 1", "Europe/Oslo", "2026-03-03T12:00:00Z", "2026-03-09T05:00:00Z"},
		{"not itself", "0 6 * * 1", "UTC", "2026-03-09T06:00:00Z", "2026-03-16T06:00:00Z"},
		{"over the change to summer time", "0 6 * * 1", "Europe/Oslo", "2026-03-23T05:00:00Z", "2026-03-30T04:00:00Z"},
		{"over the change to winter time", "0 6 * * 1", "Europe/Oslo", "2026-10-19T04:00:00Z", "2026-10-26T05:00:00Z"},
		// The clock leaps from 02:00 to 03:00 on 29 March: 02:30 is due at 03:00.
		{"in the missing hour", "30 2 * * 0", "Europe/Oslo", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z"},
		{"after the missing hour", "30 2 * * 0", "Europe/Oslo", "2026-03-29T01:00:00Z", "2026-04-05T00:30:00Z"},
		// The clock shows 02:30 twice on 25 October: the first time counts.
		{"in the doubled hour", "30 2 * * 0", "Europe/Oslo", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"},
		{"in the doubled hour, once", "30 2 * * 0", "Europe/Oslo", "2026-10-25T00:30:00Z", "2026-11-01T01:30:00Z"},
		{"half an hour of leap", "15 2 * * 0", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", "2026-10-03T15:30:00Z"},
		{"word", "@weekly", "UTC", "2026-03-03T12:00:00Z", "2026-03-08T00:00:00Z"},
		{"a day that comes seldom", "0 6 29 2 *", "UTC", "2026-03-01T00:00:00Z", "2028-02-29T06:00:00Z"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := reconcile.ParseSchedule(tt.expression, tt.zone)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := s.Next(at(t, tt.after)), at(t, tt.want); !got.Equal(want) {
				t.Errorf("after %s comes %s, want %s", tt.after, got.UTC().Format(time.RFC3339), tt.want)
			}
		})
	}
}

func TestRefusedSchedules(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ expression, zone string }{
		{"", "UTC"}, {"0 6 * *", "UTC"}, {"0 25 * * *", "UTC"}, {"0 6 31 2 *", "UTC"}, {"@every 1h", "UTC"}, {"0 6 * * 1", "Europe/Atlantis"},
	} {
		if _, err := reconcile.ParseSchedule(tt.expression, tt.zone); err == nil {
			t.Errorf("%q in %q was accepted", tt.expression, tt.zone)
		}
	}
}

// TestOnceAWeek walks years in random steps, as workers that come and go, and
// finds one due time a week, whatever the clocks did.
func TestOnceAWeek(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		hour, minute := rapid.IntRange(0, 23).Draw(t, "hour"), rapid.IntRange(0, 59).Draw(t, "minute")
		weekday := rapid.IntRange(0, 6).Draw(t, "weekday")
		zone := rapid.SampledFrom([]string{"Europe/Oslo", "America/New_York", "Australia/Lord_Howe", "UTC", "Africa/Casablanca"}).Draw(t, "zone")
		s, err := reconcile.ParseSchedule(
			time.Date(2000, 1, 1, hour, minute, 0, 0, time.UTC).Format("4 15 * * ")+string(rune('0'+weekday)), zone)
		if err != nil {
			t.Fatal(err)
		}
		since := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
		now, last, runs := since, since, 0
		for now.Before(since.AddDate(1, 0, 0)) {
			now = now.Add(time.Duration(rapid.IntRange(1, 5*24*60).Draw(t, "minutes")) * time.Minute)
			due, ok := s.Due(last, now)
			if !ok {
				if now.Sub(last) > 8*24*time.Hour {
					t.Fatalf("nothing was due between %v and %v", last, now)
				}
				continue
			}
			if due.After(now) || !due.After(last) {
				t.Fatalf("due %v, after %v, at %v", due, last, now)
			}
			if runs > 0 && (due.Sub(last) < 6*24*time.Hour+20*time.Hour || due.Sub(last) > 7*24*time.Hour+4*time.Hour) {
				t.Fatalf("%v passed between %v and %v", due.Sub(last), last, due)
			}
			last = due
			runs++
		}
		if runs < 51 || runs > 54 {
			t.Fatalf("%d runs in a year", runs)
		}
	})
}
