package dashboard_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/dashboard"
	"gitlab.sikt.no/platon/ecrferry/internal/dashboard/browsertest"
	"gitlab.sikt.no/platon/ecrferry/internal/postgres/postgrestest"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// TestLive keeps a page open while something happens, without loading it anew
// and without disturbing whoever types.
func TestLive(t *testing.T) {
	t.Parallel()
	s := open(t, 30, nil)
	tab := browsertest.Open(t)
	tab.Go(s.url + "/projects")
	tab.Until(`document.getElementById("pulse").textContent === "Live"`)
	tab.Type(`input[name="q"]`, "half a wor")
	tab.Text(`window.stayed = "yes"`)
	must(t, s.store.UpsertProjects(t.Context(), []store.Project{{ID: 900, Path: "aaa/first-of-all"}}))
	m, err := s.store.CreateMigration(t.Context(), store.NewMigration{ProjectID: 900, Origin: store.KindProject})
	must(t, err)
	tab.UntilText("first-of-all")
	m.State, m.Reason, m.Message = store.StateFailed, "ecr-denied", "ECR said no"
	_, err = s.store.SaveMigration(t.Context(), m)
	must(t, err)
	tab.UntilText("ECR said no")
	if got := tab.Text(`window.stayed + ", " + document.querySelector('input[name="q"]').value`); got != "yes, half a wor" {
		t.Errorf("the page did not stay as it was: %s", got)
	}
	if es := tab.Errors(); len(es) > 0 {
		t.Errorf("the page complained: %q", es)
	}
}

// TestManyProjects asks for pages of a fleet of a thousand. The bound is that of
// a loaded machine; the log says what it was.
func TestManyProjects(t *testing.T) {
	t.Parallel()
	s := open(t, 1000, nil)
	for _, path := range []string{"/projects", "/projects?q=api&sort=since&down=1&page=2", "/projects?state=stopped", "/", "/?range=7d"} {
		best := time.Hour
		for range 3 {
			began := time.Now()
			status, _, header := ask(t, client(t), "GET", s.url+path, nil, nil)
			best = min(best, time.Since(began))
			if status != http.StatusOK || header.Get("ETag") == "" {
				t.Fatalf("%s: %d", path, status)
			}
		}
		t.Logf("%s: %v", path, best.Round(time.Millisecond))
		if best > 30*time.Second {
			t.Errorf("%s took %v", path, best)
		}
	}
}

// BenchmarkList renders the list of a fleet of 1500 projects, with the question to
// the database behind it.
func BenchmarkList(b *testing.B) {
	pool := postgrestest.New(b)
	seed(b, pool, 1500)
	h, err := dashboard.New(b.Context(), dashboard.Options{
		Store: store.New(pool), Access: dashboard.Access{Anonymous: dashboard.Viewer}, Log: slog.New(slog.DiscardHandler),
	})
	must(b, err)
	for name, path := range map[string]string{"first": "/projects", "sorted": "/projects?sort=since&down=1", "searched": "/projects?q=api&state=stopped", "overview": "/"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				answer, ask := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil)
				ask.RemoteAddr = "127.0.0.1:4711"
				if h.ServeHTTP(answer, ask); answer.Code != http.StatusOK {
					b.Fatalf("%s: %d", path, answer.Code)
				}
			}
		})
	}
}
