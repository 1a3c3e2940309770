-- Who may begin, and when: the fleet's intake, projects held back by hand, waves
-- with a budget of failures, and plans made before anything is written.

-- +goose Up
ALTER TABLE ferry.projects ADD COLUMN topics text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN ferry.projects.topics IS 'The topics that GitLab shows with the project.';

ALTER TABLE ferry.runs
    ADD COLUMN wave   text NOT NULL DEFAULT '',
    ADD COLUMN budget jsonb NOT NULL DEFAULT '{}';
CREATE INDEX runs_wave ON ferry.runs (wave) WHERE wave <> '';
COMMENT ON COLUMN ferry.runs.wave IS 'The name that the order was given, such as canary or 2; several runs may share it.';
COMMENT ON COLUMN ferry.runs.budget IS
    'How many failures this run may have before the intake pauses: share (0 to 1, of those that ended), count, and least (how many must have ended before the share counts). 0 is no bound.';

CREATE TABLE ferry.intake (
    single     boolean PRIMARY KEY DEFAULT true
               CONSTRAINT intake_single CHECK (single),
    paused     boolean NOT NULL DEFAULT false,
    reason     text NOT NULL DEFAULT '',
    message    text NOT NULL DEFAULT '',
    actor      text NOT NULL DEFAULT '',
    since      timestamptz NOT NULL DEFAULT now(),
    run_id     bigint REFERENCES ferry.runs (id),
    resumed_at timestamptz,
    -- Whoever finds the line stopped must be able to read why.
    CONSTRAINT intake_explained CHECK (NOT paused OR (reason <> '' AND message <> '' AND actor <> ''))
);
INSERT INTO ferry.intake DEFAULT VALUES;
COMMENT ON TABLE ferry.intake IS
    'One row: may projects that have not yet begun begin? Those under way go on in any case.';
COMMENT ON COLUMN ferry.intake.reason IS 'by-hand, unknown-cause, failure-share, failure-count; empty before the first pause.';
COMMENT ON COLUMN ferry.intake.message IS 'Why it is paused, or what was said when it was resumed.';
COMMENT ON COLUMN ferry.intake.run_id IS 'The run whose budget was used up.';
COMMENT ON COLUMN ferry.intake.resumed_at IS 'Failures from before it count no more against a budget.';

CREATE TABLE ferry.holds (
    project_id bigint PRIMARY KEY REFERENCES ferry.projects (id),
    actor      text NOT NULL
               CONSTRAINT holds_actor CHECK (actor <> ''),
    note       text NOT NULL DEFAULT '',
    since      timestamptz NOT NULL DEFAULT clock_timestamp(),
    until      timestamptz
);
COMMENT ON TABLE ferry.holds IS
    'One row a project that somebody paused: its migration begins no further step.';
COMMENT ON COLUMN ferry.holds.until IS 'When the hold ends by itself; null: when somebody resumes the project.';

CREATE VIEW ferry.waves AS
SELECT r.id AS run_id,
       r.wave,
       r.actor,
       r.note,
       r.created_at,
       coalesce((r.budget ->> 'share')::float8, 0) AS budget_share,
       coalesce((r.budget ->> 'count')::int, 0) AS budget_count,
       coalesce((r.budget ->> 'least')::int, 0) AS budget_least,
       count(m.id) AS projects,
       count(m.id) FILTER (WHERE m.finished_at IS NULL AND m.step IN ('discover', 'configure')) AS not_begun,
       count(m.id) FILTER (WHERE m.finished_at IS NULL AND m.step NOT IN ('discover', 'configure')) AS under_way,
       count(m.id) FILTER (WHERE m.state IN ('done', 'exceptions', 'skipped')) AS done,
       count(m.id) FILTER (WHERE m.finished_at IS NOT NULL) AS ended,
       -- What went wrong after something may have been written; a finding of
       -- discover or a console that nobody has clicked is no failure of ours.
       count(m.id) FILTER (WHERE m.state = 'failed'
              OR m.state = 'attention' AND m.step IN ('copy', 'rewrite', 'pipeline', 'verify')) AS failures,
       count(m.id) FILTER (WHERE m.finished_at > i.resumed_at OR i.resumed_at IS NULL AND m.finished_at IS NOT NULL) AS counted_ended,
       count(m.id) FILTER (WHERE (m.finished_at > i.resumed_at OR i.resumed_at IS NULL)
              AND (m.state = 'failed' OR m.state = 'attention' AND m.step IN ('copy', 'rewrite', 'pipeline', 'verify'))) AS counted_failures
  FROM ferry.runs r
 CROSS JOIN ferry.intake i
  LEFT JOIN ferry.migrations m ON m.run_id = r.id AND m.kind = 'migrate'
 WHERE r.kind = 'all'
 GROUP BY r.id, i.resumed_at
 ORDER BY r.id;
COMMENT ON VIEW ferry.waves IS
    'One row an order of many projects: how far its migrations are, and how much of its budget of failures is used.';
COMMENT ON COLUMN ferry.waves.not_begun IS 'Active, but nothing has been written yet: these wait while the intake is paused.';
COMMENT ON COLUMN ferry.waves.counted_failures IS 'Failures since the intake was last resumed: these count against the budget.';

CREATE TABLE ferry.plans (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    actor      text NOT NULL
               CONSTRAINT plans_actor CHECK (actor <> ''),
    note       text NOT NULL DEFAULT '',
    selection  jsonb NOT NULL DEFAULT '{}',
    policy     jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    plan       jsonb NOT NULL
);
COMMENT ON TABLE ferry.plans IS 'One row a dry run: what a migration of the chosen projects would do, as of then.';
COMMENT ON COLUMN ferry.plans.plan IS 'The whole plan, as the command plan prints it in JSON.';

-- +goose Down
DROP TABLE ferry.plans;
DROP VIEW ferry.waves;
DROP TABLE ferry.holds;
DROP TABLE ferry.intake;
ALTER TABLE ferry.runs DROP COLUMN budget, DROP COLUMN wave;
ALTER TABLE ferry.projects DROP COLUMN topics;
