package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/reconcile"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// TestReport orders a report, and reads, compares and exports finished ones.
func TestReport(t *testing.T) {
	t.Parallel()
	tt := newTerminal(t, store.Project{ID: 7, Path: "kurs/skjema"})
	expect := func(code int, says string, args ...string) string {
		t.Helper()
		got, out, errs := tt.run(args...)
		if got != code || !strings.Contains(out+errs, says) {
			t.Errorf("enqueue %s: exit %d, want %d with %q\n%s%s", strings.Join(args, " "), got, code, says, out, errs)
		}
		return out
	}
	expect(exitNothing, "order one with enqueue reconcile", "report")
	expect(exitUsage, "choose one of", "report", "--format", "pdf")
	expect(exitUsage, "is no report", "report", "newest")
	expect(exitUsage, "see enqueue report diff --help", "report", "diff", "1")
	expect(0, "report 1 is ordered", "reconcile", "--project", "Kurs/Skjema")
	expect(exitNothing, "report 1 is queued still", "report", "1")
	expect(0, "queued", "report", "list")

	var before []reconcile.Report
	for week, class := range []reconcile.Class{reconcile.NewProject, reconcile.InSync} {
		r, _, err := tt.store.OpenReport(t.Context(), store.Report{Kind: store.ReportDemand, Period: time.Now(), Actor: "ola"})
		if err != nil {
			t.Fatal(err)
		}
		model := reconcile.Close(reconcile.Report{ID: r.ID, Kind: "demand", OldHost: "registry.example.org", FinishedAt: time.Date(2026, 5, 4+7*week, 0, 0, 0, 0, time.UTC)},
			[]reconcile.Subject{{Kind: "project", Path: "kurs/skjema", Group: "kurs", NeedsOld: class == reconcile.NewProject,
				Findings: []reconcile.Finding{{Class: class, Severity: reconcile.MeaningOf(class).Severity, Detail: "so it is", NeedsOld: class == reconcile.NewProject}}}}, before)
		before = append([]reconcile.Report{model}, before...)
		if r.Model, err = json.Marshal(model); err != nil {
			t.Fatal(err)
		}
		r.Message = model.Headline.Sentence
		if ok, err := tt.store.FinishReport(t.Context(), r); err != nil || !ok {
			t.Fatal(ok, err)
		}
	}
	expect(0, "Yes: none of 1 project needs registry.example.org any more.", "report")
	expect(0, "1 project of 1 still needs", "report", "2")
	expect(0, "gone", "report", "diff", "2", "latest")
	expect(0, `"resolved": [`, "report", "diff", "2", "3", "--json")
	expect(0, "Yes: none of 1 project", "status")
	expect(0, `"ledger": []`, "report", "ledger", "--format", "json")
	expect(0, "# Who still needs", "report", "2", "--group", "kurs", "--format", "md")
	path := filepath.Join(t.TempDir(), "report.html")
	expect(0, "", "report", "--format", "html", "--out", path)
	if page, err := os.ReadFile(path); err != nil || !strings.HasPrefix(string(page), "<!DOCTYPE html>") {
		t.Errorf("%v: %.80s", err, page)
	}
	var model reconcile.Report
	if err := json.Unmarshal([]byte(expect(0, "", "report", "latest", "--format", "json")), &model); err != nil || model.Headline.Answer != "yes" {
		t.Errorf("%v: %+v", err, model.Headline)
	}
}
