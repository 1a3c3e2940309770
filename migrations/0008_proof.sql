-- What an operator needs to know of a failure: whether trying again helps.

-- +goose Up
ALTER TABLE ferry.findings
    ADD COLUMN retry text NOT NULL DEFAULT ''
        CONSTRAINT findings_retry CHECK (retry IN ('', 'never', 'job-once', 'after-remedy', 'later'));
COMMENT ON COLUMN ferry.findings.retry IS
    'Of a failed job: what trying again is good for: never (it fails the same way), job-once (the job was, or is, started again once), after-remedy (when somebody has acted), later (by itself, after a while). Empty for what is no failure.';

-- +goose Down
ALTER TABLE ferry.findings DROP COLUMN retry;
