-- The weekly look at what is really there: reports, a row a project and report,
-- where reports were delivered, and the ledger of what moved where.

-- +goose Up
CREATE TABLE ferry.schedules (
    name       text PRIMARY KEY
               CONSTRAINT schedules_name CHECK (name <> ''),
    expression text NOT NULL,
    zone       text NOT NULL,
    since      timestamptz NOT NULL
);
COMMENT ON TABLE ferry.schedules IS 'What runs by the clock, and since when: what was due earlier was not missed.';
COMMENT ON COLUMN ferry.schedules.expression IS 'Five fields of cron: minute, hour, day of the month, month, day of the week.';
COMMENT ON COLUMN ferry.schedules.zone IS 'The time zone whose clock the expression means.';

CREATE TABLE ferry.reports (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind           text NOT NULL
                   CONSTRAINT reports_kind CHECK (kind IN ('scheduled', 'demand')),
    period         timestamptz NOT NULL,
    actor          text NOT NULL
                   CONSTRAINT reports_actor CHECK (actor <> ''),
    note           text NOT NULL DEFAULT '',
    scope          text[] NOT NULL DEFAULT '{}',
    state          text NOT NULL DEFAULT 'queued'
                   CONSTRAINT reports_state CHECK (state IN ('queued', 'collecting', 'finished', 'failed')),
    message        text NOT NULL DEFAULT '',
    started_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at    timestamptz,
    projects       integer NOT NULL DEFAULT 0,
    in_sync        integer NOT NULL DEFAULT 0,
    needing_old    integer NOT NULL DEFAULT 0,
    loud           integer NOT NULL DEFAULT 0,
    unobserved     integer NOT NULL DEFAULT 0,
    can_switch_off boolean,
    model          jsonb,
    CONSTRAINT reports_finished CHECK ((state IN ('finished', 'failed')) = (finished_at IS NOT NULL)),
    CONSTRAINT reports_model CHECK ((state = 'finished') = (model IS NOT NULL)),
    CONSTRAINT reports_explained CHECK (state <> 'failed' OR message <> '')
);
-- A period has one report, however many workers wake up for it.
CREATE UNIQUE INDEX reports_once ON ferry.reports (period) WHERE kind = 'scheduled';
COMMENT ON TABLE ferry.reports IS
    'One row a reconciliation: what is really in the old registry, ECR, GitLab and the cluster, compared with what should be. A finished one never changes.';
COMMENT ON COLUMN ferry.reports.kind IS 'scheduled (by the clock) or demand (somebody asked).';
COMMENT ON COLUMN ferry.reports.period IS 'The time it was due, which stands for its period; of one on demand, when it was asked for.';
COMMENT ON COLUMN ferry.reports.scope IS 'The project paths that were asked for; empty for all.';
COMMENT ON COLUMN ferry.reports.state IS 'queued (the inventory is being taken), collecting (project by project), finished, failed.';
COMMENT ON COLUMN ferry.reports.needing_old IS 'Projects that still need the old registry.';
COMMENT ON COLUMN ferry.reports.loud IS 'Projects with a finding that cannot wait, such as a lost image that runs.';
COMMENT ON COLUMN ferry.reports.unobserved IS 'Projects that could not be looked at: nothing is known of them.';
COMMENT ON COLUMN ferry.reports.can_switch_off IS 'Whether the old registry can be switched off; null for a report on some projects only.';
COMMENT ON COLUMN ferry.reports.model IS 'Everything that the renderings show; package reconcile documents it.';

-- +goose StatementBegin
CREATE FUNCTION ferry.refuse_settled() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'report % is finished: % refused', OLD.id, TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER reports_settled
    BEFORE UPDATE OR DELETE ON ferry.reports
    FOR EACH ROW WHEN (OLD.state = 'finished') EXECUTE FUNCTION ferry.refuse_settled();

CREATE TABLE ferry.reconciliations (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    report_id   bigint NOT NULL REFERENCES ferry.reports (id),
    subject     text NOT NULL
                CONSTRAINT reconciliations_subject CHECK (subject IN ('project', 'repository')),
    project_id  bigint REFERENCES ferry.projects (id),
    path        text NOT NULL
                CONSTRAINT reconciliations_path CHECK (path <> ''),
    state       text NOT NULL DEFAULT 'pending'
                CONSTRAINT reconciliations_state CHECK (state IN ('pending', 'observed', 'failed')),
    class       text NOT NULL DEFAULT '',
    classes     text[] NOT NULL DEFAULT '{}',
    needs_old   boolean NOT NULL DEFAULT false,
    owner       text NOT NULL DEFAULT '',
    detail      text NOT NULL DEFAULT '',
    findings    jsonb NOT NULL DEFAULT '[]',
    evidence    jsonb NOT NULL DEFAULT '{}',
    tries       integer NOT NULL DEFAULT 0,
    error       text NOT NULL DEFAULT '',
    observed_at timestamptz,
    CONSTRAINT reconciliations_project CHECK ((subject = 'project') = (project_id IS NOT NULL)),
    CONSTRAINT reconciliations_class CHECK (state = 'pending' OR class <> ''),
    CONSTRAINT reconciliations_error CHECK (state <> 'failed' OR error <> '')
);
CREATE UNIQUE INDEX reconciliations_once ON ferry.reconciliations (report_id, subject, path);
CREATE INDEX reconciliations_pending ON ferry.reconciliations (report_id) WHERE state = 'pending';
CREATE INDEX reconciliations_of_project ON ferry.reconciliations (project_id, report_id);
COMMENT ON TABLE ferry.reconciliations IS
    'One row a project and report, and one a repository of the old registry that no project owns.';
