package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

var monday = time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC)

// TestReportOncePerPeriod lets many workers wake up for the same period.
func TestReportOncePerPeriod(t *testing.T) {
	b := open(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	opened, ids := 0, map[int64]bool{}
	for range 8 {
		wg.Go(func() {
			r, created, err := b.OpenReport(b.ctx, store.Report{Kind: store.ReportScheduled, Period: monday, Actor: "worker"})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			if created {
				opened++
			}
			ids[r.ID] = true
		})
	}
	wg.Wait()
	if opened != 1 || len(ids) != 1 {
		t.Errorf("%d reports were opened, ids %v, want 1", opened, ids)
	}
	// One on demand is another, even at the same time.
	if _, created, err := b.OpenReport(b.ctx, store.Report{Kind: store.ReportDemand, Period: monday, Actor: "ola"}); err != nil || !created {
		t.Errorf("on demand: created %v, %v", created, err)
	}
}

func TestReportLife(t *testing.T) {
	b := open(t)
	b.projects(1, 2)
	if _, err := b.LatestReport(b.ctx); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the latest of none: %v", err)
	}
	r, _, err := b.OpenReport(b.ctx, store.Report{Kind: store.ReportScheduled, Period: monday, Actor: "worker"})
	b.must(err)
	subjects := []store.Reconciliation{
		{Subject: store.SubjectProject, ProjectID: 1, Path: "group/p1"},
		{Subject: store.SubjectProject, ProjectID: 2, Path: "group/p2"},
		{Subject: store.SubjectRepository, Path: "old/thing"},
	}
	b.must(b.AddReconciliations(b.ctx, r.ID, subjects))
	b.must(b.AddReconciliations(b.ctx, r.ID, subjects)) // again, after an interruption
	b.must(b.CollectReport(b.ctx, r.ID, 2))
	rows, err := b.Reconciliations(b.ctx, r.ID)
	b.must(err)
	if len(rows) != 3 || rows[2].Subject != store.SubjectRepository {
		t.Fatalf("subjects: %+v", rows)
	}
	save := func(row store.Reconciliation) bool {
		t.Helper()
		ok, err := b.SaveReconciliation(b.ctx, row)
		b.must(err)
		return ok
	}
	one := rows[0]
	one.State, one.Class, one.Classes, one.NeedsOld, one.Owner = store.ReconciliationObserved, "old-registry-runs", []string{"old-registry-runs", "ci-old-registry"}, true, "project"
	one.Findings = json.RawMessage(`[{"class":"old-registry-runs","severity":"loud","detail":"runs old","owner":"project","remedy":"deploy","needs_old":true}]`)
	save(one)
	two := rows[1]
	two.State, two.Class, two.Error = store.ReconciliationFailed, "not-observed", "GitLab is down"
	save(two)
	if n, err := b.PendingReconciliations(b.ctx, r.ID); err != nil || n != 1 {
		t.Errorf("%d pending, %v, want 1", n, err)
	}
	no := false
	done := store.Report{ID: r.ID, Projects: 2, NeedingOld: 1, Loud: 1, Unobserved: 1, CanSwitchOff: &no, Model: json.RawMessage(`{"schema":1}`)}
	if ok, err := b.FinishReport(b.ctx, done); err != nil || !ok {
		t.Fatalf("finishing: %v, %v", ok, err)
	}
	if ok, err := b.FinishReport(b.ctx, done); err != nil || ok {
		t.Errorf("finishing twice: %v, %v", ok, err)
	}
	three := rows[2]
	three.State, three.Class = store.ReconciliationObserved, "x"
	if save(three) {
		t.Error("a finished report took another row")
	}
	if _, err := b.pool.Exec(b.ctx, `UPDATE ferry.reports SET in_sync = 7`); err == nil || !strings.Contains(err.Error(), "is finished") {
		t.Errorf("a finished report could be changed: %v", err)
	}
	latest, err := b.LatestReport(b.ctx)
	b.must(err)
	if latest.ID != r.ID || string(latest.Model) != `{"schema": 1}` || latest.CanSwitchOff == nil || *latest.CanSwitchOff || latest.FinishedAt == nil {
		t.Errorf("latest: %+v", latest)
	}
	past, err := b.ProjectReconciliations(b.ctx, 1, 5)
	b.must(err)
	if len(past) != 1 || !past[0].NeedsOld || past[0].ObservedAt == nil {
		t.Errorf("of the project: %+v", past)
	}
	var class, severity string
	b.must(b.pool.QueryRow(b.ctx, `SELECT class, severity FROM ferry.drift WHERE path = 'group/p1'`).Scan(&class, &severity))
	if class != "old-registry-runs" || severity != "loud" {
		t.Errorf("ferry.drift says %s %s", severity, class)
	}
	b.must(b.SaveDelivery(b.ctx, store.Delivery{ReportID: r.ID, Target: "webhook", State: "pending", Tries: 1, Error: "502", ErrorClass: "transient"}))
	b.must(b.SaveDelivery(b.ctx, store.Delivery{ReportID: r.ID, Target: "webhook", State: "delivered", Tries: 2, Place: "chat"}))
	ds, err := b.Deliveries(b.ctx, r.ID)
	b.must(err)
	if len(ds) != 1 || ds[0].Tries != 2 || ds[0].DeliveredAt == nil || ds[0].Error != "" {
		t.Errorf("deliveries: %+v", ds)
	}
	if failed, _, err := b.OpenReport(b.ctx, store.Report{Kind: store.ReportDemand, Period: monday, Actor: "ola", Scope: []string{"group/p1"}}); err != nil {
		t.Error(err)
	} else {
		b.must(b.FailReport(b.ctx, failed.ID, "no inventory"))
	}
	all, err := b.Reports(b.ctx, 0)
	b.must(err)
	if len(all) != 2 || all[0].State != store.ReportFailed || all[0].Scope[0] != "group/p1" || all[1].Model != nil {
		t.Errorf("reports: %+v", all)
	}
	before, err := b.ReportsBefore(b.ctx, all[0].ID, 3)
	b.must(err)
	if len(before) != 1 || before[0].ID != r.ID || before[0].Model == nil {
		t.Errorf("before: %+v", before)
	}
	scheduled, err := b.LatestScheduled(b.ctx, store.ReportFinished)
	b.must(err)
	if scheduled.ID != r.ID {
		t.Errorf("latest scheduled: %+v", scheduled)
	}
}

