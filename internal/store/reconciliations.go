package store

import (
	"context"
	"encoding/json"
	"time"
)

// Subject says what a reconciliation is about.
type Subject string

// The subjects: a project, or a repository of the old registry that no project owns.
const (
	SubjectProject    Subject = "project"
	SubjectRepository Subject = "repository"
)

// ReconciliationState says whether a subject has been looked at.
type ReconciliationState string

// The states of a reconciliation. Of a failed one nothing is known.
const (
	ReconciliationPending  ReconciliationState = "pending"
	ReconciliationObserved ReconciliationState = "observed"
	ReconciliationFailed   ReconciliationState = "failed"
)

// Reconciliation is what a report found out about one subject.
type Reconciliation struct {
	ID       int64   `db:"id"`
	ReportID int64   `db:"report_id"`
	Subject  Subject `db:"subject"`
	// ProjectID is 0 for a repository.
	ProjectID int64               `db:"project_id"`
	Path      string              `db:"path"`
	State     ReconciliationState `db:"state"`
	// Class is the gravest of Classes, which come the gravest first.
	Class   string   `db:"class"`
	Classes []string `db:"classes"`
	// NeedsOld says that the old registry can't be switched off because of this one.
	NeedsOld bool `db:"needs_old"`
	// Owner is who has to act, Detail what there is to say of Class.
	Owner  string `db:"owner"`
	Detail string `db:"detail"`
	// Findings is a list of reconcile.Finding, Evidence a reconcile.Project, as JSON.
	Findings json.RawMessage `db:"findings"`
	Evidence json.RawMessage `db:"evidence"`
	Tries    int             `db:"tries"`
	Error    string          `db:"error"`
	// ObservedAt is set by the store.
	ObservedAt *time.Time `db:"observed_at"`
}

const reconciliationColumns = `
	id, report_id, subject, coalesce(project_id, 0) AS project_id, path, state, class, classes, needs_old,
	owner, detail, findings, evidence, tries, error, observed_at`

// AddReconciliations stores subjects that a report has to look at, in one round
// trip. Those that it has already are left as they are.
func (s *Store) AddReconciliations(ctx context.Context, reportID int64, rs []Reconciliation) error {
	b := newBatch()
	for _, r := range rs {
		b.Queue(`
			INSERT INTO ferry.reconciliations (report_id, subject, project_id, path)
			VALUES ($1, $2, nullif($3::bigint, 0), $4)
			ON CONFLICT (report_id, subject, path) DO NOTHING`,
			reportID, r.Subject, r.ProjectID, r.Path)
	}
	return wrap(b.send(ctx, s.db), "adding %d subjects to report %d", len(rs), reportID)
}

// SaveReconciliation stores everything of r that was found out, by its ID. It
// returns false, and changes nothing, when the report has ended meanwhile.
func (s *Store) SaveReconciliation(ctx context.Context, r Reconciliation) (bool, error) {
	tag, err := s.db.Exec(ctx, `
		UPDATE ferry.reconciliations
		   SET state = $2, class = $3, classes = coalesce($4::text[], '{}'), needs_old = $5, owner = $6, detail = $7,
		       findings = coalesce($8, '[]'::jsonb), evidence = coalesce($9, '{}'::jsonb),
		       tries = $10, error = $11,
		       observed_at = CASE WHEN $2 = 'pending' THEN NULL ELSE clock_timestamp() END
		 WHERE id = $1
		   AND EXISTS (SELECT 1 FROM ferry.reports p WHERE p.id = report_id AND p.state IN ('queued', 'collecting'))`,
		r.ID, r.State, r.Class, r.Classes, r.NeedsOld, r.Owner, r.Detail, r.Findings, r.Evidence, r.Tries, r.Error)
	return tag.RowsAffected() == 1, wrap(err, "saving what was found out about %s", r.Path)
}

// Reconciliation returns one row, or ErrNotFound.
func (s *Store) Reconciliation(ctx context.Context, id int64) (Reconciliation, error) {
	r, err := one[Reconciliation](ctx, s.db, `
		SELECT `+reconciliationColumns+`
		  FROM ferry.reconciliations
		 WHERE id = $1`, id)
	return r, wrap(err, "reconciliation %d", id)
}

// Reconciliations returns what a report found out, projects first, by path.
func (s *Store) Reconciliations(ctx context.Context, reportID int64) ([]Reconciliation, error) {
	rs, err := many[Reconciliation](ctx, s.db, `
		SELECT `+reconciliationColumns+`
		  FROM ferry.reconciliations
		 WHERE report_id = $1
		 ORDER BY subject, path`, reportID)
	return rs, wrap(err, "reconciliations of report %d", reportID)
}

// ProjectReconciliations returns what the finished reports found out about a
// project, the latest first.
func (s *Store) ProjectReconciliations(ctx context.Context, projectID int64, limit int) ([]Reconciliation, error) {
	rs, err := many[Reconciliation](ctx, s.db, `
		SELECT `+reconciliationColumns+`
		  FROM ferry.reconciliations
		 WHERE project_id = $1 AND state <> 'pending'
		   AND report_id IN (SELECT id FROM ferry.reports WHERE state = 'finished')
		 ORDER BY report_id DESC
		 LIMIT nullif($2::bigint, 0)`, projectID, limit)
	return rs, wrap(err, "reconciliations of project %d", projectID)
}

// PendingReconciliations counts the subjects that a report has not looked at yet.
func (s *Store) PendingReconciliations(ctx context.Context, reportID int64) (int, error) {
	var n int
	err := s.db.QueryRow(ctx, `
		SELECT count(*)
		  FROM ferry.reconciliations
		 WHERE report_id = $1 AND state = 'pending'`, reportID).Scan(&n)
	return n, wrap(err, "counting what report %d has still to look at", reportID)
}