COMMENT ON COLUMN ferry.reconciliations.state IS 'pending (not looked at yet), observed, failed (could not be looked at, see error).';
COMMENT ON COLUMN ferry.reconciliations.class IS 'The gravest of classes.';
COMMENT ON COLUMN ferry.reconciliations.classes IS 'All that was found, the gravest first.';
COMMENT ON COLUMN ferry.reconciliations.needs_old IS 'The old registry cannot be switched off because of this one.';
COMMENT ON COLUMN ferry.reconciliations.findings IS 'A list of class, severity, subject, detail, owner and remedy.';
COMMENT ON COLUMN ferry.reconciliations.evidence IS 'What was seen, by system.';

CREATE TABLE ferry.baselines (
    migration_id bigint NOT NULL REFERENCES ferry.migrations (id),
    repository   text NOT NULL,
    tag          text NOT NULL,
    digest       text NOT NULL,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (migration_id, repository, tag)
);
COMMENT ON TABLE ferry.baselines IS
    'The old registry''s tags of a project when its migration ended, copied or not: whatever differs later was pushed since.';

CREATE TABLE ferry.deliveries (
    report_id    bigint NOT NULL REFERENCES ferry.reports (id),
    target       text NOT NULL
                 CONSTRAINT deliveries_target CHECK (target IN ('files', 'issue', 'webhook')),
    state        text NOT NULL DEFAULT 'pending'
                 CONSTRAINT deliveries_state CHECK (state IN ('pending', 'delivered', 'failed')),
    tries        integer NOT NULL DEFAULT 0,
    error        text NOT NULL DEFAULT '',
    error_class  text NOT NULL DEFAULT '',
    place        text NOT NULL DEFAULT '',
    updated_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    delivered_at timestamptz,
    PRIMARY KEY (report_id, target),
    CONSTRAINT deliveries_delivered CHECK ((state = 'delivered') = (delivered_at IS NOT NULL)),
    CONSTRAINT deliveries_explained CHECK (state <> 'failed' OR error <> '')
);
COMMENT ON TABLE ferry.deliveries IS 'One row a report and a place it goes to. A delivery that fails loses nothing: the report stays here.';
COMMENT ON COLUMN ferry.deliveries.state IS 'pending (it will be tried, or tried again), delivered, failed (given up).';
COMMENT ON COLUMN ferry.deliveries.place IS 'Where it lies: a directory or an address without secrets.';

CREATE TABLE ferry.ledger (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at                timestamptz NOT NULL DEFAULT clock_timestamp(),
    event             text NOT NULL
                      CONSTRAINT ledger_event CHECK (event IN ('moved', 'rolled-back')),
    project_id        bigint NOT NULL REFERENCES ferry.projects (id),
    project_path      text NOT NULL,
    migration_id      bigint NOT NULL REFERENCES ferry.migrations (id),
    attempt           integer NOT NULL,
    outcome           text NOT NULL,
    old_repository    text NOT NULL,
    old_tag           text NOT NULL,
    old_digest        text NOT NULL,
    new_reference     text NOT NULL,
    new_digest        text NOT NULL,
    bytes             bigint NOT NULL,
    commit_sha        text NOT NULL,
    merge_request_url text NOT NULL,
    pipeline_id       bigint,
    pipeline_url      text NOT NULL,
    deployments       text[] NOT NULL
);
CREATE INDEX ledger_project ON ferry.ledger (project_id, id);
COMMENT ON TABLE ferry.ledger IS
    'Append only: which image of the old registry became which image in ECR, by which commit, merge request, pipeline and deployment. Written by the database itself when a migration ends.';
