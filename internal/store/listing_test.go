package store_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

func listed(rows []store.Listed) string {
	var ps []string
	for _, r := range rows {
		ps = append(ps, strings.TrimPrefix(r.Path, "group/"))
	}
	return strings.Join(ps, " ")
}

func TestList(t *testing.T) {
	b := open(t)
	fleet(b)
	for _, c := range []struct {
		name   string
		filter store.ListFilter
		want   string
		total  int
	}{
		{"all", store.ListFilter{}, "p1 p2 p3 p4 p5 p6", 6},
		{"page", store.ListFilter{Limit: 2, Offset: 2}, "p3 p4", 6},
		{"beyond", store.ListFilter{Limit: 2, Offset: 60}, "", 0},
		{"downwards", store.ListFilter{Descending: true, Limit: 3}, "p6 p5 p4", 6},
		{"worst first", store.ListFilter{Order: "state"}, "p4 p5 p6 p3 p1 p2", 6},
		{"states", store.ListFilter{States: []store.State{store.StateFailed, store.StateNone}}, "p1 p4 p5", 3},
		{"cause", store.ListFilter{Reason: "findings"}, "p6", 1},
		{"step", store.ListFilter{Step: store.StepCopy}, "p4 p5", 2},
		{"text in the path", store.ListFilter{Text: " GROUP/P3 "}, "p3", 1},
		{"text in the message", store.ListFilter{Text: "because of ecr"}, "p4 p5", 2},
		{"wildcards are letters", store.ListFilter{Text: "p%"}, "", 0},
		{"group", store.ListFilter{Group: "group/"}, "p1 p2 p3 p4 p5 p6", 6},
		{"no such group", store.ListFilter{Group: "grou"}, "", 0},
	} {
		rows, total, err := b.List(b.ctx, c.filter)
		b.must(err)
		if got := listed(rows); got != c.want || total != c.total {
			t.Errorf("%s: %q of %d, want %q of %d", c.name, got, total, c.want, c.total)
		}
	}
	if _, _, err := b.List(b.ctx, store.ListFilter{Order: "path; DROP TABLE ferry.events"}); err == nil {
		t.Error("any text is taken as an order")
	}

	rows, _, err := b.List(b.ctx, store.ListFilter{Text: "p2"})
	b.must(err)
	want := store.ImageCounts{Copied: 2, Present: 1, LeftOut: 1, Problems: 2, BytesCopied: 30}
	if diff := cmp.Diff(want, rows[0].ImageCounts); diff != "" {
		t.Error(diff)
	}
	if rows[0].FindingsWarnings != 2 || rows[0].Attempt != 2 {
		t.Errorf("%+v", rows[0])
	}

	// A rollback that ended well is told apart from a migration that did.
	back, err := b.CreateMigration(b.ctx, store.NewMigration{ProjectID: 2, Origin: store.KindRollback, Kind: store.Rollback})
	b.must(err)
	back.Step = store.StepDone
	b.end(back, store.StateDone, "")
	states, err := b.States(b.ctx)
	b.must(err)
	if diff := cmp.Diff([]store.Tally{{Word: "attention", Projects: 1}, {Word: "failed", Projects: 2}, {Word: "none", Projects: 1}, {Word: "rolled-back", Projects: 1}, {Word: "waiting", Projects: 1}}, states); diff != "" {
		t.Error(diff)
	}
	reasons, err := b.Reasons(b.ctx)
	b.must(err)
	if diff := cmp.Diff([]store.Tally{{Word: "ecr-denied", Projects: 2}, {Word: "findings", Projects: 1}}, reasons); diff != "" {
		t.Error(diff)
	}
	groups, err := b.Groups(b.ctx)
	b.must(err)
	if diff := cmp.Diff([]store.Tally{{Word: "group", Projects: 6}}, groups); diff != "" {
		t.Error(diff)
	}
}
