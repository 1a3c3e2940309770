package reconcile_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.sikt.no/platon/ecrferry/internal/reconcile"
)

// subject is a project in these classes.
func subject(path string, needsOld bool, cs ...reconcile.Class) reconcile.Subject {
	s := reconcile.Subject{Kind: "project", Path: path, Group: reconcile.GroupOf(path), NeedsOld: needsOld}
	for _, c := range cs {
		m := reconcile.MeaningOf(c)
		s.Findings = append(s.Findings, reconcile.Finding{Class: c, Severity: m.Severity, Owner: m.Owner, NeedsOld: needsOld, Detail: "because"})
	}
	return s
}

// close makes a report weeks before or after now.
func closed(id int64, weeks int, before []reconcile.Report, subjects ...reconcile.Subject) reconcile.Report {
	return reconcile.Close(reconcile.Report{ID: id, Kind: "scheduled", FinishedAt: now.AddDate(0, 0, 7*weeks), OldHost: oldHost}, subjects, before)
}

// needing are n projects that need the old registry, and one that does not.
func needing(n int) []reconcile.Subject {
	out := []reconcile.Subject{subject("kurs/fine", false, reconcile.InSync)}
	for i := range n {
		out = append(out, subject(fmt.Sprintf("kurs/app%d", i), true, reconcile.NamesOld))
	}
	return out
}

func TestAnswer(t *testing.T) {
	t.Parallel()
	repository := reconcile.Subject{Kind: "repository", Path: "old/thing", NeedsOld: true, Findings: reconcile.Ownerless("old/thing", 3, nil)}
	for _, tt := range []struct {
		name     string
		subjects []reconcile.Subject
		answer   string
		says     string
	}{
		{"none needs it", needing(0), "yes", "none of 1 project needs"},
		{"some need it", needing(3), "no", "3 projects of 4 still need " + oldHost},
		{"not all seen", append(needing(0), subject("kurs/dark", true, reconcile.NotObserved)), "unknown", "1 project could not be looked at"},
		{"some need it, not all seen", append(needing(2), subject("kurs/dark", true, reconcile.NotObserved)), "no", "1 of them could not be looked at"},
		{"nobody owns", append(needing(0), repository), "no", "holds 1 repository that no project owns"},
		{"nothing", nil, "unknown", "no project"},
	} {
		r := closed(1, 0, nil, tt.subjects...)
		if r.Headline.Answer != tt.answer || !strings.Contains(r.Headline.Sentence, tt.says) {
			t.Errorf("%s: %s %q, want %s with %q", tt.name, r.Headline.Answer, r.Headline.Sentence, tt.answer, tt.says)
		}
	}
}

func TestForecast(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		past  []int // needing, a week apart, the oldest first; the last is now
		date  string
		words string
	}{
		{"no earlier report", []int{40}, "", "no earlier report"},
		{"steady", []int{40, 30, 20}, "2026-05-18", "10.0 projects a week"},
		{"standing still", []int{20, 20, 20}, "", "no date: as many needed it"},
		{"backwards", []int{20, 22}, "", "no date: 20 needed it"},
		{"a crawl", []int{1000, 1000, 1000, 999}, "", "more than five years"},
		{"done", []int{9, 0}, "", ""},
		{"what is long ago does not count", []int{500, 20, 20, 20, 20, 20, 20, 20, 20, 20, 10}, "2026-05-12", "1.3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var before []reconcile.Report
			var r reconcile.Report
			for i, n := range tt.past {
				r = closed(int64(i+1), i-len(tt.past)+1, before, needing(n)...)
				before = append([]reconcile.Report{r}, before...)
			}
			got := ""
			if r.Headline.Date != nil {
				got = r.Headline.Date.Format(time.DateOnly)
			}
			if tt.name == "what is long ago does not count" {
				if r.Headline.Date == nil || !strings.Contains(r.Headline.Forecast, tt.words) {
					t.Errorf("%s %q", got, r.Headline.Forecast)
				}
				return
			}
			if got != tt.date || !strings.Contains(r.Headline.Forecast, tt.words) || tt.words == "" && r.Headline.Forecast != "" {
				t.Errorf("date %q, %q; want %q, %q", got, r.Headline.Forecast, tt.date, tt.words)
			}
			if len(r.Trend) != len(tt.past) || r.Trend[0].NeedingOld != tt.past[0] {
				t.Errorf("trend %+v", r.Trend)
			}
		})
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	first := closed(1, -1, nil,
		subject("a/one", true, reconcile.RunsOld, reconcile.NamesOld), subject("a/two", false, reconcile.InSync),
		subject("a/dark", true, reconcile.NamesOld), subject("a/left", false, reconcile.InSync))
	second := closed(2, 0, []reconcile.Report{first},
		subject("a/one", true, reconcile.NamesOld), subject("a/two", false, reconcile.Lost),
		subject("a/dark", true, reconcile.NotObserved), subject("a/new", true, reconcile.NewProject))
	c := second.Changes
	tell := func(cs []reconcile.Change) (out []string) {
		for _, x := range cs {
			out = append(out, x.Path+" "+string(x.Class))
		}
		return out
	}
	if diff := cmp.Diff([]string{"a/two lost", "a/new new-project", "a/dark not-observed"}, tell(c.New)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"a/one runs-old-registry"}, tell(c.Resolved)); diff != "" {
		t.Error(diff)
	}
	if c.NeedingOld != 1 || c.Joined[0] != "a/new" || c.Left[0] != "a/left" || c.From != 1 || c.Empty() {
		t.Errorf("%+v", c)
	}
	if same := reconcile.Compare(second, second); !same.Empty() {
		t.Errorf("a report differs from itself: %+v", same)
	}
	// One on some projects is compared on those alone, and says nothing of the date.
	part := reconcile.Close(reconcile.Report{ID: 3, Scope: []string{"a/one"}, FinishedAt: now}, []reconcile.Subject{subject("a/one", false, reconcile.InSync)}, []reconcile.Report{second})
	if len(part.Changes.Left) != 0 || part.Changes.NeedingOld != -1 || part.Headline.Answer != "" {
		t.Errorf("part: %+v %+v", part.Changes, part.Headline)
	}
	// Gravest first, then by need and name.
	if got := second.Subjects[0].Path; got != "a/two" {
		t.Errorf("first comes %s", got)
	}
	if got := second.Owners[0]; got.Name != "a" || got.NeedsOld != 3 || got.Open != 4 {
		t.Errorf("owners: %+v", second.Owners)
	}
}

// TestActs names the people who can act, or their group.
func TestActs(t *testing.T) {
	t.Parallel()
	own, ours := reconcile.Finding{Owner: reconcile.ProjectOwner}, reconcile.Finding{Owner: reconcile.PlatformOwner}
	s := subject("kurs/app", true, reconcile.NamesOld)
	for want, got := range map[string]func() string{
		"group kurs":         func() string { return s.Acts(own) },
		"platform":           func() string { return s.Acts(ours) },
		"Kari (kari)":        func() string { s.Maintainers = []string{"Kari (kari)"}; return s.Acts(own) },
		"a, b, c and 2 more": func() string { s.Maintainers = []string{"a", "b", "c", "d", "e"}; return s.Acts(own) },
	} {
		s.Maintainers = nil
		if said := got(); said != want {
			t.Errorf("%q, want %q", said, want)
		}
	}
}
