-- What psql's \d+ says: every column explains itself. And the id of each try, which
-- ties its row to its log lines and to its requests to systems outside.

-- +goose Up
ALTER TABLE ferry.steps ADD COLUMN request text NOT NULL DEFAULT '';
COMMENT ON COLUMN ferry.steps.request IS
    'Id of the try: request in log lines, X-Request-Id in its requests to systems outside. Empty: not kept.';

COMMENT ON COLUMN ferry.drift.report_id IS 'The latest finished report on all projects, ferry.reports.id.';
COMMENT ON COLUMN ferry.drift.path IS 'Project path, or name of a repository of the old registry that no project owns.';
COMMENT ON COLUMN ferry.drift.class IS 'What was found, as a code: enqueue report --help and docs/cli.md name them.';
COMMENT ON COLUMN ferry.drift.severity IS 'loud (now), warning, note.';
COMMENT ON COLUMN ferry.drift.detail IS 'What was found, in a sentence.';
COMMENT ON COLUMN ferry.drift.owner IS 'Who can act: project or platform.';
COMMENT ON COLUMN ferry.drift.remedy IS 'What to do about it.';
COMMENT ON COLUMN ferry.drift.needs_old IS 'Whether the old registry can not be switched off because of it.';
COMMENT ON COLUMN ferry.drift.observed_at IS 'When it was looked at.';

COMMENT ON COLUMN ferry.failures.reason IS 'Cause as a short stable code, as in enqueue failed --cause.';
COMMENT ON COLUMN ferry.failures.class IS 'transient, permanent, attention or unclassified.';
COMMENT ON COLUMN ferry.failures.state IS 'failed or attention.';
COMMENT ON COLUMN ferry.failures.step IS 'Where they stopped.';
COMMENT ON COLUMN ferry.failures.projects IS 'How many projects.';
COMMENT ON COLUMN ferry.failures.oldest IS 'Since when the first of them is there.';

COMMENT ON COLUMN ferry.progress.state IS 'State of the latest attempt; none: never enqueued.';
COMMENT ON COLUMN ferry.progress.projects IS 'How many projects.';
COMMENT ON COLUMN ferry.progress.oldest IS 'Since when the first of them is there.';
COMMENT ON COLUMN ferry.progress.images_planned IS 'Their images that are still to be copied.';
COMMENT ON COLUMN ferry.progress.images_copied IS 'Images that their latest attempts copied.';
COMMENT ON COLUMN ferry.progress.images_present IS 'Images that were in ECR before.';
COMMENT ON COLUMN ferry.progress.images_left_out IS 'Images that the policy leaves out.';
COMMENT ON COLUMN ferry.progress.images_problems IS 'Images in conflict, collision, invalid, failed or gone.';
COMMENT ON COLUMN ferry.progress.bytes_copied IS 'Bytes of the copied images.';

