package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// ImageState says what became of an image. The words are those of package copy.
type ImageState string

// The states of an image.
const (
	ImagePlanned   ImageState = "planned"
	ImageLeftOut   ImageState = "left-out"
	ImagePresent   ImageState = "present"
	ImageCopied    ImageState = "copied"
	ImageConflict  ImageState = "conflict"
	ImageCollision ImageState = "collision"
	ImageInvalid   ImageState = "invalid"
	ImageFailed    ImageState = "failed"
	ImageGone      ImageState = "gone"
)

// takesTag says whether an image in this state has its target tag to itself.
func (s ImageState) takesTag() bool {
	return s == ImagePlanned || s == ImageCopied || s == ImagePresent
}

// Image is a tag of the old registry and what a migration did about it.
type Image struct {
	ID          int64 `db:"id"`
	MigrationID int64 `db:"migration_id"`
	// SourceRepository and SourceTag identify the image within its migration. An
	// image without a tag, such as a referrer, is identified by its digest.
	SourceRepository string `db:"source_repository"`
	SourceTag        string `db:"source_tag"`
	SourceDigest     string `db:"source_digest"`
	// Name is the image's name within the project; "" is the root image.
	Name             string `db:"image_name"`
	TargetRepository string `db:"target_repository"`
	TargetTag        string `db:"target_tag"`
	// TargetDigest is what ECR reports; copied and present require it to be the source's.
	TargetDigest string     `db:"target_digest"`
	MediaType    string     `db:"media_type"`
	Bytes        int64      `db:"bytes"`
	State        ImageState `db:"state"`
	// Reason is required unless the image is planned, copied or present.
	Reason string `db:"reason"`
	// The times are set by the store.
	CreatedAt time.Time `db:"created_at"`
	UpdatedAt time.Time `db:"updated_at"`
}

// TagTakenError says that two images of a migration claim one target tag.
type TagTakenError struct{ Err error }

func (e *TagTakenError) Error() string {
	return fmt.Sprintf("two images claim one target tag: %v", e.Err)
}

// Unwrap returns Postgres' refusal.
func (e *TagTakenError) Unwrap() error { return e.Err }

// SaveImages stores images of a migration, replacing those of the same source
// repository and tag (or digest, without a tag), in one round trip and all or none. Images that it does
// not name stay. Two that would have the same target tag while planned, copied
// or present are a *TagTakenError.
func (s *Store) SaveImages(ctx context.Context, migrationID int64, images []Image) error {
	// Those that give up a tag go first, so that others may take it.
	ordered := slices.Clone(images)
	slices.SortStableFunc(ordered, func(a, b Image) int {
		return cmp.Compare(rank(a.State), rank(b.State))
	})
	err := s.InTx(ctx, func(ctx context.Context, tx *Store) error {
		b := newBatch()
		for _, i := range ordered {
			b.Queue(`
				INSERT INTO ferry.images (migration_id, source_repository, source_tag, source_digest,
				       image_name, target_repository, target_tag, target_digest, media_type, bytes, state, reason)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
				ON CONFLICT (migration_id, source_repository, source_tag,
				             (CASE WHEN source_tag = '' THEN source_digest ELSE '' END)) DO UPDATE
				   SET source_digest = excluded.source_digest, image_name = excluded.image_name,
				       target_repository = excluded.target_repository, target_tag = excluded.target_tag,
				       target_digest = excluded.target_digest, media_type = excluded.media_type,
				       bytes = excluded.bytes, state = excluded.state, reason = excluded.reason,
				       updated_at = clock_timestamp()`,
				migrationID, i.SourceRepository, i.SourceTag, i.SourceDigest,
				i.Name, i.TargetRepository, i.TargetTag, i.TargetDigest, i.MediaType, i.Bytes, i.State, i.Reason)
		}
		return b.send(ctx, tx.db)
	})
	if violates(err, "images_target") {
		err = &TagTakenError{Err: err}
	}
	return wrap(err, "saving %d images of migration %d", len(images), migrationID)
}

func rank(s ImageState) int {
	if s.takesTag() {
		return 1
	}
	return 0
}

// Images returns a migration's images by source repository and tag.
func (s *Store) Images(ctx context.Context, migrationID int64) ([]Image, error) {
	images, err := many[Image](ctx, s.db, `
		SELECT id, migration_id, source_repository, source_tag, source_digest, image_name,
		       target_repository, target_tag, target_digest, media_type, bytes, state, reason,
		       created_at, updated_at
		  FROM ferry.images
		 WHERE migration_id = $1
		 ORDER BY source_repository, source_tag, source_digest`, migrationID)
	return images, wrap(err, "images of migration %d", migrationID)
}

// Brought returns what the migrations of a project have brought to ECR so far:
// "repository:tag" of the old registry with the digest that was seen there last.
func (s *Store) Brought(ctx context.Context, projectID int64) (map[string]string, error) {
	type seen struct {
		Source string `db:"source"`
		Digest string `db:"digest"`
	}
	rows, err := many[seen](ctx, s.db, `
		SELECT DISTINCT ON (i.source_repository, i.source_tag)
		       i.source_repository || ':' || i.source_tag AS source, i.source_digest AS digest
		  FROM ferry.images i
		  JOIN ferry.migrations m ON m.id = i.migration_id
		 WHERE m.project_id = $1 AND i.source_tag <> '' AND i.state IN ('copied', 'present')
		 ORDER BY i.source_repository, i.source_tag, i.id DESC`, projectID)
	found := make(map[string]string, len(rows))
	for _, r := range rows {
		found[r.Source] = r.Digest
	}
	return found, wrap(err, "what was copied for project %d", projectID)
}
