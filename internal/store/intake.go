package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Intake says whether projects that have not yet begun may begin.
type Intake struct {
	Paused bool `db:"paused"`
	// Reason is why it was last paused: by-hand, unknown-cause, failure-share or
	// failure-count; "" before the first pause. Message is that in a sentence, or
	// what was said when it was resumed.
	Reason  string    `db:"reason"`
	Message string    `db:"message"`
	Actor   string    `db:"actor"` // who paused or resumed it
	Since   time.Time `db:"since"`
	// RunID is the run whose budget was used up; 0 for none.
	RunID int64 `db:"run_id"`
	// ResumedAt is when failures were last forgiven.
	ResumedAt *time.Time `db:"resumed_at"`
}

// intakeColumns are the columns of an Intake.
const intakeColumns = `paused, reason, message, actor, since, coalesce(run_id, 0) AS run_id, resumed_at`

// Intake returns the state of the intake.
func (s *Store) Intake(ctx context.Context) (Intake, error) {
	i, err := one[Intake](ctx, s.db, `SELECT `+intakeColumns+` FROM ferry.intake`)
	return i, wrap(err, "state of the intake")
}

// LockIntake returns the state of the intake and locks it until the surrounding
// transaction ends, so that of failures at the same time each sees the one
// before. It makes sense only within InTx.
func (s *Store) LockIntake(ctx context.Context) (Intake, error) {
	if s.tx == nil {
		return Intake{}, errors.New("locking the intake: not in a transaction")
	}
	i, err := one[Intake](ctx, s.db, `SELECT `+intakeColumns+` FROM ferry.intake FOR UPDATE`)
	return i, wrap(err, "locking the intake")
}

// SaveIntake stores Paused, Reason, Message, Actor and RunID as they are from
// now on. Not being paused forgives the failures so far.
func (s *Store) SaveIntake(ctx context.Context, i Intake) (Intake, error) {
	saved, err := one[Intake](ctx, s.db, `
		UPDATE ferry.intake
		   SET paused = $1, reason = $2, message = $3, actor = $4, run_id = nullif($5::bigint, 0),
		       since = clock_timestamp(),
		       resumed_at = CASE WHEN $1 THEN resumed_at ELSE clock_timestamp() END
		RETURNING `+intakeColumns,
		i.Paused, i.Reason, i.Message, i.Actor, i.RunID)
	return saved, wrap(err, "saving the intake")
}

// Hold is a project that somebody paused.
type Hold struct {
	ProjectID int64      `db:"project_id"`
	Path      string     `db:"path"`
	Actor     string     `db:"actor"`
	Note      string     `db:"note"`
	Since     time.Time  `db:"since"`
	Until     *time.Time `db:"until"` // nil: until somebody resumes it
}

// SetHold pauses a project; a hold that stands already is replaced.
func (s *Store) SetHold(ctx context.Context, h Hold) error {
	_, err := s.db.Exec(ctx, `
		INSERT INTO ferry.holds (project_id, actor, note, until)
		VALUES ($1, $2, $3, $4)
		ON CONFLICT (project_id) DO UPDATE
		   SET actor = excluded.actor, note = excluded.note, until = excluded.until, since = clock_timestamp()`,
		h.ProjectID, h.Actor, h.Note, h.Until)
	return wrap(err, "holding project %d", h.ProjectID)
}

// DropHold ends a project's hold. It says whether there was one.
func (s *Store) DropHold(ctx context.Context, projectID int64) (bool, error) {
	tag, err := s.db.Exec(ctx, `DELETE FROM ferry.holds WHERE project_id = $1`, projectID)
	return tag.RowsAffected() > 0, wrap(err, "releasing project %d", projectID)
}

// Holds returns the holds that stand, by path.
func (s *Store) Holds(ctx context.Context) ([]Hold, error) {
	hs, err := many[Hold](ctx, s.db, `
		SELECT h.project_id, p.path, h.actor, h.note, h.since, h.until
		  FROM ferry.holds h
		  JOIN ferry.projects p ON p.id = h.project_id
		 WHERE h.until IS NULL OR h.until > clock_timestamp()
		 ORDER BY p.path`)
	return hs, wrap(err, "listing holds")
}

// HoldOf returns the project's hold if one stands, or ErrNotFound.
func (s *Store) HoldOf(ctx context.Context, projectID int64) (Hold, error) {
	h, err := one[Hold](ctx, s.db, `
		SELECT h.project_id, p.path, h.actor, h.note, h.since, h.until
		  FROM ferry.holds h
		  JOIN ferry.projects p ON p.id = h.project_id
		 WHERE h.project_id = $1 AND (h.until IS NULL OR h.until > clock_timestamp())`, projectID)
	return h, wrap(err, "hold of project %d", projectID)
}

// Wave is an order of many projects, how far its migrations are, and how much of
// its budget of failures is used.
type Wave struct {
	RunID     int64     `db:"run_id"`
	Name      string    `db:"wave"` // "" when the order was given none
	Actor     string    `db:"actor"`
	Note      string    `db:"note"`
	CreatedAt time.Time `db:"created_at"`
	Budget
	Projects int `db:"projects"`
	NotBegun int `db:"not_begun"` // nothing has been written yet
	UnderWay int `db:"under_way"`
	Done     int `db:"done"`  // done, exceptions and skipped
	Ended    int `db:"ended"` // these, and what failed or needs attention
	Failures int `db:"failures"`
	// CountedEnded and CountedFailures are those since the intake was last
	// resumed: they count against the budget.
	CountedEnded    int `db:"counted_ended"`
	CountedFailures int `db:"counted_failures"`
}

// Budget is how many failures a run may have before the intake pauses.
type Budget struct {
	Share float64 `db:"budget_share" json:"share"` // of those that ended, from 0 to 1; 0 is no bound
	Count int     `db:"budget_count" json:"count"` // 0 is no bound
	Least int     `db:"budget_least" json:"least"` // how many must have ended before the share counts
}

// Exceeded says why so many failures are too many, or "" when they are not.
func (b Budget) Exceeded(failures, ended int) (reason, message string) {
	switch {
	case b.Count > 0 && failures >= b.Count:
		return "failure-count", fmt.Sprintf("%d projects failed; its budget is %d", failures, b.Count)
	case b.Share > 0 && ended >= b.Least && ended > 0 && float64(failures) > b.Share*float64(ended):
		return "failure-share", fmt.Sprintf("%d of %d projects that ended failed (%.0f %%); its budget is %.0f %%",
			failures, ended, 100*float64(failures)/float64(ended), 100*b.Share)
	}
	return "", ""
}

const waveColumns = `
	run_id, wave, actor, note, created_at, budget_share, budget_count, budget_least, projects, not_begun,
	under_way, done, ended, failures, counted_ended, counted_failures`

// Waves returns the latest orders of many projects, the latest first; all when
// limit is 0.
func (s *Store) Waves(ctx context.Context, limit int) ([]Wave, error) {
	ws, err := many[Wave](ctx, s.db, `
		SELECT `+waveColumns+`
		  FROM ferry.waves
		 ORDER BY run_id DESC
		 LIMIT nullif($1::bigint, 0)`, limit)
	return ws, wrap(err, "listing waves")
}

// Wave returns the wave of a run, or ErrNotFound.
func (s *Store) Wave(ctx context.Context, runID int64) (Wave, error) {
	w, err := one[Wave](ctx, s.db, `SELECT `+waveColumns+` FROM ferry.waves WHERE run_id = $1`, runID)
	return w, wrap(err, "wave of run %d", runID)
}