COMMENT ON COLUMN ferry.project_status.project_id IS 'GitLab''s id of the project.';
COMMENT ON COLUMN ferry.project_status.path IS 'Full path in GitLab.';
COMMENT ON COLUMN ferry.project_status.web_url IS 'Address in GitLab.';
COMMENT ON COLUMN ferry.project_status.gone_at IS 'Since when GitLab no longer lists it; null: it does.';
COMMENT ON COLUMN ferry.project_status.migration_id IS 'The latest attempt, ferry.migrations.id; null: never enqueued.';
COMMENT ON COLUMN ferry.project_status.run_id IS 'The order that the latest attempt came from, ferry.runs.id.';
COMMENT ON COLUMN ferry.project_status.attempt IS 'Number of the latest attempt, from 1.';
COMMENT ON COLUMN ferry.project_status.state IS 'queued, running, waiting; done, exceptions, skipped, attention, failed, cancelled; none: never enqueued.';
COMMENT ON COLUMN ferry.project_status.step IS 'discover, configure, copy, rewrite, restore, pipeline, verify, or done.';
COMMENT ON COLUMN ferry.project_status.since IS 'Since when it is so.';
COMMENT ON COLUMN ferry.project_status.reason IS 'Cause as a short stable code; empty: none.';
COMMENT ON COLUMN ferry.project_status.error_class IS 'transient, permanent, attention or unclassified; empty: no error.';
COMMENT ON COLUMN ferry.project_status.why IS 'Why it is where it is, in a sentence.';
COMMENT ON COLUMN ferry.project_status.next IS 'What a human should do; empty: nothing.';
COMMENT ON COLUMN ferry.project_status.waiting_for IS 'What outside it waits for; empty: nothing.';
COMMENT ON COLUMN ferry.project_status.next_look_at IS 'When the worker looks or tries again.';
COMMENT ON COLUMN ferry.project_status.deadline_at IS 'Until when it waits; null: no bound.';
COMMENT ON COLUMN ferry.project_status.repository_uri IS 'Repository in ECR as images name it.';
COMMENT ON COLUMN ferry.project_status.merge_request_url IS 'Merge request of the rewrite; empty: none.';
COMMENT ON COLUMN ferry.project_status.pipeline_url IS 'Pipeline that was followed; empty: none.';
COMMENT ON COLUMN ferry.project_status.commit_sha IS 'The commit that carries the rewrite; empty: none.';
COMMENT ON COLUMN ferry.project_status.images_copied IS 'Copied by the latest attempt.';
COMMENT ON COLUMN ferry.project_status.images_present IS 'In ECR before.';
COMMENT ON COLUMN ferry.project_status.images_left_out IS 'Left out by the policy.';
COMMENT ON COLUMN ferry.project_status.bytes_copied IS 'Bytes of the copied images.';
COMMENT ON COLUMN ferry.project_status.bytes_planned IS 'Bytes of the images still to be copied.';
COMMENT ON COLUMN ferry.project_status.findings_blocking IS 'Findings because of which nothing is written.';
COMMENT ON COLUMN ferry.project_status.findings_warnings IS 'Findings to look at.';
COMMENT ON COLUMN ferry.project_status.findings_notes IS 'Findings that are good to know.';
COMMENT ON COLUMN ferry.project_status.finding_codes IS 'Codes of the findings, each once; docs/findings.md explains them.';
COMMENT ON COLUMN ferry.project_status.created_at IS 'When the latest attempt was ordered.';
COMMENT ON COLUMN ferry.project_status.started_at IS 'When it began; null: not yet.';
COMMENT ON COLUMN ferry.project_status.updated_at IS 'When the attempt was last written.';
COMMENT ON COLUMN ferry.project_status.finished_at IS 'When it ended; null: not yet.';

COMMENT ON COLUMN ferry.waves.run_id IS 'The order, ferry.runs.id.';
COMMENT ON COLUMN ferry.waves.wave IS 'The name that it was given; empty: none.';
COMMENT ON COLUMN ferry.waves.actor IS 'Who ordered it: user@host, user@dashboard, or a worker.';
COMMENT ON COLUMN ferry.waves.note IS 'Why, as the one who ordered it wrote.';
COMMENT ON COLUMN ferry.waves.created_at IS 'When the row was made.';
COMMENT ON COLUMN ferry.waves.budget_share IS 'Share of the ended projects that may fail, 0 to 1; 0: any.';
COMMENT ON COLUMN ferry.waves.budget_count IS 'How many projects may fail; 0: any number.';
COMMENT ON COLUMN ferry.waves.budget_least IS 'How many must have ended before the share counts.';
COMMENT ON COLUMN ferry.waves.projects IS 'Its migrations, one a project.';
COMMENT ON COLUMN ferry.waves.under_way IS 'Of them, those at work or waiting.';
COMMENT ON COLUMN ferry.waves.done IS 'Of them, done, done with exceptions, or skipped.';
COMMENT ON COLUMN ferry.waves.ended IS 'Of them, those that have ended somehow.';
COMMENT ON COLUMN ferry.waves.failures IS 'Of them, failed, or in need of attention after something may have been written.';
COMMENT ON COLUMN ferry.waves.counted_ended IS 'Ended since the intake was last resumed.';

