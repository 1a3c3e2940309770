-- What the steps of a migration found and did: images, findings, evidence.

-- +goose Up
CREATE TABLE ferry.images (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration_id      bigint NOT NULL REFERENCES ferry.migrations (id),
    source_repository text NOT NULL
                      CONSTRAINT images_source_repository CHECK (source_repository <> ''),
    source_tag        text NOT NULL,
    source_digest     text NOT NULL DEFAULT '',
    image_name        text NOT NULL DEFAULT '',
    target_repository text NOT NULL DEFAULT '',
    target_tag        text NOT NULL DEFAULT '',
    target_digest     text NOT NULL DEFAULT '',
    media_type        text NOT NULL DEFAULT '',
    bytes             bigint NOT NULL DEFAULT 0
                      CONSTRAINT images_bytes CHECK (bytes >= 0),
    state             text NOT NULL
                      CONSTRAINT images_state CHECK (state IN ('planned', 'left-out', 'present', 'copied',
                          'conflict', 'collision', 'invalid', 'failed', 'gone')),
    reason            text NOT NULL DEFAULT '',
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now(),
    -- An image counts as being in ECR only when ECR holds the very bytes of the source.
    CONSTRAINT images_verified CHECK (
        state NOT IN ('copied', 'present') OR (target_digest <> '' AND target_digest = source_digest)),
    -- What was not copied says why.
    CONSTRAINT images_explained CHECK (
        state NOT IN ('left-out', 'conflict', 'collision', 'invalid', 'failed', 'gone') OR reason <> '')
);
-- A tag names an image; without one only the digest does.
CREATE UNIQUE INDEX images_source ON ferry.images (migration_id, source_repository, source_tag,
    (CASE WHEN source_tag = '' THEN source_digest ELSE '' END));
CREATE UNIQUE INDEX images_target ON ferry.images (migration_id, target_tag)
    -- Referrers are pushed by digest, without a tag.
    WHERE state IN ('planned', 'copied', 'present') AND target_tag <> '';
COMMENT ON TABLE ferry.images IS
    'One row a tag of the old registry that a migration looked at, whether it was copied or not, and one an image without a tag that belongs to such a tag.';
COMMENT ON COLUMN ferry.images.source_tag IS 'Empty for an image that is known by its digest only, such as a referrer.';
COMMENT ON COLUMN ferry.images.image_name IS 'The image name within the project, the tag prefix; empty for the root image.';
COMMENT ON COLUMN ferry.images.target_digest IS 'The digest that ECR reports for target_tag.';
COMMENT ON COLUMN ferry.images.bytes IS 'Size of manifest, configuration and layers together.';
COMMENT ON COLUMN ferry.images.state IS
    'planned, left-out (not wanted, see reason), present (was there already), copied, conflict (ECR has another digest under the tag), collision (two sources want one tag), invalid (no legal tag), failed, gone (vanished from the old registry).';

CREATE TABLE ferry.findings (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration_id bigint NOT NULL REFERENCES ferry.migrations (id),
    step         text NOT NULL
                 CONSTRAINT findings_step CHECK (step IN ('discover', 'configure', 'copy',
                     'rewrite', 'pipeline', 'verify')),
    code         text NOT NULL
                 CONSTRAINT findings_code CHECK (code <> ''),
    severity     text NOT NULL
                 CONSTRAINT findings_severity CHECK (severity IN ('blocking', 'warning', 'note')),
    file         text NOT NULL DEFAULT '',
    line         integer NOT NULL DEFAULT 0,
    col          integer NOT NULL DEFAULT 0,
    text         text NOT NULL DEFAULT '',
    message      text NOT NULL DEFAULT '',
    remedy       text NOT NULL DEFAULT '',
    owner        text NOT NULL DEFAULT ''
);
CREATE INDEX findings_migration ON ferry.findings (migration_id, step);
CREATE INDEX findings_by_code ON ferry.findings (code);
COMMENT ON TABLE ferry.findings IS
    'One row a thing that a step could not do safely or that its owner should know. Replaced whenever the step runs again.';
COMMENT ON COLUMN ferry.findings.severity IS
    'blocking (nothing is written to the project), warning, note.';
COMMENT ON COLUMN ferry.findings.line IS 'Counts from 1; 0 when the finding is not about a line.';
COMMENT ON COLUMN ferry.findings.col IS 'Counts from 1; 0 when the finding is not about a column.';
COMMENT ON COLUMN ferry.findings.text IS 'The text in the file that the finding is about.';
COMMENT ON COLUMN ferry.findings.owner IS 'Who can act: project, platform, template-owner and so on.';

CREATE TABLE ferry.evidence (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration_id bigint NOT NULL REFERENCES ferry.migrations (id),
    step         text NOT NULL
                 CONSTRAINT evidence_step CHECK (step IN ('discover', 'configure', 'copy',
                     'rewrite', 'pipeline', 'verify')),
    name         text NOT NULL
                 CONSTRAINT evidence_name CHECK (name <> ''),
    environment  text NOT NULL DEFAULT '',
    subject      text NOT NULL DEFAULT '',
    result       text NOT NULL
                 CONSTRAINT evidence_result CHECK (result IN ('yes', 'no', 'unknown')),
    detail       text NOT NULL DEFAULT '',
    observed_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX evidence_migration ON ferry.evidence (migration_id, step);
COMMENT ON TABLE ferry.evidence IS
    'One row a question that was asked of the outside to prove a migration, and its answer. Replaced whenever the step looks again.';
COMMENT ON COLUMN ferry.evidence.name IS 'The question, as a short stable code.';
COMMENT ON COLUMN ferry.evidence.subject IS 'What it was asked about, such as a workload or an image.';
COMMENT ON COLUMN ferry.evidence.result IS 'yes, no, or unknown: not being able to ask is neither.';

-- +goose Down
DROP TABLE ferry.evidence;
DROP TABLE ferry.findings;
DROP TABLE ferry.images;
