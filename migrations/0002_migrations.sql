-- A project's way to ECR: one row an attempt, one row a try of each step.

-- +goose Up
CREATE TABLE ferry.migrations (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id        bigint NOT NULL REFERENCES ferry.projects (id),
    run_id            bigint REFERENCES ferry.runs (id),
    attempt           integer NOT NULL
                      CONSTRAINT migrations_attempt_positive CHECK (attempt > 0),
    origin            text NOT NULL
                      CONSTRAINT migrations_origin CHECK (origin IN ('all', 'project', 'failed')),
    state             text NOT NULL DEFAULT 'queued'
                      CONSTRAINT migrations_state CHECK (state IN ('queued', 'running', 'waiting',
                          'done', 'exceptions', 'skipped', 'attention', 'failed', 'cancelled')),
    step              text NOT NULL DEFAULT 'discover'
                      CONSTRAINT migrations_step CHECK (step IN ('discover', 'configure', 'copy',
                          'rewrite', 'pipeline', 'verify', 'done')),
    since             timestamptz NOT NULL DEFAULT now(),
    reason            text NOT NULL DEFAULT '',
    error_class       text NOT NULL DEFAULT ''
                      CONSTRAINT migrations_error_class CHECK (error_class IN ('', 'transient',
                          'permanent', 'attention', 'unclassified')),
    message           text NOT NULL DEFAULT '',
    next_action       text NOT NULL DEFAULT '',
    waiting_for       text NOT NULL DEFAULT '',
    next_look_at      timestamptz,
    deadline_at       timestamptz,
    policy            jsonb NOT NULL DEFAULT '{}',
    repository        text NOT NULL DEFAULT '',
    repository_uri    text NOT NULL DEFAULT '',
    branch            text NOT NULL DEFAULT '',
    base_sha          text NOT NULL DEFAULT '',
    commit_sha        text NOT NULL DEFAULT '',
    merge_request_iid bigint,
    merge_request_url text NOT NULL DEFAULT '',
    pipeline_id       bigint,
    pipeline_url      text NOT NULL DEFAULT '',
    baseline          jsonb NOT NULL DEFAULT '{}',
    created_at        timestamptz NOT NULL DEFAULT now(),
    started_at        timestamptz,
    updated_at        timestamptz NOT NULL DEFAULT now(),
    finished_at       timestamptz,
    CONSTRAINT migrations_attempt UNIQUE (project_id, attempt),
    CONSTRAINT migrations_finished CHECK (
        (state NOT IN ('queued', 'running', 'waiting')) = (finished_at IS NOT NULL)),
    -- A wait that names nothing cannot be looked after.
    CONSTRAINT migrations_waiting_for CHECK (state <> 'waiting' OR waiting_for <> ''),
    -- Whoever reads that something failed must be able to read why.
    CONSTRAINT migrations_explained CHECK (
        state NOT IN ('attention', 'failed', 'skipped') OR (reason <> '' AND message <> ''))
);
CREATE UNIQUE INDEX migrations_one_active ON ferry.migrations (project_id)
    WHERE state IN ('queued', 'running', 'waiting');
CREATE INDEX migrations_run ON ferry.migrations (run_id);
CREATE INDEX migrations_state_since ON ferry.migrations (state, since);
COMMENT ON TABLE ferry.migrations IS
    'One row an attempt to migrate a project. At most one of a project is active (queued, running, waiting).';
COMMENT ON COLUMN ferry.migrations.attempt IS 'Counts the attempts of the project from 1; the highest is the current one.';
COMMENT ON COLUMN ferry.migrations.origin IS 'The kind of order that this attempt came from.';
COMMENT ON COLUMN ferry.migrations.state IS
    'Active: queued, running, waiting. Ended: done, exceptions (done, with a list of what was not), skipped (nothing to do), attention (a human must act), failed, cancelled.';
