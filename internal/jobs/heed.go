package jobs

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// heedEvery is how long an order may lie that came in the instant of a look.
const heedEvery = 2 * time.Second

// heed wakes migrations whose promotion was ordered in the instant between the
// record of a look, which says that it waits, and River's note that the job
// sleeps: the order found a running job, which can't be woken, and the next look
// may be an hour away. It runs until ctx ends.
func heed(ctx context.Context, st *store.Store, client *river.Client[pgx.Tx], every time.Duration, log *slog.Logger) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := rouse(ctx, st, client); err != nil && ctx.Err() == nil {
			log.WarnContext(ctx, "looking for unheeded orders failed; it is tried again", "error", err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func rouse(ctx context.Context, st *store.Store, client *river.Client[pgx.Tx]) error {
	jobs, err := st.Unheeded(ctx, waitsForProduction, promoted)
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range jobs {
		// A job that ended or runs is left alone: only a sleeping one is woken.
		job, err := client.JobGet(ctx, id)
		if err == nil && job.State == rivertype.JobStateScheduled {
			_, err = client.JobRetry(ctx, id)
		}
		if !errors.Is(err, river.ErrNotFound) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