func TestSchedule(t *testing.T) {
	b := open(t)
	want := store.Schedule{Name: "reconcile", Expression: "0 6 * * 1", Zone: "Europe/Oslo"}
	keep := func(s store.Schedule, now time.Time) time.Time {
		t.Helper()
		got, err := b.KeepSchedule(b.ctx, s, "one", time.Minute, now)
		b.must(err)
		return got.Since
	}
	if got := keep(want, monday); !got.Equal(monday) {
		t.Errorf("a new schedule holds since %v", got)
	}
	if got := keep(want, monday.Add(time.Hour)); !got.Equal(monday) {
		t.Errorf("the same schedule holds since %v, want %v", got, monday)
	}
	want.Expression = "0 7 * * 1"
	if got := keep(want, monday.Add(2*time.Hour)); !got.Equal(monday.Add(2 * time.Hour)) {
		t.Errorf("a changed schedule holds since %v", got)
	}
	// Another worker's configuration differs: while the first one lives, its
	// schedule stays, and afterwards the other's takes its place.
	other := want
	other.Expression = "0 8 * * 1"
	got, err := b.KeepSchedule(b.ctx, other, "two", time.Minute, monday.Add(3*time.Hour))
	b.must(err)
	if got.Expression != want.Expression || got.Keeper != "one" || !got.Since.Equal(monday.Add(2*time.Hour)) {
		t.Errorf("beside a living worker: %+v", got)
	}
	b.must(b.DropSchedule(b.ctx, "reconcile", "three", time.Minute))
	if _, err := b.Schedule(b.ctx, "reconcile"); err != nil {
		t.Errorf("a worker without a schedule dropped another's: %v", err)
	}
	_, err = b.pool.Exec(b.ctx, `UPDATE ferry.schedules SET seen_at = now() - interval '2 minutes'`)
	b.must(err)
	got, err = b.KeepSchedule(b.ctx, other, "two", time.Minute, monday.Add(4*time.Hour))
	b.must(err)
	if got.Expression != other.Expression || got.Keeper != "two" || !got.Since.Equal(monday.Add(4*time.Hour)) {
		t.Errorf("after the worker's end: %+v", got)
	}
	b.must(b.DropSchedule(b.ctx, "reconcile", "two", time.Minute))
	if _, err := b.Schedule(b.ctx, "reconcile"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("its own schedule: %v, want it dropped", err)
	}
}