// Delivery is a report on its way to a place.
type Delivery struct {
	ReportID int64  `db:"report_id"`
	Target   string `db:"target"` // files, issue or webhook
	State    string `db:"state"`  // pending, delivered or failed
	Tries    int    `db:"tries"`
	Error    string `db:"error"`
	// ErrorClass is a class of package fault.
	ErrorClass string `db:"error_class"`
	// Place is where the report lies: a directory, or an address without secrets.
	Place string `db:"place"`
	// The times are set by the store.
	UpdatedAt   time.Time  `db:"updated_at"`
	DeliveredAt *time.Time `db:"delivered_at"`
}

// SaveDelivery stores a delivery.
func (s *Store) SaveDelivery(ctx context.Context, d Delivery) error {
	_, err := s.db.Exec(ctx, `
		INSERT INTO ferry.deliveries (report_id, target, state, tries, error, error_class, place, delivered_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, CASE WHEN $3 = 'delivered' THEN clock_timestamp() END)
		ON CONFLICT (report_id, target) DO UPDATE
		   SET state = excluded.state, tries = excluded.tries, error = excluded.error,
		       error_class = excluded.error_class, place = excluded.place,
		       updated_at = clock_timestamp(), delivered_at = excluded.delivered_at`,
		d.ReportID, d.Target, d.State, d.Tries, d.Error, d.ErrorClass, d.Place)
	return wrap(err, "delivery of report %d to %s", d.ReportID, d.Target)
}

// Deliveries returns where a report went or is to go.
func (s *Store) Deliveries(ctx context.Context, reportID int64) ([]Delivery, error) {
	ds, err := many[Delivery](ctx, s.db, `
		SELECT report_id, target, state, tries, error, error_class, place, updated_at, delivered_at
		  FROM ferry.deliveries
		 WHERE report_id = $1
		 ORDER BY target`, reportID)
	return ds, wrap(err, "deliveries of report %d", reportID)
}

// OldTag is a tag of the old registry and what it named when a migration ended.
type OldTag struct {
	Repository string `db:"repository"`
	Tag        string `db:"tag"`
	Digest     string `db:"digest"`
}

// KeepBaseline stores the old registry's tags of a project as they are now that
// the migration has ended. The first look counts: a later one, by a job that is
// run again, changes nothing.
func (s *Store) KeepBaseline(ctx context.Context, migrationID int64, tags []OldTag) error {
	b := newBatch()
	for _, t := range tags {
		b.Queue(`
			INSERT INTO ferry.baselines (migration_id, repository, tag, digest)
			VALUES ($1, $2, $3, $4)
			ON CONFLICT (migration_id, repository, tag) DO NOTHING`,
			migrationID, t.Repository, t.Tag, t.Digest)
	}
	return wrap(b.send(ctx, s.db), "keeping %d tags of migration %d", len(tags), migrationID)
}

// Baseline returns the tags that KeepBaseline stored, by repository and tag.
func (s *Store) Baseline(ctx context.Context, migrationID int64) ([]OldTag, error) {
	tags, err := many[OldTag](ctx, s.db, `
		SELECT repository, tag, digest
		  FROM ferry.baselines
		 WHERE migration_id = $1
		 ORDER BY repository, tag`, migrationID)
	return tags, wrap(err, "baseline of migration %d", migrationID)
}

// ReconciliationStats are the figures that monitoring asks for.
type ReconciliationStats struct {
	// LastFinished is the end of the latest finished report on all projects; nil for none.
	LastFinished *time.Time
	NeedingOld   int
	Unobserved   int
	// Classes counts its findings by class.
	Classes map[string]int
	// Undelivered counts deliveries that are pending after a failed try, or were given up.
	Undelivered int
}

// ReconciliationStats returns the figures of the latest finished report on all projects.
func (s *Store) ReconciliationStats(ctx context.Context) (ReconciliationStats, error) {
	stats := ReconciliationStats{Classes: map[string]int{}}
	type row struct {
		FinishedAt *time.Time `db:"finished_at"`
		NeedingOld int        `db:"needing_old"`
		Unobserved int        `db:"unobserved"`
		Class      string     `db:"class"`
		Count      int        `db:"count"`
	}
	rows, err := many[row](ctx, s.db, `
		WITH latest AS (
			SELECT id, finished_at, needing_old, unobserved
			  FROM ferry.reports
			 WHERE state = 'finished' AND scope = '{}'
			 ORDER BY id DESC
			 LIMIT 1)
		SELECT l.finished_at, l.needing_old, l.unobserved, coalesce(c.class, '') AS class, count(c.class) AS count
		  FROM latest l
		  LEFT JOIN ferry.reconciliations r ON r.report_id = l.id
		  LEFT JOIN LATERAL unnest(r.classes) AS c (class) ON true
		 GROUP BY 1, 2, 3, 4`)
	for _, r := range rows {
		stats.LastFinished, stats.NeedingOld, stats.Unobserved = r.FinishedAt, r.NeedingOld, r.Unobserved
		if r.Class != "" {
			stats.Classes[r.Class] = r.Count
		}
	}
	if err == nil {
		err = s.db.QueryRow(ctx, `
			SELECT count(*)
			  FROM ferry.deliveries
			 WHERE state = 'failed' OR state = 'pending' AND tries > 0`).Scan(&stats.Undelivered)
	}
	return stats, wrap(err, "figures of the latest report")
}
