package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// TestMoves gives a migration times of its own and reads its way back in slots.
func TestMoves(t *testing.T) {
	b := open(t)
	b.projects(1, 2)
	noon := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

	m := b.migration(1)
	var ids []int64
	for job, end := range []store.Outcome{store.OutcomeDone, store.OutcomeWaiting, store.OutcomeWaiting, store.OutcomeDone} {
		st, err := b.StartStep(b.ctx, store.NewStep{MigrationID: m.ID, Name: store.StepCopy, JobID: int64(job + 1), Worker: "w"})
		b.must(err)
		_, err = b.FinishStep(b.ctx, st.ID, store.Finish{Outcome: end})
		b.must(err)
		ids = append(ids, st.ID)
	}
	b.must(b.SaveImages(b.ctx, m.ID, []store.Image{image("a", store.ImageCopied, 70), image("b", store.ImageLeftOut, 5)}))
	b.end(m, store.StateDone, "")
	for i, minutes := range []int{1, 12, 14, 31} {
		_, err := b.pool.Exec(b.ctx, `UPDATE ferry.steps SET started_at = $2, finished_at = $2 WHERE id = $1`, ids[i], at(minutes))
		b.must(err)
	}
	_, err := b.pool.Exec(b.ctx, `UPDATE ferry.migrations SET created_at = $2, finished_at = $3 WHERE id = $1`, m.ID, at(0), at(33))
	b.must(err)
	_, err = b.pool.Exec(b.ctx, `UPDATE ferry.images SET updated_at = $1`, at(5))
	b.must(err)
	// What an attempt took over from the one before was not copied by it.
	again := b.migration(1)
	b.must(b.SaveImages(b.ctx, again.ID, []store.Image{image("a", store.ImageCopied, 70)}))
	_, err = b.pool.Exec(b.ctx, `UPDATE ferry.migrations SET created_at = $2, finished_at = $3, state = 'cancelled' WHERE id = $1`, again.ID, at(50), at(51))
	b.must(err)

	got, err := b.Moves(b.ctx, noon, 10*time.Minute)
	b.must(err)
	want := []store.Move{
		{Slot: at(0), From: store.BandNone, To: store.BandActive, Projects: 1},
		{Slot: at(10), From: store.BandActive, To: store.BandWaiting, Projects: 1}, // the second look is no move
		{Slot: at(30), From: store.BandActive, To: store.BandDone, Projects: 1},
		{Slot: at(30), From: store.BandWaiting, To: store.BandActive, Projects: 1},
		{Slot: at(50), From: store.BandActive, To: store.BandNone, Projects: 1},
		{Slot: at(50), From: store.BandDone, To: store.BandActive, Projects: 1},
	}
	utc := cmp.Transformer("utc", func(t time.Time) string { return t.UTC().Format(time.RFC3339) })
	if diff := cmp.Diff(want, got, utc); diff != "" {
		t.Error(diff)
	}
	later, err := b.Moves(b.ctx, at(40), 10*time.Minute)
	b.must(err)
	if len(later) == 0 || !later[0].Slot.Equal(at(30)) {
		t.Errorf("what was before is not in the slot that ends there: %+v", later)
	}
	copied, err := b.Copied(b.ctx, noon, 10*time.Minute)
	b.must(err)
	if diff := cmp.Diff([]store.Copied{{Slot: at(0), Images: 1, Bytes: 70}}, copied, utc); diff != "" {
		t.Error(diff)
	}
	began, err := b.Began(b.ctx)
	b.must(err)
	if !began.Equal(noon) {
		t.Errorf("began %v", began)
	}
}

// TestPulse changes with what happens, and only then.
func TestPulse(t *testing.T) {
	b := open(t)
	b.projects(1, 2)
	fleet, one, other := "", "", ""
	look := func(moved ...bool) {
		t.Helper()
		for i, p := range []*string{&fleet, &one, &other} {
			now, err := b.Pulse(b.ctx, int64(i))
			b.must(err)
			if (now != *p) != moved[i] {
				t.Errorf("pulse of %d: %q after %q", i, now, *p)
			}
			*p = now
		}
	}
	look(true, true, true)
	look(false, false, false)
	m := b.migration(1)
	look(true, true, false)
	b.must(b.AddEvents(b.ctx, store.Event{Actor: "ola", Kind: "x", MigrationID: m.ID}))
	look(true, true, false)
	_, err := b.WorkerAlive(b.ctx, "w")
	b.must(err)
	look(true, false, false)
	workers, err := b.Workers(b.ctx)
	b.must(err)
	if len(workers) != 1 || workers[0].ID != "w" || workers[0].Running != 0 {
		t.Errorf("workers %+v", workers)
	}
}