COMMENT ON COLUMN ferry.baselines.migration_id IS 'The attempt, ferry.migrations.id.';
COMMENT ON COLUMN ferry.baselines.repository IS 'Repository of the old registry.';
COMMENT ON COLUMN ferry.baselines.tag IS 'Its tag.';
COMMENT ON COLUMN ferry.baselines.digest IS 'What the tag was when the migration ended; empty: not known.';
COMMENT ON COLUMN ferry.baselines.at IS 'When it was looked at.';

COMMENT ON COLUMN ferry.copies.migration_id IS 'The attempt, ferry.migrations.id.';
COMMENT ON COLUMN ferry.copies.images IS 'Images to copy.';
COMMENT ON COLUMN ferry.copies.images_done IS 'Of them, those that are whole in ECR.';
COMMENT ON COLUMN ferry.copies.blobs IS 'Layers and configurations to move, each once.';
COMMENT ON COLUMN ferry.copies.blobs_done IS 'Of them, those that are there.';
COMMENT ON COLUMN ferry.copies.bytes_done IS 'Of bytes, those that are there or on their way.';
COMMENT ON COLUMN ferry.copies.writes_done IS 'Of writes, those that are done.';
COMMENT ON COLUMN ferry.copies.started_at IS 'When it began; null: not yet.';
COMMENT ON COLUMN ferry.copies.updated_at IS 'When the row was last written.';
COMMENT ON COLUMN ferry.copies.ended_at IS 'When the copy ended; null: it runs.';

COMMENT ON COLUMN ferry.deliveries.report_id IS 'The report, ferry.reports.id.';
COMMENT ON COLUMN ferry.deliveries.target IS 'files, issue or webhook.';
COMMENT ON COLUMN ferry.deliveries.tries IS 'How often it was tried.';
COMMENT ON COLUMN ferry.deliveries.error IS 'What went wrong the last time; empty: nothing.';
COMMENT ON COLUMN ferry.deliveries.error_class IS 'transient, permanent, attention or unclassified; empty: no error.';
COMMENT ON COLUMN ferry.deliveries.updated_at IS 'When the row was last written.';
COMMENT ON COLUMN ferry.deliveries.delivered_at IS 'When it arrived; null: not yet.';

COMMENT ON COLUMN ferry.events.id IS 'Number of the row.';
COMMENT ON COLUMN ferry.events.at IS 'When it happened.';
COMMENT ON COLUMN ferry.events.kind IS 'What happened, as a short stable code such as promote or merge-request.';
COMMENT ON COLUMN ferry.events.project_id IS 'The project, ferry.projects.id; null: none or all.';
COMMENT ON COLUMN ferry.events.migration_id IS 'The attempt, ferry.migrations.id; null: none.';
COMMENT ON COLUMN ferry.events.detail IS 'In words: of an order, why.';
COMMENT ON COLUMN ferry.events.url IS 'Where it can be seen; empty: nowhere.';
COMMENT ON COLUMN ferry.events.data IS 'Further facts, by kind.';

COMMENT ON COLUMN ferry.evidence.id IS 'Number of the row.';
COMMENT ON COLUMN ferry.evidence.migration_id IS 'The attempt, ferry.migrations.id.';
COMMENT ON COLUMN ferry.evidence.step IS 'The step that asked.';
COMMENT ON COLUMN ferry.evidence.environment IS 'Environment that it is about; empty: none.';
COMMENT ON COLUMN ferry.evidence.detail IS 'What was seen, in a sentence.';
COMMENT ON COLUMN ferry.evidence.observed_at IS 'When it was seen.';

COMMENT ON COLUMN ferry.findings.id IS 'Number of the row.';
COMMENT ON COLUMN ferry.findings.migration_id IS 'The attempt, ferry.migrations.id.';
COMMENT ON COLUMN ferry.findings.step IS 'The step that found it.';
COMMENT ON COLUMN ferry.findings.code IS 'What was found, as a code; docs/findings.md explains it.';
COMMENT ON COLUMN ferry.findings.file IS 'Path in the project; empty: of no file.';
COMMENT ON COLUMN ferry.findings.message IS 'What it means, in a sentence.';
COMMENT ON COLUMN ferry.findings.remedy IS 'What to do about it.';

