package store

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// StateRolledBack appears only where a list tells it apart from StateDone: the
// latest migration was a rollback that ended well.
const StateRolledBack State = "rolled-back"

// Listed is a line of a list of projects: the project with its latest migration.
type Listed struct {
	ProjectID   int64      `db:"project_id"`
	Path        string     `db:"path"`
	WebURL      string     `db:"web_url"`
	MigrationID int64      `db:"migration_id"` // 0: never enqueued
	Attempt     int        `db:"attempt"`
	State       State      `db:"state"`
	Step        StepName   `db:"step"`
	Since       time.Time  `db:"since"`
	Reason      string     `db:"reason"`
	Why         string     `db:"why"`
	Next        string     `db:"next"`
	WaitingFor  string     `db:"waiting_for"`
	NextLookAt  *time.Time `db:"next_look_at"`
	ImageCounts
	FindingsBlocking int `db:"findings_blocking"`
	FindingsWarnings int `db:"findings_warnings"`
}

// ListFilter chooses projects, their order and a page of them; what is zero
// does not matter.
type ListFilter struct {
	// Text is searched for in path, message and repository, in any case.
	Text   string
	States []State
	Group  string // a group's full path, subgroups included
	Reason string
	Step   StepName
	Wave   string // the name of the order that the latest migration came from
	// Order is one of ListOrders; "" is by path.
	Order      string
	Descending bool
	// Limit is the length of a page, Offset how many projects stand before it.
	Limit, Offset int
}

// ListOrders are what a list can be sorted by, with the expression that does it.
var ListOrders = map[string]string{
	"path":    "lower(path)",
	"state":   "array_position(ARRAY['failed', 'attention', 'running', 'queued', 'waiting', 'cancelled', 'none', 'rolled-back', 'exceptions', 'done', 'skipped'], state)",
	"step":    "array_position(ARRAY['discover', 'configure', 'copy', 'rewrite', 'restore', 'pipeline', 'verify', 'done'], step)",
	"since":   "since",
	"cause":   "reason",
	"attempt": "attempt",
}

// latest is the projects that are shown, each with its latest migration.
const latest = `
	SELECT p.id AS project_id, p.path, p.web_url, coalesce(m.id, 0) AS migration_id,
	       coalesce(m.attempt, 0) AS attempt, coalesce(m.kind, '') AS kind,
	       CASE WHEN m.kind = 'rollback' AND m.state IN ('done', 'exceptions') THEN 'rolled-back'
	            ELSE coalesce(m.state, 'none') END AS state,
	       coalesce(m.step, '') AS step, coalesce(m.since, p.seen_at) AS since,
	       coalesce(m.reason, '') AS reason, coalesce(m.message, '') AS why,
	       coalesce(m.next_action, '') AS next, coalesce(m.waiting_for, '') AS waiting_for,
	       m.next_look_at, coalesce(m.repository, '') AS repository, coalesce(r.wave, '') AS wave
	  FROM ferry.projects p
	  LEFT JOIN LATERAL (
	        SELECT *
	          FROM ferry.migrations
	         WHERE project_id = p.id
	         ORDER BY attempt DESC
	         LIMIT 1
	       ) m ON true
	  LEFT JOIN ferry.runs r ON r.id = m.run_id
	 WHERE p.gone_at IS NULL OR m.id IS NOT NULL`