func TestLedger(t *testing.T) {
	b := open(t)
	b.projects(1)
	m := b.migration(1)
	b.must(b.SaveImages(b.ctx, m.ID, []store.Image{image("1", store.ImageCopied, 10), image("2", store.ImageLeftOut, 5)}))
	m.Step = store.StepPipeline
	m = b.end(m, store.StateFailed, "pipeline-failed")
	ledger := func() []store.Entry {
		t.Helper()
		es, err := b.Ledger(b.ctx, 1, 0, 0)
		b.must(err)
		return es
	}
	if es := ledger(); len(es) != 1 || es[0].Outcome != "failed" || es[0].OldTag != "1" {
		t.Fatalf("after a failure: %+v", es)
	}
	// The next attempt takes the image over, and is proven in the transaction that ends it.
	next := b.migration(1)
	b.must(b.SaveImages(b.ctx, next.ID, []store.Image{image("1", store.ImagePresent, 10)}))
	next.RepositoryURI, next.CommitSHA, next.MergeRequestURL = "ecr/group/p1", "abc", "https://gitlab/mr/1"
	next.PipelineID, next.PipelineURL, next.State = 7, "https://gitlab/p/7", store.StateDone
	b.must(b.InTx(b.ctx, func(ctx context.Context, tx *store.Store) error {
		if _, err := tx.SaveMigration(ctx, next); err != nil {
			return err
		}
		return tx.ReplaceEvidence(ctx, next.ID, store.StepVerify, []store.Evidence{
			{Name: "deployment", Environment: "staging", Subject: "deployment 3", Result: store.Yes},
			{Name: "deployment", Environment: "production", Subject: "deployment 4", Result: store.No},
		})
	}))
	es := ledger()
	if len(es) != 2 {
		t.Fatalf("entries: %+v", es)
	}
	got := es[1]
	if !strings.HasPrefix(got.NewReference, "ecr/group/p1:") ||
		got.NewDigest != got.OldDigest || got.CommitSHA != "abc" || got.PipelineID != 7 || got.MergeRequestURL == "" ||
		got.Outcome != "done" || got.ProjectPath != "group/p1" || got.Bytes != 10 {
		t.Errorf("entry: %+v", got)
	}
	if diff := cmp.Diff([]string{"staging: deployment 3"}, got.Deployments); diff != "" {
		t.Error(diff)
	}
	back, err := b.CreateMigration(b.ctx, store.NewMigration{ProjectID: 1, Origin: store.KindRollback, Kind: store.Rollback})
	b.must(err)
	back.State = store.StateDone
	_, err = b.SaveMigration(b.ctx, back)
	b.must(err)
	if es := ledger(); len(es) != 3 || es[2].Event != "rolled-back" {
		t.Errorf("after a rollback: %+v", es)
	}
	for _, sql := range []string{`DELETE FROM ferry.ledger`, `UPDATE ferry.ledger SET bytes = 0`, `TRUNCATE ferry.ledger`} {
		if _, err := b.pool.Exec(b.ctx, sql); err == nil || !strings.Contains(err.Error(), "append only") {
			t.Errorf("%s: %v", sql, err)
		}
	}
}
