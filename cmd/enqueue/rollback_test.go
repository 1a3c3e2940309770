package main

import (
	"encoding/json"
	"strings"
	"testing"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// TestRollback orders the way back for one project, a run, a group, and finds
// that there is nothing to take back.
func TestRollback(t *testing.T) {
	t.Parallel()
	tt := newTerminal(t, store.Project{ID: 1, Path: "a/one"}, store.Project{ID: 2, Path: "a/two"},
		store.Project{ID: 3, Path: "b/three"}, store.Project{ID: 4, Path: "b/busy"}, store.Project{ID: 5, Path: "b/never"})
	run, err := tt.store.CreateRun(t.Context(), store.Run{Kind: store.KindAll, Actor: "kari", Selection: []byte(`{}`), Policy: []byte(`{}`)})
	if err != nil {
		t.Fatal(err)
	}
	for id, m := range map[int64]struct {
		run     int64
		state   store.State
		written bool
	}{
		1: {run.ID, store.StateDone, true},
		2: {run.ID, store.StateSkipped, false},
		3: {run.ID, store.StateWaiting, true},
		4: {0, store.StateRunning, true},
	} {
		created, err := tt.store.CreateMigration(t.Context(), store.NewMigration{ProjectID: id, RunID: m.run, Origin: store.KindAll})
		if err != nil {
			t.Fatal(err)
		}
		created.State, created.Step, created.Message = m.state, store.StepVerify, "it was so"
		created.Reason = "archived"
		if m.state == store.StateWaiting {
			created.WaitingFor = "somebody"
		}
		if _, err := tt.store.SaveMigration(t.Context(), created); err != nil {
			t.Fatal(err)
		}
		if !m.written {
			continue
		}
		if err := tt.store.ReplaceInverses(t.Context(), created.ID, []store.Inverse{{Path: "x", Before: []byte("a"), After: []byte("b")}}); err != nil {
			t.Fatal(err)
		}
	}
	latest := func(id int64) store.Migration {
		m, err := tt.store.LatestMigration(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}

	code, out, errs := tt.run("rollback", "--run", "1", "--dry-run")
	if code != 0 || strings.Count(out, "would be rolled back") != 2 || strings.Contains(out, "a/two would") {
		t.Errorf("dry run of a run: exit %d\n%s%s", code, out, errs)
	}
	for _, id := range []int64{1, 3} {
		if m := latest(id); m.Kind != store.Migrate {
			t.Errorf("a dry run ordered a rollback of project %d", id)
		}
	}
	if code, out, errs := tt.run("rollback", "a/two"); code != exitNothing || !strings.Contains(out+errs, "nothing was written to it") {
		t.Errorf("nothing written: exit %d\n%s%s", code, out, errs)
	}
	if code, out, errs := tt.run("rollback", "b/busy"); code != exitNothing || !strings.Contains(out+errs, "cancel it first") {
		t.Errorf("under way: exit %d\n%s%s", code, out, errs)
	}
	if code, out, errs := tt.run("rollback", "a/one", "--note", "login fails", "--delivery", "merge-request"); code != 0 || !strings.Contains(out, "is being rolled back") {
		t.Errorf("one project: exit %d\n%s%s", code, out, errs)
	}
	m := latest(1)
	var policy struct{ Delivery string }
	if err := json.Unmarshal(m.Policy, &policy); err != nil || m.Kind != store.Rollback || m.Step != store.StepRestore || policy.Delivery != "merge-request" {
		t.Errorf("the order: %+v, %v", m, err)
	}
	events, err := tt.store.Events(t.Context(), store.EventFilter{MigrationID: m.ID, Kind: "enqueue-rollback"})
	if err != nil || len(events) != 1 || events[0].Detail != "login fails" {
		t.Errorf("the log: %+v, %v", events, err)
	}
	if code, out, errs := tt.run("rollback", "a/one"); code != exitNothing || latest(1).ID != m.ID {
		t.Errorf("a second order: exit %d, migration %d, want %d\n%s%s", code, latest(1).ID, m.ID, out, errs)
	}
	// One that waits for somebody is ended by the order.
	waiting := latest(3).ID
	if code, out, errs := tt.run("rollback", "--group", "b", "--state", "waiting"); code != 0 || !strings.Contains(out, "b/three is being rolled back") || strings.Contains(out, "b/busy is being") {
		t.Errorf("by filter: exit %d\n%s%s", code, out, errs)
	}
	if ended, err := tt.store.MigrationByID(t.Context(), waiting); err != nil || ended.State != store.StateCancelled || latest(3).Kind != store.Rollback {
		t.Errorf("the waiting one: %+v, %v", ended, err)
	}
	for _, args := range [][]string{{"rollback"}, {"rollback", "a/one", "--delivery", "pigeon"}} {
		if code, _, errs := tt.run(args...); code != exitUsage || errs == "" {
			t.Errorf("%v: exit %d, want %d: %s", args, code, exitUsage, errs)
		}
	}
}
