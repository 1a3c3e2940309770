package store_test

import (
	"slices"
	"testing"

	"gitlab.sikt.no/platon/ecrferry/internal/postgres/postgrestest"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

func TestQueueDepths(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	_, err := pool.Exec(t.Context(), `
		INSERT INTO river.river_job (args, kind, max_attempts, queue, state, finalized_at)
		VALUES ('{}', 'x', 3, 'copy', 'available', NULL), ('{}', 'x', 3, 'copy', 'available', NULL),
		       ('{}', 'x', 3, 'copy', 'scheduled', NULL), ('{}', 'x', 3, 'default', 'retryable', NULL),
		       ('{}', 'x', 3, 'copy', 'completed', now()), ('{}', 'x', 3, 'copy', 'discarded', now())`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := store.New(pool).QueueDepths(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []store.QueueDepth{{"copy", "available", 2}, {"copy", "scheduled", 1}, {"default", "retryable", 1}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
