package jobs_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/config"
	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/reconcile"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/gitlab"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// TestClock moves the time for two workers: one report a week, a missed one is
// made up for when a worker starts, and being overdue shows.
func TestClock(t *testing.T) {
	b := newBench(t, "empty")
	schedule, err := reconcile.ParseSchedule("30 2 * * 0", "Europe/Oslo")
	if err != nil {
		t.Fatal(err)
	}
	var now atomic.Pointer[time.Time]
	set := func(text string) {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		now.Store(&at)
	}
	clocked := func(o *jobs.Options) {
		o.Settings.Reports.Schedule, o.Settings.Reports.Overdue = &schedule, 6*time.Hour
		o.Settings.Reports.Now = func() time.Time { return *now.Load() }
	}
	finished := func(n int) []store.Report {
		t.Helper()
		var all []store.Report
		b.await("the reports", 2*time.Minute, func() (bool, string) {
			if all, err = b.store.Reports(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			done := 0
			for _, r := range all {
				if r.State == store.ReportFinished {
					done++
				}
			}
			return done >= n, ""
		})
		if len(all) != n {
			t.Fatalf("%d reports, want %d: %+v", len(all), n, all)
		}
		return all
	}
	timing := func() jobs.ReportTiming {
		t.Helper()
		at, err := jobs.Timing(t.Context(), b.store, 6*time.Hour, *now.Load())
		if err != nil {
			t.Fatal(err)
		}
		return at
	}

	set("2026-03-25T12:00:00Z") // a Wednesday; on Sunday the clock leaps over 02:30
	stopOne, stopTwo := b.start(clocked), b.start(clocked)
	b.await("the schedule to be kept", time.Minute, func() (bool, string) {
		_, err := b.store.Schedule(t.Context(), "reconcile")
		return err == nil, ""
	})
	if at := timing(); !at.Due.IsZero() || at.Overdue || at.Next.Format(time.RFC3339) != "2026-03-29T01:00:00Z" {
		t.Errorf("a new installation: %+v", at)
	}
	set("2026-03-29T01:00:05Z")
	if r := finished(1)[0]; r.Kind != store.ReportScheduled || r.Period.UTC().Format(time.RFC3339) != "2026-03-29T01:00:00Z" {
		t.Errorf("first report: %+v", r)
	}
	set("2026-04-04T23:00:00Z")
	stopOne()
	stopTwo()

	// Three weeks without a worker: one report makes up for them.
	set("2026-04-23T12:00:00Z")
	if !timing().Overdue {
		t.Error("a report that is missing for four days is not overdue")
	}
	b.start(clocked)
	if r := finished(2)[0]; r.Period.UTC().Format(time.RFC3339) != "2026-04-19T00:30:00Z" {
		t.Errorf("made up for: %+v", r)
	}
	if at := timing(); at.Overdue || !at.Opened {
		t.Errorf("after it was made up for: %+v", at)
	}
	// A restart opens none again; the next week comes all the same.
	b.start(clocked)
	set("2026-04-26T00:31:00Z")
	finished(3)
}

// TestDelivery sends reports to a directory, an issue and a chat channel that
// all fail at first.
func TestDelivery(t *testing.T) {
	b := newBench(t, "suffix-images")
	const board = "platon/tavle"
	if _, err := b.world.GitLab.AddProject(gitlab.Seed{Path: board, Files: map[string]string{"README.md": "x\n"}}); err != nil {
		t.Fatal(err)
	}
	// The issue is created, and the answer is an error.
	b.world.GitLab.InjectAfter(actedThen502(`POST .*/issues$`))
	var posts atomic.Int64
	var message atomic.Pointer[map[string]any]
	chat := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header.Get("X-Request-Id")) < 20 {
			t.Error("the post carries no id of the try behind it")
		}
		if posts.Add(1) < 3 {
			http.Error(w, "later", http.StatusBadGateway)
			return
		}
		var m map[string]any
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			t.Error(err)
		}
		message.Store(&m)
	}))
	defer chat.Close()
	b.config.ReportWebhook = config.NewSecret(chat.URL + "/hunter2")
	dir := filepath.Join(t.TempDir(), "reports")
	b.start(func(o *jobs.Options) {
		o.Settings.Reports.Schedule = nil
		o.Pause = 50 * time.Millisecond
		o.Settings.Reports.Places = []jobs.Place{jobs.Files{Dir: dir}, jobs.Issue{GitLab: o.Clients.GitLab, Project: board}, o.Settings.Reports.Places[0]}
	})
	delivered := func(id int64) map[string]store.Delivery {
		t.Helper()
		out := map[string]store.Delivery{}
		b.await("the deliveries", 2*time.Minute, func() (bool, string) {
			ds, err := b.store.Deliveries(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			said := ""
			for _, d := range ds {
				out[d.Target] = d
				said += d.Target + " " + d.State + " " + d.Error + "\n"
			}
			return len(ds) == 3 && strings.Count(said, " delivered ") == 3, said
		})
		return out
	}
	first := b.reconcile()
	ds := delivered(first.ID)
	if strings.Contains(ds["webhook"].Place+ds["webhook"].Error, "hunter2") || ds["webhook"].Tries != 3 {
		t.Errorf("webhook: %+v", ds["webhook"])
	}
	if m := *message.Load(); !strings.Contains(m["text"].(string), "switched off") {
		t.Errorf("message: %v", m)
	}
	page, err := os.ReadFile(filepath.Join(dir, "latest.html"))
	if err != nil || !strings.Contains(string(page), "kurs/skjema") {
		t.Errorf("latest.html: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".report-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := os.Stat(filepath.Join(dir, "owners", "kurs.md")); err != nil {
		t.Error(err)
	}
	issues := b.world.GitLab.Issues(board)
	if len(issues) != 1 || !strings.Contains(issues[0].Description, "kurs/skjema") {
		t.Fatalf("issues: %+v", issues)
	}
	// The next report finds the issue again, although somebody closed it.
	b.world.GitLab.CloseIssue(board, issues[0].IID)
	second := b.reconcile()
	delivered(second.ID)
	issues = b.world.GitLab.Issues(board)
	if len(issues) != 1 || issues[0].State != "opened" || !strings.Contains(issues[0].Description, "Report 2,") {
		t.Errorf("issues after the second report: %+v", issues)
	}
}

// TestUnobserved reports a project that GitLab does not let us look at as such,
// and never as one that is in sync.
func TestUnobserved(t *testing.T) {
	b := newBench(t, "suffix-images", "one-image")
	b.start(func(o *jobs.Options) { o.Settings.Reports.Patience = time.Second; o.Pause = 50 * time.Millisecond })
	b.all(false)
	id := b.project("kurs/skjema").ID
	b.world.GitLab.Inject(func(r *http.Request) (int, string, bool) {
		return http.StatusForbidden, `{"message":"403 Forbidden"}`, strings.Contains(r.URL.Path, "/projects/"+itoa(id)+"/variables")
	})
	r := b.reconcile()
	for _, s := range r.Subjects {
		if s.Path == "kurs/skjema" && (s.Class() != reconcile.NotObserved || !s.NeedsOld) {
			t.Errorf("%+v", s)
		}
	}
	if r.Headline.Unobserved != 1 || r.Headline.Answer == "yes" {
		t.Errorf("%+v", r.Headline)
	}
	stored, err := b.store.Report(t.Context(), r.ID)
	if err != nil || stored.Unobserved != 1 {
		t.Error(errors.Join(err), stored.Unobserved)
	}
}

func itoa(n int64) string { raw, _ := json.Marshal(n); return string(raw) }
