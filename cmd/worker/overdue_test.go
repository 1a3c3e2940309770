package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/config"
	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/metrics"
	"gitlab.sikt.no/platon/ecrferry/internal/postgres/postgrestest"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// TestOverdue lets a schedule's time go by without a worker: whoever scrapes,
// probes or reads the dashboard learns of it.
func TestOverdue(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	st := store.New(pool)
	weekly := store.Schedule{Name: jobs.Reconciliation, Expression: "0 6 * * 1", Zone: "Europe/Oslo"}
	if _, err := st.KeepSchedule(t.Context(), weekly, "long-gone", time.Minute, time.Now().AddDate(0, 0, -30)); err != nil {
		t.Fatal(err)
	}
	river, err := jobs.NewInserter(pool, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	// A deadline that no hour of the week is within, and one that each is.
	for overdue, alarm := range map[time.Duration]bool{time.Second: true, 30 * 24 * time.Hour: false} {
		m := metrics.New(nil)
		m.Reconciliation(func() (metrics.Reconciliation, error) { return figures(st, overdue, nil) })
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := config.Config{Dashboard: config.DashboardOn, DashboardAnonymous: config.RoleViewer, ReconcileOverdue: overdue}
		site, err := pages(ctx, c, st, &jobs.Crew{River: river}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		h := routes(st, m, site, overdue)
		for path, says := range map[string]string{
			"/metrics": "ecrferry_reconciliation_overdue 1\n", "/readyz": "is overdue", "/": "The reconciliation is overdue", "/reports": "The reconciliation is overdue",
		} {
			answer, ask := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "http://127.0.0.1"+path, nil)
			ask.RemoteAddr = "127.0.0.1:4711"
			h.ServeHTTP(answer, ask)
			if answer.Code != http.StatusOK || strings.Contains(answer.Body.String(), says) != alarm {
				t.Errorf("%s, overdue after %v: %d, want %q to be told: %v", path, overdue, answer.Code, says, alarm)
			}
		}
	}
}