COMMENT ON COLUMN ferry.freezes.actor IS 'Who ordered it: user@host, user@dashboard, or a worker.';
COMMENT ON COLUMN ferry.freezes.since IS 'When it was put there.';

COMMENT ON COLUMN ferry.holds.project_id IS 'GitLab''s id of the project.';
COMMENT ON COLUMN ferry.holds.actor IS 'Who ordered it: user@host, user@dashboard, or a worker.';
COMMENT ON COLUMN ferry.holds.note IS 'Why, as the one who ordered it wrote.';
COMMENT ON COLUMN ferry.holds.since IS 'Since when the project is held.';

COMMENT ON COLUMN ferry.images.id IS 'Number of the row.';
COMMENT ON COLUMN ferry.images.migration_id IS 'The attempt, ferry.migrations.id.';
COMMENT ON COLUMN ferry.images.source_repository IS 'Repository of the old registry.';
COMMENT ON COLUMN ferry.images.source_digest IS 'Digest in the old registry; empty: not known.';
COMMENT ON COLUMN ferry.images.target_repository IS 'Repository in ECR, without host.';
COMMENT ON COLUMN ferry.images.target_tag IS 'Tag in ECR; empty: copied by digest, or not at all.';
COMMENT ON COLUMN ferry.images.media_type IS 'Media type of the manifest.';
COMMENT ON COLUMN ferry.images.reason IS 'Why it is in this state, as a code; empty: nothing to say.';
COMMENT ON COLUMN ferry.images.created_at IS 'When the row was made.';
COMMENT ON COLUMN ferry.images.updated_at IS 'When the row was last written.';

COMMENT ON COLUMN ferry.intake.single IS 'Always true: the table has one row.';
COMMENT ON COLUMN ferry.intake.paused IS 'Whether projects that have not begun have to wait.';
COMMENT ON COLUMN ferry.intake.actor IS 'Who ordered it: user@host, user@dashboard, or a worker.';
COMMENT ON COLUMN ferry.intake.since IS 'Since when.';

COMMENT ON COLUMN ferry.inventories.id IS 'Number of the row.';
COMMENT ON COLUMN ferry.inventories.finished_at IS 'When it was complete.';

COMMENT ON COLUMN ferry.inverses.migration_id IS 'The attempt, ferry.migrations.id.';
COMMENT ON COLUMN ferry.inverses.path IS 'Path in the project.';
COMMENT ON COLUMN ferry.inverses.before IS 'The file before the rewrite; null: there was none.';
COMMENT ON COLUMN ferry.inverses.after IS 'The file after it.';
COMMENT ON COLUMN ferry.inverses.created_at IS 'When the row was made.';

COMMENT ON COLUMN ferry.ledger.id IS 'Number of the row.';
COMMENT ON COLUMN ferry.ledger.at IS 'When it was written.';
COMMENT ON COLUMN ferry.ledger.project_id IS 'GitLab''s id of the project.';
COMMENT ON COLUMN ferry.ledger.migration_id IS 'The attempt, ferry.migrations.id.';
COMMENT ON COLUMN ferry.ledger.attempt IS 'Number of the attempt at that time.';
COMMENT ON COLUMN ferry.ledger.old_repository IS 'Repository of the old registry, without host.';
COMMENT ON COLUMN ferry.ledger.old_digest IS 'Digest in the old registry.';
COMMENT ON COLUMN ferry.ledger.new_digest IS 'Digest in ECR.';
COMMENT ON COLUMN ferry.ledger.bytes IS 'Size of the image.';
COMMENT ON COLUMN ferry.ledger.commit_sha IS 'The commit that carries the rewrite; empty: none.';
COMMENT ON COLUMN ferry.ledger.merge_request_url IS 'Merge request of the rewrite; empty: none.';
COMMENT ON COLUMN ferry.ledger.pipeline_id IS 'GitLab''s number of the pipeline that was followed.';
COMMENT ON COLUMN ferry.ledger.pipeline_url IS 'Pipeline that was followed; empty: none.';

