-- Reports that need nothing but psql.

-- +goose Up
CREATE VIEW ferry.project_status AS
SELECT p.id AS project_id,
       p.path,
       p.web_url,
       p.gone_at,
       m.id AS migration_id,
       m.run_id,
       m.attempt,
       coalesce(m.state, 'none') AS state,
       coalesce(m.step, '') AS step,
       coalesce(m.since, p.seen_at) AS since,
       coalesce(m.reason, '') AS reason,
       coalesce(m.error_class, '') AS error_class,
       coalesce(m.message, '') AS why,
       coalesce(m.next_action, '') AS next,
       coalesce(m.waiting_for, '') AS waiting_for,
       m.next_look_at,
       m.deadline_at,
       coalesce(m.repository_uri, '') AS repository_uri,
       coalesce(m.merge_request_url, '') AS merge_request_url,
       coalesce(m.pipeline_url, '') AS pipeline_url,
       coalesce(m.commit_sha, '') AS commit_sha,
       i.planned AS images_planned,
       i.copied AS images_copied,
       i.present AS images_present,
       i.left_out AS images_left_out,
       i.problems AS images_problems,
       i.bytes_copied,
       i.bytes_planned,
       f.blocking AS findings_blocking,
       f.warnings AS findings_warnings,
       f.notes AS findings_notes,
       f.codes AS finding_codes,
       m.created_at,
       m.started_at,
       m.updated_at,
       m.finished_at
  FROM ferry.projects p
  LEFT JOIN LATERAL (
        SELECT *
          FROM ferry.migrations
         WHERE project_id = p.id
         ORDER BY attempt DESC
         LIMIT 1
       ) m ON true
 CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE state = 'planned') AS planned,
               count(*) FILTER (WHERE state = 'copied') AS copied,
               count(*) FILTER (WHERE state = 'present') AS present,
               count(*) FILTER (WHERE state = 'left-out') AS left_out,
               count(*) FILTER (WHERE state IN ('conflict', 'collision', 'invalid', 'failed', 'gone')) AS problems,
               coalesce(sum(bytes) FILTER (WHERE state = 'copied'), 0)::bigint AS bytes_copied,
               coalesce(sum(bytes) FILTER (WHERE state = 'planned'), 0)::bigint AS bytes_planned
          FROM ferry.images
         WHERE migration_id = m.id
       ) i
 CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE severity = 'blocking') AS blocking,
               count(*) FILTER (WHERE severity = 'warning') AS warnings,
               count(*) FILTER (WHERE severity = 'note') AS notes,
               coalesce(array_agg(DISTINCT code ORDER BY code), '{}') AS codes
          FROM ferry.findings
         WHERE migration_id = m.id
       ) f;
COMMENT ON VIEW ferry.project_status IS
    'One row a project with its latest migration: where it is, since when, why, and what comes next. State none: never enqueued.';
COMMENT ON COLUMN ferry.project_status.images_planned IS 'Still to be copied.';
COMMENT ON COLUMN ferry.project_status.images_problems IS 'conflict, collision, invalid, failed or gone.';

CREATE VIEW ferry.progress AS
SELECT s.state,
       count(p.project_id) AS projects,
       min(p.since) AS oldest,
       coalesce(sum(p.images_planned), 0)::bigint AS images_planned,
       coalesce(sum(p.images_copied), 0)::bigint AS images_copied,
       coalesce(sum(p.images_present), 0)::bigint AS images_present,
       coalesce(sum(p.images_left_out), 0)::bigint AS images_left_out,
       coalesce(sum(p.images_problems), 0)::bigint AS images_problems,
       coalesce(sum(p.bytes_copied), 0)::bigint AS bytes_copied
  FROM (VALUES (1, 'none'), (2, 'queued'), (3, 'running'), (4, 'waiting'),
               (5, 'done'), (6, 'exceptions'), (7, 'skipped'),
               (8, 'attention'), (9, 'failed'), (10, 'cancelled')) AS s (position, state)
  LEFT JOIN ferry.project_status p ON p.state = s.state AND (p.gone_at IS NULL OR p.migration_id IS NOT NULL)
 GROUP BY s.position, s.state
 ORDER BY s.position;
COMMENT ON VIEW ferry.progress IS
    'One row a state, in the order of a project''s way: how many projects, since when the oldest, and their images. Projects that left GitLab before they were enqueued do not count.';

CREATE VIEW ferry.failures AS
SELECT reason,
       error_class AS class,
       state,
       step,
       count(*) AS projects,
       min(since) AS oldest,
       (array_agg(path ORDER BY since DESC, path))[1:5] AS examples,
       (array_agg(why ORDER BY since DESC, path))[1] AS why,
       coalesce(mode() WITHIN GROUP (ORDER BY next), '') AS remedy
  FROM ferry.project_status
 WHERE state IN ('failed', 'attention')
 GROUP BY reason, error_class, state, step
 ORDER BY count(*) DESC, reason, step;
COMMENT ON VIEW ferry.failures IS
    'Projects whose latest migration failed or needs attention, grouped by cause, the most frequent first.';
COMMENT ON COLUMN ferry.failures.examples IS 'Up to five project paths, the latest first.';
COMMENT ON COLUMN ferry.failures.why IS 'The message of the latest of them.';
COMMENT ON COLUMN ferry.failures.remedy IS 'The next action that most of them name.';

-- +goose Down
DROP VIEW ferry.failures;
DROP VIEW ferry.progress;
DROP VIEW ferry.project_status;
