package jobs_test

import (
	"encoding/json"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/reconcile"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// reconcile orders a report and waits for it.
func (b *bench) reconcile(paths ...string) reconcile.Report {
	b.Helper()
	r, err := b.enqueuer.Reconcile(b.Context(), b.order(), paths)
	if err != nil {
		b.Fatal(err)
	}
	return b.report(r.ID)
}

// report waits until a report is finished.
func (b *bench) report(id int64) reconcile.Report {
	b.Helper()
	var model reconcile.Report
	b.await("the report to be finished", 3*time.Minute, func() (bool, string) {
		r, err := b.store.Report(b.Context(), id)
		if err != nil || r.State == store.ReportFailed {
			b.Fatalf("report %d: %v %s", id, err, r.Message)
		}
		if r.State != store.ReportFinished {
			return false, string(r.State)
		}
		if err := json.Unmarshal(r.Model, &model); err != nil {
			b.Fatal(err)
		}
		return true, ""
	})
	return model
}

// TestReconcile looks at a fleet that has been migrated, and changes nothing by looking.
func TestReconcile(t *testing.T) {
	b := newBench(t, "suffix-images", "literal-registry", "manual-production", "red-before")
	b.start(nil)
	b.all(false)
	before := b.world.Writes()
	r := b.reconcile()
	if d := sandbox.Difference(before, b.world.Writes()); len(d) > 0 {
		t.Errorf("looking changed the world outside: %v", d)
	}
	want := map[string]reconcile.Class{"kurs/skjema": reconcile.InSync, "kurs/kalender": reconcile.UnderWay, "forskning/analyse": reconcile.Failed}
	for _, s := range r.Subjects {
		if c, ok := want[s.Path]; ok && s.Class() != c {
			t.Errorf("%s: %+v, want %s", s.Path, s.Findings, c)
		}
		delete(want, s.Path)
	}
	if len(want) > 0 || r.Headline.Answer != "no" {
		t.Errorf("missing %v; %+v", want, r.Headline)
	}
	// One project alone is looked at without the others, and compared with what was.
	one := b.reconcile("kurs/skjema")
	if len(one.Subjects) != 1 || one.Headline.Answer != "" || one.Changes == nil || !one.Changes.Empty() {
		t.Errorf("one project: %+v %+v", one.Headline, one.Changes)
	}
}
