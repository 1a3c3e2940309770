package store

import (
	"context"
	"encoding/json"
	"time"
)

// Plan is a dry run, as it was made.
type Plan struct {
	ID        int64           `db:"id"`
	Actor     string          `db:"actor"`
	Note      string          `db:"note"`
	Selection json.RawMessage `db:"selection"`
	Policy    json.RawMessage `db:"policy"`
	CreatedAt time.Time       `db:"created_at"`
	Plan      json.RawMessage `db:"plan"`
}

const planColumns = `id, actor, note, selection, policy, created_at, plan`

// CreatePlan stores a plan; ID and CreatedAt are set by the store.
func (s *Store) CreatePlan(ctx context.Context, p Plan) (Plan, error) {
	created, err := one[Plan](ctx, s.db, `
		INSERT INTO ferry.plans (actor, note, selection, policy, plan)
		VALUES ($1, $2, coalesce($3, '{}'::jsonb), coalesce($4, '{}'::jsonb), $5)
		RETURNING `+planColumns, p.Actor, p.Note, p.Selection, p.Policy, p.Plan)
	return created, wrap(err, "storing a plan")
}

// Plan returns a stored plan, the latest when id is 0, or ErrNotFound.
func (s *Store) Plan(ctx context.Context, id int64) (Plan, error) {
	p, err := one[Plan](ctx, s.db, `
		SELECT `+planColumns+`
		  FROM ferry.plans
		 WHERE $1::bigint = 0 OR id = $1
		 ORDER BY id DESC
		 LIMIT 1`, id)
	return p, wrap(err, "plan %d", id)
}

// Experience is how long earlier migrations took: seconds of their steps on average,
// and the bytes a second that were copied. What is zero nobody knows yet.
type Experience struct {
	Migrations int                  // that these are averages of
	Seconds    map[StepName]float64 // from the first try's begin to the last one's end, short waits included
	Bytes      float64              // copied, a second of the copy step
}

// Experience asks the latest thousand migrations that ended well.
func (s *Store) Experience(ctx context.Context) (Experience, error) {
	type row struct {
		Name       StepName `db:"name"`
		Migrations int      `db:"migrations"`
		Seconds    float64  `db:"seconds"`
		Bytes      float64  `db:"bytes"`
	}
	rows, err := many[row](ctx, s.db, `
		WITH ended AS (
		     SELECT id FROM ferry.migrations
		      WHERE kind = 'migrate' AND state IN ('done', 'exceptions')
		      ORDER BY id DESC LIMIT 1000),
		     took AS (
		     SELECT s.migration_id, s.name, extract(epoch FROM max(s.finished_at) - min(s.started_at))::float8 AS seconds
		       FROM ferry.steps s JOIN ended e ON e.id = s.migration_id
		      GROUP BY s.migration_id, s.name),
		     moved AS (
		     SELECT i.migration_id, sum(i.bytes)::float8 AS bytes
		       FROM ferry.images i JOIN ended e ON e.id = i.migration_id
		      WHERE i.state = 'copied'
		      GROUP BY i.migration_id)
		SELECT t.name, count(*)::int AS migrations,
		       -- The median: one merge request that stood open for a week says nothing.
		       percentile_cont(0.5) WITHIN GROUP (ORDER BY t.seconds) AS seconds,
		       coalesce(sum(m.bytes) / nullif(sum(t.seconds) FILTER (WHERE m.bytes > 0), 0), 0)::float8 AS bytes
		  FROM took t
		  LEFT JOIN moved m ON m.migration_id = t.migration_id AND t.name = 'copy'
		 GROUP BY t.name`)
	p := Experience{Seconds: map[StepName]float64{}}
	for _, r := range rows {
		p.Migrations = max(p.Migrations, r.Migrations)
		p.Seconds[r.Name] = r.Seconds
		if r.Name == StepCopy {
			p.Bytes = r.Bytes
		}
	}
	return p, wrap(err, "pace of earlier migrations")
}
