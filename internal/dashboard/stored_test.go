package dashboard_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/reconcile"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// TestStoredReport reads a finished report in full, in each format and as the
// excerpt of a group.
func TestStoredReport(t *testing.T) {
	t.Parallel()
	s := open(t, 20, nil)
	ctx := t.Context()
	row, _, err := s.store.OpenReport(ctx, store.Report{Kind: store.ReportDemand, Period: time.Now(), Actor: "ola@drift"})
	must(t, err)
	subject := func(group, path string) reconcile.Subject {
		return reconcile.Subject{Kind: "project", Path: path, Group: group, Findings: []reconcile.Finding{
			{Class: reconcile.NamesOld, Severity: reconcile.Warning, Subjects: []string{".gitlab-ci.yml:3"}, Count: 1, Detail: "its <files> name it", NeedsOld: true},
		}}
	}
	model := reconcile.Close(reconcile.Report{ID: row.ID, Kind: "demand", Actor: "ola@drift", FinishedAt: time.Now()},
		[]reconcile.Subject{subject("kurs", "kurs/skjema"), subject("lonn", "lonn/utbetaling")}, nil)
	row.Model, err = json.Marshal(model)
	must(t, err)
	must(t, s.store.CollectReport(ctx, row.ID, 0))
	_, err = s.store.FinishReport(ctx, row)
	must(t, err)

	at := fmt.Sprintf("%s/reports/%d", s.url, row.ID)
	if status, body, _ := ask(t, client(t), "GET", at, nil, nil); status != http.StatusOK ||
		!strings.Contains(body, "report.html?group=kurs") || !strings.Contains(body, "report.csv") {
		t.Errorf("%d: the report's page does not lead to it in full:\n%s", status, body)
	}
	for file, kind := range map[string]string{
		"report.html": "text/html", "report.md": "text/markdown", "report.csv": "text/csv", "report.json": "application/json",
	} {
		status, body, header := ask(t, client(t), "GET", at+"/"+file, nil, nil)
		if status != http.StatusOK || !strings.HasPrefix(header.Get("Content-Type"), kind) ||
			!strings.Contains(body, "kurs/skjema") || !strings.Contains(body, "lonn/utbetaling") {
			t.Errorf("%s: %d %s", file, status, header.Get("Content-Type"))
		}
		if kind == "text/html" && (strings.Contains(body, "<files>") || !strings.Contains(header.Get("Content-Security-Policy"), "sandbox")) {
			t.Errorf("%s may run what a project wrote", file)
		}
	}
	if _, body, _ := ask(t, client(t), "GET", at+"/report.html?group=kurs", nil, nil); !strings.Contains(body, "kurs/skjema") || strings.Contains(body, "lonn/utbetaling") {
		t.Error("the excerpt of kurs is not that of kurs alone")
	}
	for _, path := range []string{at + "/report.pdf", at + "/other.html", s.url + "/reports/999/report.html", s.url + "/reports/x/report.html"} {
		if status, _, _ := ask(t, client(t), "GET", path, nil, nil); status != http.StatusNotFound {
			t.Errorf("%s: %d, want 404", path, status)
		}
	}
}