COMMENT ON COLUMN ferry.ledger.event IS 'moved (an image), rolled-back (the project was taken back; no image moves).';
COMMENT ON COLUMN ferry.ledger.project_path IS 'The path at that time: projects move.';
COMMENT ON COLUMN ferry.ledger.outcome IS 'How the migration ended: images can be in ECR although a later step failed.';
COMMENT ON COLUMN ferry.ledger.old_tag IS 'Empty for an image without a tag.';
COMMENT ON COLUMN ferry.ledger.new_reference IS 'As images name it: host/repository:tag, or host/repository@digest without a tag.';
COMMENT ON COLUMN ferry.ledger.deployments IS 'Environments and deployments that were proven, such as staging: deployment 7.';
CREATE TRIGGER ledger_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON ferry.ledger
    FOR EACH STATEMENT EXECUTE FUNCTION ferry.refuse_change();

-- +goose StatementBegin
CREATE FUNCTION ferry.write_ledger() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    proven text[];
BEGIN
    SELECT coalesce(array_agg(environment || ': ' || subject ORDER BY environment), '{}')
      INTO proven
      FROM ferry.evidence
     WHERE migration_id = NEW.id AND name = 'deployment' AND result = 'yes';
    INSERT INTO ferry.ledger (event, project_id, project_path, migration_id, attempt, outcome,
           old_repository, old_tag, old_digest, new_reference, new_digest, bytes,
           commit_sha, merge_request_url, pipeline_id, pipeline_url, deployments)
    SELECT 'moved', NEW.project_id, p.path, NEW.id, NEW.attempt, NEW.state,
           i.source_repository, i.source_tag, i.source_digest,
           coalesce(nullif(NEW.repository_uri, ''), i.target_repository)
               || CASE WHEN i.target_tag = '' THEN '@' || i.target_digest ELSE ':' || i.target_tag END,
           i.target_digest, i.bytes,
           NEW.commit_sha, NEW.merge_request_url, NEW.pipeline_id, NEW.pipeline_url, proven
      FROM ferry.images i
      JOIN ferry.projects p ON p.id = NEW.project_id
     WHERE NEW.kind = 'migrate' AND i.migration_id = NEW.id AND i.state IN ('copied', 'present')
       -- A later attempt takes over the images of the one before: only what is new is written.
       AND NOT EXISTS (
           SELECT 1 FROM ferry.ledger l
            WHERE l.project_id = NEW.project_id AND l.old_repository = i.source_repository
              AND l.old_tag = i.source_tag AND l.old_digest = i.source_digest AND l.new_digest = i.target_digest
              AND (l.commit_sha, l.merge_request_url, coalesce(l.pipeline_id, 0), l.deployments)
                = (NEW.commit_sha, NEW.merge_request_url, coalesce(NEW.pipeline_id, 0), proven))
     ORDER BY i.source_repository, i.source_tag, i.source_digest;
    INSERT INTO ferry.ledger (event, project_id, project_path, migration_id, attempt, outcome,
           old_repository, old_tag, old_digest, new_reference, new_digest, bytes,
           commit_sha, merge_request_url, pipeline_id, pipeline_url, deployments)
    SELECT 'rolled-back', NEW.project_id, p.path, NEW.id, NEW.attempt, NEW.state,
           '', '', '', '', '', 0, NEW.commit_sha, NEW.merge_request_url, NEW.pipeline_id, NEW.pipeline_url, proven
      FROM ferry.projects p
     WHERE p.id = NEW.project_id AND NEW.kind = 'rollback' AND NEW.state IN ('done', 'exceptions');
    RETURN NULL;
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION ferry.write_ledger() IS 'Trigger: writes the ledger when a migration ends.';
-- Deferred to the commit, so that it sees the evidence that the same
-- transaction writes after the migration's row.
CREATE CONSTRAINT TRIGGER migrations_ledger
    AFTER UPDATE ON ferry.migrations
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW
    WHEN (OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL)
    EXECUTE FUNCTION ferry.write_ledger();

CREATE VIEW ferry.drift AS
SELECT r.report_id,
       r.path,
       f.class,
       f.severity,
       f.detail,
       f.owner,
       f.remedy,
       f.needs_old,
       r.observed_at
  FROM ferry.reconciliations r
 CROSS JOIN LATERAL jsonb_to_recordset(r.findings)
    AS f (class text, severity text, detail text, owner text, remedy text, needs_old boolean)
 WHERE r.report_id = (
       SELECT id FROM ferry.reports
        WHERE state = 'finished' AND scope = '{}'
        ORDER BY id DESC LIMIT 1)
 ORDER BY CASE f.severity WHEN 'loud' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END, r.path;
COMMENT ON VIEW ferry.drift IS 'One row a finding of the latest complete report, the gravest first.';

-- +goose Down
DROP VIEW ferry.drift;
DROP TRIGGER migrations_ledger ON ferry.migrations;
DROP FUNCTION ferry.write_ledger();
DROP TABLE ferry.ledger;
DROP TABLE ferry.deliveries;
DROP TABLE ferry.baselines;
DROP TABLE ferry.reconciliations;
DROP TABLE ferry.reports;
DROP FUNCTION ferry.refuse_settled();
DROP TABLE ferry.schedules;
