package store

import (
	"context"
	"regexp"
	"strings"
)

// Selection chooses projects, alike for every order and every view. The zero
// value chooses all; what is set narrows the choice, and within a list any entry
// will do.
type Selection struct {
	// Paths are full project paths, in any case.
	Paths []string `json:"paths,omitempty"`
	// Group is a group's full path: its projects and those of its subgroups.
	Group string `json:"group,omitempty"`
	// Topics are GitLab's, in any case.
	Topics []string `json:"topics,omitempty"`
	// Match and Exclude are patterns on the full path: * is anything within one
	// part of the path, ** anything, ? one character.
	Match   []string `json:"match,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
	// States and Causes are those of the latest migration; a cause is its reason.
	States []State  `json:"states,omitempty"`
	Causes []string `json:"causes,omitempty"`
	// Wave and RunID choose projects whose latest migration came from there.
	Wave  string `json:"wave,omitempty"`
	RunID int64  `json:"run,omitempty"`
	// Limit is how many to choose at most, in the order of their paths; 0 is no limit.
	Limit int `json:"limit,omitempty"`
}

// StatusFilter is the Selection of a view.
type StatusFilter = Selection

// selected is the condition of a Selection, over a project p, its latest
// migration m (or its row of project_status) and that one's run r. Its arguments
// are those that args returns.
const selected = `
	   ($1::text[] IS NULL OR lower(p.path) = ANY ($1))
	   AND ($2 = '' OR starts_with(lower(p.path), lower($2) || '/'))
	   AND ($3::text[] IS NULL OR p.path ~* ANY ($3))
	   AND ($4::text[] IS NULL OR NOT p.path ~* ANY ($4))
	   AND ($5::text[] IS NULL OR EXISTS (SELECT FROM unnest(p.topics) AS t (topic) WHERE lower(topic) = ANY ($5)))
	   AND ($6::text[] IS NULL OR coalesce(m.state, 'none') = ANY ($6))
	   AND ($7::text[] IS NULL OR m.reason = ANY ($7))
	   AND ($8 = '' OR lower(r.wave) = lower($8))
	   AND ($9::bigint = 0 OR m.run_id = $9)
	 ORDER BY p.path
	 LIMIT nullif($10::bigint, 0)`

func (sel Selection) args() []any {
	var states []string
	for _, st := range sel.States {
		states = append(states, string(st))
	}
	var causes []string
	causes = append(causes, sel.Causes...) // none is NULL
	return []any{
		lowered(sel.Paths), strings.Trim(sel.Group, "/"), patterns(sel.Match), patterns(sel.Exclude),
		lowered(sel.Topics), states, causes, sel.Wave, sel.RunID, sel.Limit,
	}
}

// Projects returns the chosen projects that GitLab still has, by path.
func (s *Store) Projects(ctx context.Context, sel Selection) ([]Project, error) {
	ps, err := many[Project](ctx, s.db, `
		SELECT `+projectColumns+`
		  FROM ferry.projects p
		  LEFT JOIN LATERAL (
		        SELECT state, reason, run_id
		          FROM ferry.migrations
		         WHERE project_id = p.id
		         ORDER BY attempt DESC
		         LIMIT 1
		       ) m ON true
		  LEFT JOIN ferry.runs r ON r.id = m.run_id
		 WHERE p.gone_at IS NULL AND`+selected, sel.args()...)
	return ps, wrap(err, "choosing projects")
}

// Status returns one row a chosen project, by path. Projects that left GitLab
// are shown only if they were ever enqueued.
func (s *Store) Status(ctx context.Context, sel Selection) ([]Status, error) {
	rows, err := many[Status](ctx, s.db, `
		SELECT m.project_id, m.path, m.web_url, m.gone_at, coalesce(m.migration_id, 0) AS migration_id,
		       coalesce(m.run_id, 0) AS run_id, coalesce(r.wave, '') AS wave,
		       coalesce(m.attempt, 0) AS attempt, m.state, m.step, m.since,
		       m.reason, m.error_class, m.why, m.next, m.waiting_for, m.next_look_at, m.deadline_at,
		       m.repository_uri, m.merge_request_url, m.pipeline_url, m.commit_sha,
		       m.images_planned, m.images_copied, m.images_present, m.images_left_out, m.images_problems,
		       m.bytes_copied, m.bytes_planned, m.findings_blocking, m.findings_warnings, m.findings_notes, m.finding_codes,
		       m.created_at, m.started_at, m.updated_at, m.finished_at
		  FROM ferry.project_status m
		  JOIN ferry.projects p ON p.id = m.project_id
		  LEFT JOIN ferry.runs r ON r.id = m.run_id
		 WHERE (m.gone_at IS NULL OR m.migration_id IS NOT NULL) AND`+selected, sel.args()...)
	return rows, wrap(err, "status of projects")
}

// Unknown returns those of the paths that no project has, in the order given.
func (s *Store) Unknown(ctx context.Context, paths []string) ([]string, error) {
	type row struct {
		Path string `db:"path"`
	}
	rows, err := many[row](ctx, s.db, `
		SELECT g.path
		  FROM unnest($1::text[]) WITH ORDINALITY AS g (path, n)
		 WHERE NOT EXISTS (SELECT FROM ferry.projects p WHERE lower(p.path) = lower(trim(BOTH '/' FROM g.path)))
		 ORDER BY g.n`, paths)
	var unknown []string
	for _, r := range rows {
		unknown = append(unknown, r.Path)
	}
	return unknown, wrap(err, "looking for unknown projects")
}

// lowered returns ss in lower case, and nil for none.
func lowered(ss []string) []string {
	var out []string
	for _, s := range ss {
		out = append(out, strings.ToLower(strings.Trim(s, "/")))
	}
	return out
}

// wildcards turns the quoted wildcards of a path pattern into regular expressions.
var wildcards = strings.NewReplacer(`\*\*`, `.*`, `\*`, `[^/]*`, `\?`, `[^/]`)

// patterns turns path patterns into anchored regular expressions that Postgres
// and Go read alike, and none into nil.
func patterns(globs []string) []string {
	var out []string
	for _, g := range globs {
		out = append(out, "^"+wildcards.Replace(regexp.QuoteMeta(g))+"$")
	}
	return out
}
