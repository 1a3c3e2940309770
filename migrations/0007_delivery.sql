-- What it takes to see a change through and to take it back: the inverse of what
-- was written, the budget of pipelines, and rollbacks as migrations of their own.

-- +goose Up
ALTER TABLE ferry.migrations
    ADD COLUMN kind text NOT NULL DEFAULT 'migrate'
        CONSTRAINT migrations_kind CHECK (kind IN ('migrate', 'rollback')),
    DROP CONSTRAINT migrations_origin,
    ADD CONSTRAINT migrations_origin CHECK (origin IN ('all', 'project', 'failed', 'rollback')),
    DROP CONSTRAINT migrations_step,
    ADD CONSTRAINT migrations_step CHECK (step IN ('discover', 'configure', 'copy',
        'rewrite', 'restore', 'pipeline', 'verify', 'done'));
COMMENT ON COLUMN ferry.migrations.kind IS
    'migrate (to ECR) or rollback (what earlier attempts wrote is taken back).';
ALTER TABLE ferry.steps
    DROP CONSTRAINT steps_name,
    ADD CONSTRAINT steps_name CHECK (name IN ('discover', 'configure', 'copy',
        'rewrite', 'restore', 'pipeline', 'verify'));
ALTER TABLE ferry.findings
    DROP CONSTRAINT findings_step,
    ADD CONSTRAINT findings_step CHECK (step IN ('discover', 'configure', 'copy',
        'rewrite', 'restore', 'pipeline', 'verify'));
ALTER TABLE ferry.evidence
    DROP CONSTRAINT evidence_step,
    ADD CONSTRAINT evidence_step CHECK (step IN ('discover', 'configure', 'copy',
        'rewrite', 'restore', 'pipeline', 'verify'));

CREATE TABLE ferry.inverses (
    migration_id bigint NOT NULL REFERENCES ferry.migrations (id),
    path         text NOT NULL,
    before       bytea NOT NULL,
    after        bytea NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (migration_id, path)
);
COMMENT ON TABLE ferry.inverses IS
    'One row a file that a migration changed, with its contents before and after: what a rollback restores. Written before the commit is.';

CREATE TABLE ferry.variables (
    migration_id bigint NOT NULL REFERENCES ferry.migrations (id),
    key          text NOT NULL,
    existed      boolean NOT NULL,
    value        text NOT NULL DEFAULT '',
    protected    boolean NOT NULL DEFAULT false,
    raw          boolean NOT NULL DEFAULT false,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (migration_id, key)
);
COMMENT ON TABLE ferry.variables IS
    'The CI/CD variables that name the registry, as they were before a migration changed them. Never a masked or hidden one.';
COMMENT ON COLUMN ferry.variables.existed IS 'False: the project had none of its own, so a rollback removes it.';

CREATE TABLE ferry.pipeline_starts (
    migration_id bigint NOT NULL REFERENCES ferry.migrations (id),
    cause        text NOT NULL,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (migration_id, cause)
);
CREATE INDEX pipeline_starts_at ON ferry.pipeline_starts (at);
COMMENT ON TABLE ferry.pipeline_starts IS
    'One row an act of ours that starts a pipeline: the budget of the whole fleet counts those of the last hour.';
COMMENT ON COLUMN ferry.pipeline_starts.cause IS
    'What the act is, such as commit:SHA; the same act counts once however often it is tried.';

-- +goose Down
DROP TABLE ferry.pipeline_starts;
DROP TABLE ferry.variables;
DROP TABLE ferry.inverses;
DELETE FROM ferry.evidence WHERE step = 'restore';
DELETE FROM ferry.findings WHERE step = 'restore';
DELETE FROM ferry.steps WHERE name = 'restore';
UPDATE ferry.migrations SET step = 'rewrite' WHERE step = 'restore';
UPDATE ferry.migrations SET origin = 'project' WHERE origin = 'rollback';
ALTER TABLE ferry.evidence
    DROP CONSTRAINT evidence_step,
    ADD CONSTRAINT evidence_step CHECK (step IN ('discover', 'configure', 'copy',
        'rewrite', 'pipeline', 'verify'));
ALTER TABLE ferry.findings
    DROP CONSTRAINT findings_step,
    ADD CONSTRAINT findings_step CHECK (step IN ('discover', 'configure', 'copy',
        'rewrite', 'pipeline', 'verify'));
ALTER TABLE ferry.steps
    DROP CONSTRAINT steps_name,
    ADD CONSTRAINT steps_name CHECK (name IN ('discover', 'configure', 'copy',
        'rewrite', 'pipeline', 'verify'));
ALTER TABLE ferry.migrations
    DROP COLUMN kind,
    DROP CONSTRAINT migrations_origin,
    ADD CONSTRAINT migrations_origin CHECK (origin IN ('all', 'project', 'failed')),
    DROP CONSTRAINT migrations_step,
    ADD CONSTRAINT migrations_step CHECK (step IN ('discover', 'configure', 'copy',
        'rewrite', 'pipeline', 'verify', 'done'));
