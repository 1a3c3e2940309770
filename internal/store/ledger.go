package store

import (
	"context"
	"time"
)

// Entry is a line of the ledger: an image of the old registry and what it became
// in ECR, or a project that was taken back. The database writes it when a
// migration ends, and never changes it.
type Entry struct {
	ID int64     `db:"id" json:"id"`
	At time.Time `db:"at" json:"at"`
	// Event is moved or rolled-back.
	Event     string `db:"event" json:"event"`
	ProjectID int64  `db:"project_id" json:"project_id"`
	// ProjectPath is the path at that time.
	ProjectPath string `db:"project_path" json:"project_path"`
	MigrationID int64  `db:"migration_id" json:"migration_id"`
	Attempt     int    `db:"attempt" json:"attempt"`
	// Outcome is how the migration ended.
	Outcome string `db:"outcome" json:"outcome"`
	// OldRepository has no host. OldTag is "" for an image without a tag.
	OldRepository string `db:"old_repository" json:"old_repository"`
	OldTag        string `db:"old_tag" json:"old_tag"`
	OldDigest     string `db:"old_digest" json:"old_digest"`
	// NewReference is the image as it is called by, with ECR's host.
	NewReference    string   `db:"new_reference" json:"new_reference"`
	NewDigest       string   `db:"new_digest" json:"new_digest"`
	Bytes           int64    `db:"bytes" json:"bytes"`
	CommitSHA       string   `db:"commit_sha" json:"commit_sha"`
	MergeRequestURL string   `db:"merge_request_url" json:"merge_request_url"`
	PipelineID      int64    `db:"pipeline_id" json:"pipeline_id"`
	PipelineURL     string   `db:"pipeline_url" json:"pipeline_url"`
	Deployments     []string `db:"deployments" json:"deployments"`
}

// Ledger returns the entries behind the one with the id after, in the order
// they were written; of one project, if it is not 0. A limit of 0 returns all.
func (s *Store) Ledger(ctx context.Context, projectID, after int64, limit int) ([]Entry, error) {
	es, err := many[Entry](ctx, s.db, `
		SELECT id, at, event, project_id, project_path, migration_id, attempt, outcome,
		       old_repository, old_tag, old_digest, new_reference, new_digest, bytes,
		       commit_sha, merge_request_url, coalesce(pipeline_id, 0) AS pipeline_id, pipeline_url, deployments
		  FROM ferry.ledger
		 WHERE ($1::bigint = 0 OR project_id = $1) AND id > $2
		 ORDER BY id
		 LIMIT nullif($3::bigint, 0)`, projectID, after, limit)
	return es, wrap(err, "ledger")
}
