package store

import (
	"context"
	"time"
)

// Pace is the time line of one action of ECR that all workers share.
type Pace struct {
	store  *Store
	action string
	quota  float64
}

// Pace returns the time line of an action, of which the account allows quota a
// second. See package pace on how it is used.
func (s *Store) Pace(action string, quota float64) *Pace {
	return &Pace{store: s, action: action, quota: quota}
}

// lease is a piece of the time line.
type lease struct {
	// In is when its first request may be sent, from now on; it may be over.
	In time.Duration `db:"in"`
	// Rate is how many requests a second it is for.
	Rate float64 `db:"rate"`
	// Refusals is how often the rate had been lowered when it was taken.
	Refusals int64 `db:"refusals"`
}

// Lease takes a lease of n requests. went is how many have been let through
// since the last lease of this process: they raise a lowered rate, the whole of
// the quota being regained after a hundred. The first may be sent after in, each
// further one 1/rate seconds later. When the time line is taken for longer than
// longest, nothing is taken, and ok is false: in says how long.
func (p *Pace) Lease(ctx context.Context, n, went int, longest time.Duration) (in time.Duration, perSecond float64, refusals int64, ok bool, err error) {
	leases, err := many[lease](ctx, p.store.db, `
		INSERT INTO ferry.paces AS p (action, quota, rate, lease_at, next_at)
		VALUES ($1, $2::float8, $2, statement_timestamp(), statement_timestamp() + make_interval(secs => $3::float8 / $2))
		ON CONFLICT (action) DO UPDATE
		   SET quota = $2,
		       rate = least($2, p.rate + $2 * $4::float8 / 100),
		       lease_at = greatest(p.next_at, p.closed_until, statement_timestamp()),
		       next_at = greatest(p.next_at, p.closed_until, statement_timestamp())
		                 + make_interval(secs => $3 / least($2, p.rate + $2 * $4 / 100)),
		       updated_at = clock_timestamp()
		 WHERE greatest(p.next_at, p.closed_until) <= statement_timestamp() + $5::interval
		RETURNING lease_at - clock_timestamp() AS in, rate, refusals`, p.action, p.quota, float64(n), float64(went), longest)
	if err == nil && len(leases) == 0 {
		var taken lease
		taken, err = one[lease](ctx, p.store.db, `
			SELECT greatest(next_at, closed_until) - clock_timestamp() AS in, rate, refusals
			  FROM ferry.paces
			 WHERE action = $1`, p.action)
		return taken.In, taken.Rate, taken.Refusals, false, wrap(err, "asking for the pace of %s", p.action)
	}
	if err != nil {
		return 0, 0, 0, false, wrap(err, "taking a lease of %s", p.action)
	}
	return leases[0].In, leases[0].Rate, leases[0].Refusals, true, nil
}

// Refused takes note of a refusal of a request whose lease was taken after so many
// of them: everybody pauses for as long as was asked for, and goes on more slowly.
// Whoever had its lease before the last one says nothing new about the rate.
func (p *Pace) Refused(ctx context.Context, refusals int64, pause time.Duration) error {
	_, err := p.store.db.Exec(ctx, `
		UPDATE ferry.paces
		   SET rate = CASE WHEN refusals > $3 THEN rate ELSE greatest(rate * 0.7, quota / 20) END,
		       refusals = refusals + CASE WHEN refusals > $3 THEN 0 ELSE 1 END,
		       closed_until = greatest(closed_until, clock_timestamp() + $2::interval),
		       -- What has been leased is void: its holders are pausing, or are about to be refused.
		       next_at = least(next_at, clock_timestamp() + $2::interval),
		       updated_at = clock_timestamp()
		 WHERE action = $1`, p.action, pause, refusals)
	return wrap(err, "lowering the pace of %s", p.action)
}