// List returns a page of the chosen projects and how many there are on all
// pages. Images and findings are counted for the page only, so that a page of
// many thousand projects costs no more than one of a few.
func (s *Store) List(ctx context.Context, f ListFilter) (page []Listed, total int, err error) {
	order, ok := ListOrders[f.Order]
	if f.Order == "" {
		order, ok = ListOrders["path"], true
	}
	if !ok {
		return nil, 0, fmt.Errorf("a list can't be sorted by %q", f.Order)
	}
	if f.Descending {
		order += " DESC"
	}
	type row struct {
		Listed
		Total int `db:"total"`
	}
	rows, err := many[row](ctx, s.db, `
		WITH page AS (
		     SELECT l.*, count(*) OVER () AS total,
		            row_number() OVER (ORDER BY `+order+`, lower(path)) AS position
		       FROM (`+latest+`) l
		      WHERE ($1 = '' OR position(lower($1) IN lower(path)) > 0
		             OR position(lower($1) IN lower(why)) > 0 OR position(lower($1) IN lower(repository)) > 0)
		        AND ($2::text[] IS NULL OR state = ANY ($2))
		        AND ($3 = '' OR starts_with(lower(path), lower($3) || '/'))
		        AND ($4 = '' OR reason = $4)
		        AND ($5 = '' OR step = $5)
		        AND ($8 = '' OR wave = $8)
		      ORDER BY position
		      LIMIT nullif($6::bigint, 0) OFFSET $7)
		SELECT l.project_id, l.path, l.web_url, l.migration_id, l.attempt, l.state, l.step, l.since,
		       l.reason, l.why, l.next, l.waiting_for, l.next_look_at, l.total,
		       i.images_planned, i.images_copied, i.images_present, i.images_left_out, i.images_problems,
		       i.bytes_copied, f.findings_blocking, f.findings_warnings
		  FROM page l
		 CROSS JOIN LATERAL (
		        SELECT count(*) FILTER (WHERE state = 'planned') AS images_planned,
		               count(*) FILTER (WHERE state = 'copied') AS images_copied,
		               count(*) FILTER (WHERE state = 'present') AS images_present,
		               count(*) FILTER (WHERE state = 'left-out') AS images_left_out,
		               count(*) FILTER (WHERE state IN ('conflict', 'collision', 'invalid', 'failed', 'gone')) AS images_problems,
		               coalesce(sum(bytes) FILTER (WHERE state = 'copied'), 0)::bigint AS bytes_copied
		          FROM ferry.images
		         WHERE migration_id = l.migration_id
		       ) i
		 CROSS JOIN LATERAL (
		        SELECT count(*) FILTER (WHERE severity = 'blocking') AS findings_blocking,
		               count(*) FILTER (WHERE severity = 'warning') AS findings_warnings
		          FROM ferry.findings
		         WHERE migration_id = l.migration_id
		       ) f
		 ORDER BY l.position`,
		strings.TrimSpace(f.Text), words(f.States), strings.Trim(f.Group, "/"), f.Reason, f.Step, f.Limit, f.Offset, f.Wave)
	if err != nil {
		return nil, 0, wrap(err, "listing projects")
	}
	for _, r := range rows {
		page, total = append(page, r.Listed), r.Total
	}
	return page, total, nil
}

// Tally counts projects by a word: a state, a reason, a group.
type Tally struct {
	Word     string `db:"word"`
	Projects int    `db:"projects"`
}

// States counts the projects by state, rolled-back ones apart.
func (s *Store) States(ctx context.Context) ([]Tally, error) {
	return s.tally(ctx, "state", "true")
}

// Reasons counts the projects that have a reason to be where they are, by
// reason: those in the states, or in any when none is given.
func (s *Store) Reasons(ctx context.Context, states ...State) ([]Tally, error) {
	if len(states) == 0 {
		return s.tally(ctx, "reason", "reason <> ''")
	}
	return s.tally(ctx, "reason", "reason <> '' AND state = ANY ($1)", words(states))
}

// WaveNames counts the projects by the wave of their latest migration.
func (s *Store) WaveNames(ctx context.Context) ([]Tally, error) {
	return s.tally(ctx, "wave", "wave <> ''")
}

// Groups counts the projects by top-level group.
func (s *Store) Groups(ctx context.Context) ([]Tally, error) {
	return s.tally(ctx, "split_part(path, '/', 1)", "position('/' IN path) > 0")
}

func (s *Store) tally(ctx context.Context, word, where string, args ...any) ([]Tally, error) {
	ts, err := many[Tally](ctx, s.db, `
		SELECT `+word+` AS word, count(*) AS projects
		  FROM (`+latest+`) l
		 WHERE `+where+`
		 GROUP BY 1
		 ORDER BY 1`, args...)
	return ts, wrap(err, "counting projects")
}

// words returns states as texts, and none as nil.
func words(states []State) []string {
	var out []string
	for _, st := range states {
		out = append(out, string(st))
	}
	return out
}
