// Package reports renders what the store knows: a table of all projects for the
// terminal, the same as Markdown for an issue or a wiki, as JSON for programs,
// and the whole story of one project.
//
// A Report or a Story is gathered once and rendered as often as wanted. Their
// JSON is an interface for programs of others: the structs in this package are
// its documentation, fields are only ever added, and "schema" changes when one
// has to go. Times are RFC 3339, sizes bytes, durations seconds; lists are
// never null.
package reports

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// schema is the version of the JSON.
const schema = 1

// Report is all projects at a time.
type Report struct {
	Schema int       `json:"schema"`
	At     time.Time `json:"at"`
	// Run is the latest order; null when there was none.
	Run *Run `json:"run"`
	// Progress has one entry a state, in the order of a project's way.
	Progress []Progress `json:"progress"`
	// Projects has one entry a project, by path.
	Projects []Project `json:"projects"`
	// Failures has one entry a cause, the most frequent first.
	Failures []Failure `json:"failures"`
}

// Run is an order to migrate.
type Run struct {
	ID         int64      `json:"id"`
	Kind       string     `json:"kind"` // all, project, failed
	Actor      string     `json:"actor"`
	Note       string     `json:"note"`
	State      string     `json:"state"` // queued, walking, enqueued, failed
	Message    string     `json:"message"`
	Seen       int        `json:"seen"`
	Enrolled   int        `json:"enrolled"`
	LeftOut    int        `json:"left_out"`
	CreatedAt  time.Time  `json:"created_at"`
	FinishedAt *time.Time `json:"finished_at"`
}

// Images counts images by what became of them; problems are conflicts,
// collisions, invalid, failed and vanished ones together.
type Images struct {
	Planned     int64 `json:"planned"`
	Copied      int64 `json:"copied"`
	Present     int64 `json:"present"`
	LeftOut     int64 `json:"left_out"`
	Problems    int64 `json:"problems"`
	BytesCopied int64 `json:"bytes_copied"`
}

// Progress is a state and who is in it.
type Progress struct {
	State    string     `json:"state"`
	Projects int64      `json:"projects"`
	Oldest   *time.Time `json:"oldest"` // since when the first of them is there
	Images   Images     `json:"images"`
}

// Findings counts findings by severity.
type Findings struct {
	Blocking int `json:"blocking"`
	Warnings int `json:"warnings"`
	Notes    int `json:"notes"`
}

// Project is a project with its latest migration.
type Project struct {
	ID          int64     `json:"project_id"`
	Path        string    `json:"path"`
	URL         string    `json:"url"`
	MigrationID int64     `json:"migration_id"` // 0: never enqueued
	Wave        string    `json:"wave"`         // of the order it came from; empty: none
	Attempt     int       `json:"attempt"`
	State       string    `json:"state"` // none: never enqueued
	Step        string    `json:"step"`
	Since       time.Time `json:"since"`
	Reason      string    `json:"reason"`
	ErrorClass  string    `json:"error_class"`
	Why         string    `json:"why"`
	// Next is what a human should do; empty when nothing.
	Next            string     `json:"next"`
	WaitingFor      string     `json:"waiting_for"`
	NextLookAt      *time.Time `json:"next_look_at"`
	DeadlineAt      *time.Time `json:"deadline_at"`
	Repository      string     `json:"repository"`
	CommitSHA       string     `json:"commit_sha"`
	MergeRequestURL string     `json:"merge_request_url"`
	PipelineURL     string     `json:"pipeline_url"`
	Images          Images     `json:"images"`
	Copy            *Copy      `json:"copy"` // the latest copy; null before there was one, in the list when none runs
	Findings        Findings   `json:"findings"`
	FindingCodes    []string   `json:"finding_codes"`
	StartedAt       *time.Time `json:"started_at"`
	FinishedAt      *time.Time `json:"finished_at"`
}

// Failure is a cause and the projects it stopped.
type Failure struct {
	Reason   string    `json:"reason"`
	Class    string    `json:"class"`
	State    string    `json:"state"` // failed, attention
	Step     string    `json:"step"`
	Projects int64     `json:"projects"`
	Oldest   time.Time `json:"oldest"`
	Examples []string  `json:"examples"`
	Why      string    `json:"why"`
	Remedy   string    `json:"remedy"`
}

// Gather asks the store for a report. The filter chooses the projects; progress
// and failures are always those of all.
func Gather(ctx context.Context, st *store.Store, f store.StatusFilter) (Report, error) {
	r := Report{Schema: schema, Progress: []Progress{}, Projects: []Project{}, Failures: []Failure{}}
	var err error
	if r.At, err = st.Now(ctx); err != nil {
		return r, err
	}
	run, err := st.LatestRun(ctx)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return r, err
	}
	if err == nil {
		r.Run = &Run{
			ID: run.ID, Kind: string(run.Kind), Actor: run.Actor, Note: run.Note, State: string(run.State),
			Message: run.Message, Seen: run.Seen, Enrolled: run.Enrolled, LeftOut: run.LeftOut,
			CreatedAt: run.CreatedAt, FinishedAt: run.FinishedAt,
		}
	}
	progress, err := st.Progress(ctx)
	if err != nil {
		return r, err
	}
	for _, p := range progress {
		r.Progress = append(r.Progress, Progress{
			State: string(p.State), Projects: p.Projects, Oldest: p.Oldest, Images: Images(p.ImageCounts),
		})
	}
	rows, err := st.Status(ctx, f)
	if err != nil {
		return r, err
	}
	copies, err := st.Copies(ctx)
	if err != nil {
		return r, err
	}
	running := make(map[int64]store.Copying, len(copies))
	for _, c := range copies {
		running[c.MigrationID] = c
	}
	for _, s := range rows {
		p := projectOf(s)
		if c, ok := running[p.MigrationID]; ok {
			p.watch(c, r.At)
		}
		r.Projects = append(r.Projects, p)
	}
	failures, err := st.Failures(ctx)
	if err != nil {
		return r, err
	}
	for _, f := range failures {
		r.Failures = append(r.Failures, Failure{
			Reason: f.Reason, Class: f.Class, State: string(f.State), Step: string(f.Step), Projects: f.Projects,
			Oldest: f.Oldest, Examples: f.Examples, Why: f.Why, Remedy: f.Remedy,
		})
	}
	return r, nil
}

func projectOf(s store.Status) Project {
	return Project{
		ID: s.ProjectID, Path: s.Path, URL: s.WebURL, MigrationID: s.MigrationID, Wave: s.Wave, Attempt: s.Attempt,
		State: string(s.State), Step: string(s.Step), Since: s.Since, Reason: s.Reason, ErrorClass: s.ErrorClass,
		Why: s.Why, Next: s.Next, WaitingFor: s.WaitingFor, NextLookAt: s.NextLookAt, DeadlineAt: s.DeadlineAt,
		Repository: s.RepositoryURI, CommitSHA: s.CommitSHA, MergeRequestURL: s.MergeRequestURL, PipelineURL: s.PipelineURL,
		Images:       Images(s.ImageCounts),
		Findings:     Findings{Blocking: s.FindingsBlocking, Warnings: s.FindingsWarnings, Notes: s.FindingsNotes},
		FindingCodes: append([]string{}, s.FindingCodes...), StartedAt: s.StartedAt, FinishedAt: s.FinishedAt,
	}
}

// JSON writes the report as one indented object.
func (r Report) JSON(w io.Writer) error { return encode(w, r) }

func encode(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false) // URLs stay readable
	return e.Encode(v)
}