COMMENT ON COLUMN ferry.migrations.id IS 'Number of the row.';
COMMENT ON COLUMN ferry.migrations.project_id IS 'GitLab''s id of the project.';
COMMENT ON COLUMN ferry.migrations.run_id IS 'The order that it came from, ferry.runs.id; null: of one project.';
COMMENT ON COLUMN ferry.migrations.error_class IS 'transient, permanent, attention or unclassified; empty: no error.';
COMMENT ON COLUMN ferry.migrations.merge_request_iid IS 'The number after the ! of the merge request.';
COMMENT ON COLUMN ferry.migrations.merge_request_url IS 'Merge request of the rewrite; empty: none.';
COMMENT ON COLUMN ferry.migrations.pipeline_id IS 'GitLab''s number of the pipeline that was followed.';
COMMENT ON COLUMN ferry.migrations.pipeline_url IS 'Pipeline that was followed; empty: none.';
COMMENT ON COLUMN ferry.migrations.created_at IS 'When the row was made.';
COMMENT ON COLUMN ferry.migrations.started_at IS 'When it began; null: not yet.';
COMMENT ON COLUMN ferry.migrations.updated_at IS 'When the row was last written.';
COMMENT ON COLUMN ferry.migrations.finished_at IS 'When it ended; null: not yet.';

COMMENT ON COLUMN ferry.paces.action IS 'Action of ECR, such as PutImage.';
COMMENT ON COLUMN ferry.paces.refusals IS 'How often ECR refused because of its quota.';
COMMENT ON COLUMN ferry.paces.updated_at IS 'When the row was last written.';

COMMENT ON COLUMN ferry.pipeline_starts.migration_id IS 'The attempt, ferry.migrations.id.';
COMMENT ON COLUMN ferry.pipeline_starts.at IS 'When the pipeline was started.';

COMMENT ON COLUMN ferry.plans.id IS 'Number of the row.';
COMMENT ON COLUMN ferry.plans.actor IS 'Who ordered it: user@host, user@dashboard, or a worker.';
COMMENT ON COLUMN ferry.plans.note IS 'Why, as the one who ordered it wrote.';
COMMENT ON COLUMN ferry.plans.selection IS 'Which projects were asked for.';
COMMENT ON COLUMN ferry.plans.policy IS 'The choices that the migrations would start with.';
COMMENT ON COLUMN ferry.plans.created_at IS 'When the row was made.';

COMMENT ON COLUMN ferry.projects.name IS 'Name as GitLab shows it.';
COMMENT ON COLUMN ferry.projects.default_branch IS 'Empty: the repository has none.';
COMMENT ON COLUMN ferry.projects.web_url IS 'Address in GitLab.';
COMMENT ON COLUMN ferry.projects.archived IS 'Whether GitLab has it archived.';
COMMENT ON COLUMN ferry.projects.ci_enabled IS 'Whether CI/CD is switched on.';
COMMENT ON COLUMN ferry.projects.last_activity_at IS 'When GitLab last saw something happen to it.';

COMMENT ON COLUMN ferry.reconciliations.id IS 'Number of the row.';
COMMENT ON COLUMN ferry.reconciliations.report_id IS 'The report, ferry.reports.id.';
COMMENT ON COLUMN ferry.reconciliations.subject IS 'project, or repository of the old registry that no project owns.';
COMMENT ON COLUMN ferry.reconciliations.project_id IS 'GitLab''s id; null: of a repository.';
COMMENT ON COLUMN ferry.reconciliations.path IS 'Path of the project, or name of the repository.';
COMMENT ON COLUMN ferry.reconciliations.owner IS 'Who can act: project or platform.';
COMMENT ON COLUMN ferry.reconciliations.detail IS 'The gravest finding in a sentence.';
COMMENT ON COLUMN ferry.reconciliations.tries IS 'How often it was tried.';
COMMENT ON COLUMN ferry.reconciliations.error IS 'Why it could not be looked at; empty: it could.';
COMMENT ON COLUMN ferry.reconciliations.observed_at IS 'When it was looked at; null: not yet.';

