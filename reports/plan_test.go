package reports

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPlanTotals(t *testing.T) {
	t.Parallel()
	p := NewPlan(Plan{}, []ProjectPlan{
		{Project: "b/two", Verdict: Blocked, Seconds: 0, Blockers: []Blocker{{Cause: "tag-collision", Remedy: "rename"}}},
		{Project: "a/one", Verdict: Automatic, Seconds: 100, Bytes: PlanBytes{Move: 5, There: 1}, Diff: "x", Images: []Image{{State: "planned"}, {State: "left-out", Reason: "old"}}, Requests: map[string]int{"ecr": 3}},
		{Project: "c/three", Verdict: NeedsHuman, Seconds: 20, Bytes: PlanBytes{Move: 2}, Blockers: []Blocker{{Cause: "production"}}, Findings: []Finding{{Severity: "note"}}},
		{Project: "d/four", Verdict: NeedsHuman, Seconds: 30, Blockers: []Blocker{{Cause: "production"}}, Requests: map[string]int{"ecr": 4}},
		{Project: "e/five", Verdict: Skip},
	}, 2)
	want := PlanTotals{
		Projects: 5, Verdicts: map[string]int{Automatic: 1, NeedsHuman: 2, Blocked: 1, Skip: 1}, Share: .25,
		Images: map[string]int{"planned": 1, "left-out": 1}, LeftOut: map[string]int{"old": 1}, Findings: map[string]int{"note": 1},
		Changed: 1, Bytes: PlanBytes{Move: 7, There: 1}, Requests: map[string]int{"ecr": 7},
		Seconds: 100, // two at a time take 75, but one of them takes 100 alone
		Blockers: []PlanCause{
			{Cause: "production", Projects: 2, Examples: []string{"c/three", "d/four"}},
			{Cause: "tag-collision", Projects: 1, Blocking: 1, Examples: []string{"b/two"}, Remedy: "rename"},
		},
	}
	if diff := cmp.Diff(want, p.Totals); diff != "" {
		t.Error(diff)
	}
	if p.Projects[0].Project != "a/one" {
		t.Errorf("first is %s", p.Projects[0].Project)
	}
}

func TestPlanDiff(t *testing.T) {
	t.Parallel()
	before := Plan{ID: 1, Projects: []ProjectPlan{
		{Project: "a/one", Verdict: Blocked, Blockers: []Blocker{{Cause: "tag-collision", Why: "two"}}, Images: []Image{{Source: "x:1", State: "planned", SourceDigest: "d1"}, {Source: "x:2"}}, Diff: "-a"},
		{Project: "a/same", Verdict: Automatic, Images: []Image{{Source: "y:1"}}},
		{Project: "a/gone", Verdict: Automatic},
	}}
	after := Plan{ID: 2, Projects: []ProjectPlan{
		{Project: "a/one", Verdict: Automatic, Why: "one image", Images: []Image{{Source: "x:1", State: "planned", SourceDigest: "d2"}, {Source: "x:3"}}, Findings: []Finding{{Severity: "note", Code: "c", File: "f", Line: 3}}, Diff: "-b"},
		{Project: "a/same", Verdict: Automatic, Images: []Image{{Source: "y:1"}}},
		{Project: "b/new", Verdict: Skip},
	}}
	want := []PlanChange{
		{"a/gone", Automatic, "", []string{"not in the later plan"}},
		{"a/one", Blocked, Automatic, []string{
			"blocked became automatic: one image", "no more blocker tag-collision",
			"changed image x:1: d1 planned  became d2 planned ", "new image x:3", "no more image x:2",
			"new finding note c f:3 ", "the change of its files is another one",
		}},
		{"b/new", "", Skip, []string{"not in the earlier plan"}},
	}
	if diff := cmp.Diff(want, Diff(before, after).Changes); diff != "" {
		t.Error(diff)
	}
}

// TestPlanIsHarmless renders names and text as hostile as a repository can hold.
func TestPlanIsHarmless(t *testing.T) {
	t.Parallel()
	p := NewPlan(Plan{Actor: "<b>x</b>"}, []ProjectPlan{{
		Project: "a/<script>alert(1)</script>", URL: "javascript:alert(1)", Verdict: Automatic, Why: "\x1b[2J",
		Diff: "--- a\n+\x1b[31m<script>\u009b2J\n", Images: []Image{{Source: "<img src=x>"}},
	}}, 1)
	var html, text strings.Builder
	if err := p.HTML(&html); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<script", "<img", "<b>x", "javascript:"} {
		if strings.Contains(html.String(), bad) {
			t.Errorf("the page holds %s", bad)
		}
	}
	if err := p.Text(&text); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(text.String(), "\x1b\u009b") {
		t.Errorf("the text steers the terminal: %q", text.String())
	}
}
