package store

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// batch collects statements that go to the server in one round trip.
type batch struct{ pgx.Batch }

func newBatch() *batch { return &batch{} }

// send runs the statements in order and returns the first error. Without a
// transaction around it the batch is one by itself.
func (b *batch) send(ctx context.Context, db querier) error {
	if b.Len() == 0 {
		return nil
	}
	return db.SendBatch(ctx, &b.Batch).Close()
}