COMMENT ON COLUMN ferry.reports.id IS 'Number of the row.';
COMMENT ON COLUMN ferry.reports.actor IS 'Who ordered it: user@host, user@dashboard, or a worker.';
COMMENT ON COLUMN ferry.reports.note IS 'Why, as the one who ordered it wrote.';
COMMENT ON COLUMN ferry.reports.message IS 'The answer in a sentence, or why there is none.';
COMMENT ON COLUMN ferry.reports.started_at IS 'When it began; null: not yet.';
COMMENT ON COLUMN ferry.reports.finished_at IS 'When it ended; null: not yet.';
COMMENT ON COLUMN ferry.reports.projects IS 'Projects that were looked at.';
COMMENT ON COLUMN ferry.reports.in_sync IS 'Of them, those of which nothing is to be said.';

COMMENT ON COLUMN ferry.repositories.name IS 'Repository of the old registry, without host.';
COMMENT ON COLUMN ferry.repositories.project_id IS 'The project that owns it; null: none, or one of several.';
COMMENT ON COLUMN ferry.repositories.ownership IS 'owned, nobody (has it), or ambiguous.';
COMMENT ON COLUMN ferry.repositories.seen_at IS 'When the old registry last listed it.';

COMMENT ON COLUMN ferry.runs.id IS 'Number of the row.';
COMMENT ON COLUMN ferry.runs.kind IS 'all, project or failed.';
COMMENT ON COLUMN ferry.runs.note IS 'Why, as the one who ordered it wrote.';
COMMENT ON COLUMN ferry.runs.message IS 'Why it failed; empty: it did not.';
COMMENT ON COLUMN ferry.runs.created_at IS 'When the row was made.';
COMMENT ON COLUMN ferry.runs.finished_at IS 'When it ended; null: not yet.';

COMMENT ON COLUMN ferry.schedules.name IS 'What is scheduled, such as reconcile.';
COMMENT ON COLUMN ferry.schedules.since IS 'From when on it holds: nothing from before is made up for.';

COMMENT ON COLUMN ferry.steps.id IS 'Number of the row.';
COMMENT ON COLUMN ferry.steps.migration_id IS 'The attempt, ferry.migrations.id.';
COMMENT ON COLUMN ferry.steps.name IS 'discover, configure, copy, rewrite, restore, pipeline or verify.';
COMMENT ON COLUMN ferry.steps.started_at IS 'When it began; null: not yet.';
COMMENT ON COLUMN ferry.steps.finished_at IS 'When it ended; null: not yet.';
COMMENT ON COLUMN ferry.steps.duration IS 'How long it took; null while it runs.';
COMMENT ON COLUMN ferry.steps.error IS 'The error''s text; empty: none.';
COMMENT ON COLUMN ferry.steps.error_class IS 'transient, permanent, attention or unclassified; empty: no error.';
COMMENT ON COLUMN ferry.steps.reason IS 'Cause as a short stable code; docs/cli.md has those of retries.';

COMMENT ON COLUMN ferry.variables.migration_id IS 'The attempt, ferry.migrations.id.';
COMMENT ON COLUMN ferry.variables.key IS 'CI/CD variable of the project that was changed.';
COMMENT ON COLUMN ferry.variables.value IS 'What it was before.';
COMMENT ON COLUMN ferry.variables.protected IS 'Whether it was for protected branches only.';
COMMENT ON COLUMN ferry.variables.raw IS 'Whether GitLab did not expand it.';
COMMENT ON COLUMN ferry.variables.created_at IS 'When the row was made.';

COMMENT ON COLUMN ferry.workers.started_at IS 'When it started.';

-- +goose Down
ALTER TABLE ferry.steps DROP COLUMN request;
