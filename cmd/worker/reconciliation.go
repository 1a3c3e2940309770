package main

import (
	"context"
	"errors"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/metrics"
	"gitlab.sikt.no/platon/ecrferry/internal/reconcile"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// figures asks what monitoring wants to know of the reconciliation.
// ours is this worker's own schedule, nil for none.
func figures(st *store.Store, patience time.Duration, ours *reconcile.Schedule) (metrics.Reconciliation, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	out := metrics.Reconciliation{Findings: map[string]int{}}
	for _, m := range reconcile.Meanings() {
		out.Findings[string(m.Class)] = 0
	}
	timing, err := jobs.Timing(ctx, st, patience, time.Now())
	if err != nil {
		return out, err
	}
	stats, err := st.ReconciliationStats(ctx)
	if err != nil {
		return out, err
	}
	out.Next, out.Overdue = timing.Next, timing.Overdue
	if ours != nil {
		kept, err := st.Schedule(ctx, jobs.Reconciliation)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return out, err
		}
		out.Differs = err == nil && (kept.Expression != ours.Expression() || kept.Zone != ours.Zone())
	}
	if stats.LastFinished != nil {
		out.Last = *stats.LastFinished
	}
	out.NeedingOld, out.Unobserved, out.Undelivered = stats.NeedingOld, stats.Unobserved, stats.Undelivered
	for class, n := range stats.Classes {
		out.Findings[class] = n
	}
	return out, nil
}
