package dashboard_test

import (
	"net/http"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/dashboard/browsertest"
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
