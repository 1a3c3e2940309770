package store

import (
	"context"
	"time"
)

// Status is a row of the view project_status: a project with its latest migration.
type Status struct {
	ProjectID   int64      `db:"project_id"`
	Path        string     `db:"path"`
	WebURL      string     `db:"web_url"`
	GoneAt      *time.Time `db:"gone_at"`
	MigrationID int64      `db:"migration_id"` // 0: never enqueued
	RunID       int64      `db:"run_id"`
	Wave        string     `db:"wave"` // the name of that run; "" when it has none
	Attempt     int        `db:"attempt"`
	State       State      `db:"state"` // StateNone: never enqueued
	Step        StepName   `db:"step"`
	Since       time.Time  `db:"since"`
	Reason      string     `db:"reason"`
	ErrorClass  string     `db:"error_class"`
	// Why says why it is there, Next what a human should do next.
	Why             string     `db:"why"`
	Next            string     `db:"next"`
	WaitingFor      string     `db:"waiting_for"`
	NextLookAt      *time.Time `db:"next_look_at"`
	DeadlineAt      *time.Time `db:"deadline_at"`
	RepositoryURI   string     `db:"repository_uri"`
	MergeRequestURL string     `db:"merge_request_url"`
	PipelineURL     string     `db:"pipeline_url"`
	CommitSHA       string     `db:"commit_sha"`
	ImageCounts
	BytesPlanned     int64      `db:"bytes_planned"`
	FindingsBlocking int        `db:"findings_blocking"`
	FindingsWarnings int        `db:"findings_warnings"`
	FindingsNotes    int        `db:"findings_notes"`
	FindingCodes     []string   `db:"finding_codes"` // each once, sorted
	CreatedAt        *time.Time `db:"created_at"`
	StartedAt        *time.Time `db:"started_at"`
	UpdatedAt        *time.Time `db:"updated_at"`
	FinishedAt       *time.Time `db:"finished_at"`
}

// ImageCounts counts images by what became of them. Problems are conflicts,
// collisions, invalid, failed and gone ones together.
type ImageCounts struct {
	Planned     int64 `db:"images_planned"`
	Copied      int64 `db:"images_copied"`
	Present     int64 `db:"images_present"`
	LeftOut     int64 `db:"images_left_out"`
	Problems    int64 `db:"images_problems"`
	BytesCopied int64 `db:"bytes_copied"`
}

// Progress is a row of the view progress: a state and who is in it.
type Progress struct {
	State    State      `db:"state"`
	Projects int64      `db:"projects"`
	Oldest   *time.Time `db:"oldest"` // since when the first of them is there
	ImageCounts
}

// Progress returns one row a state, in the order of a project's way, also for
// states that no project is in.
func (s *Store) Progress(ctx context.Context) ([]Progress, error) {
	rows, err := many[Progress](ctx, s.db, `
		SELECT state, projects, oldest, images_planned, images_copied, images_present,
		       images_left_out, images_problems, bytes_copied
		  FROM ferry.progress`)
	return rows, wrap(err, "progress")
}

// Failure is a row of the view failures: a cause and the projects it stopped.
type Failure struct {
	Reason   string    `db:"reason"`
	Class    string    `db:"class"`
	State    State     `db:"state"` // failed or attention
	Step     StepName  `db:"step"`
	Projects int64     `db:"projects"`
	Oldest   time.Time `db:"oldest"`
	// Examples are up to five project paths, Why the message of the latest.
	Examples []string `db:"examples"`
	Why      string   `db:"why"`
	Remedy   string   `db:"remedy"`
}

// Failures returns the causes of failure, the most frequent first.
func (s *Store) Failures(ctx context.Context) ([]Failure, error) {
	rows, err := many[Failure](ctx, s.db, `
		SELECT reason, class, state, step, projects, oldest, examples, why, remedy
		  FROM ferry.failures
		 ORDER BY projects DESC, reason, step`)
	return rows, wrap(err, "failures")
}