COMMENT ON COLUMN ferry.migrations.step IS 'The step it is at, or ended at; done when all are behind it.';
COMMENT ON COLUMN ferry.migrations.since IS 'When state, step or waiting_for last changed.';
COMMENT ON COLUMN ferry.migrations.reason IS 'Short stable code, for grouping.';
COMMENT ON COLUMN ferry.migrations.message IS 'Why it is where it is, in a sentence.';
COMMENT ON COLUMN ferry.migrations.next_action IS 'What a human should do next, in a sentence; empty when nothing.';
COMMENT ON COLUMN ferry.migrations.waiting_for IS 'What outside it waits for, when waiting.';
COMMENT ON COLUMN ferry.migrations.next_look_at IS 'When it looks again, when waiting.';
COMMENT ON COLUMN ferry.migrations.deadline_at IS 'When waiting ends in failure; empty for a wait without end.';
COMMENT ON COLUMN ferry.migrations.policy IS 'The choices this attempt was started with.';
COMMENT ON COLUMN ferry.migrations.repository IS 'The ECR repository name.';
COMMENT ON COLUMN ferry.migrations.repository_uri IS 'The ECR repository as images name it, with its host.';
COMMENT ON COLUMN ferry.migrations.branch IS 'The branch that the rewrite was committed to.';
COMMENT ON COLUMN ferry.migrations.base_sha IS 'Head of the default branch that the rewrite was made from.';
COMMENT ON COLUMN ferry.migrations.commit_sha IS 'The commit on the default branch that carries the rewrite.';
COMMENT ON COLUMN ferry.migrations.baseline IS 'What the default branch''s pipeline and deployments were before we came.';

CREATE TABLE ferry.steps (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration_id bigint NOT NULL REFERENCES ferry.migrations (id),
    name         text NOT NULL
                 CONSTRAINT steps_name CHECK (name IN ('discover', 'configure', 'copy',
                     'rewrite', 'pipeline', 'verify')),
    try          integer NOT NULL
                 CONSTRAINT steps_try_positive CHECK (try > 0),
    job_id       bigint NOT NULL,
    worker       text NOT NULL DEFAULT '',
    started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at  timestamptz,
    duration     interval GENERATED ALWAYS AS (finished_at - started_at) STORED,
    outcome      text NOT NULL DEFAULT 'running'
                 CONSTRAINT steps_outcome CHECK (outcome IN ('running', 'done', 'waiting',
                     'attention', 'retry', 'failed', 'lost', 'cancelled')),
    error        text NOT NULL DEFAULT '',
    error_class  text NOT NULL DEFAULT ''
                 CONSTRAINT steps_error_class CHECK (error_class IN ('', 'transient',
                     'permanent', 'attention', 'unclassified')),
    reason       text NOT NULL DEFAULT '',
    result       jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT steps_try UNIQUE (migration_id, name, try),
    CONSTRAINT steps_finished CHECK ((outcome = 'running') = (finished_at IS NULL))
);
CREATE UNIQUE INDEX steps_one_running ON ferry.steps (migration_id) WHERE outcome = 'running';
COMMENT ON TABLE ferry.steps IS 'One row a try of a step. At most one of a migration is running.';
COMMENT ON COLUMN ferry.steps.try IS 'Counts the tries of this step of this migration from 1. Each look of a wait is a try.';
COMMENT ON COLUMN ferry.steps.job_id IS 'The job in river.river_job that ran it; River deletes its rows after a while.';
COMMENT ON COLUMN ferry.steps.worker IS 'The process that ran it. When ferry.workers has not heard of it for too long, its running tries are marked lost.';
COMMENT ON COLUMN ferry.steps.outcome IS
    'running, done, waiting (asks again later), attention, retry (failed, will be tried again), failed, lost (its worker vanished), cancelled.';
COMMENT ON COLUMN ferry.steps.result IS 'What the step found out or did, for people.';

-- +goose Down
DROP TABLE ferry.steps;
DROP TABLE ferry.migrations;
