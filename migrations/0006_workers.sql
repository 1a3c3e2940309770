-- The signs of life of the worker processes.

-- +goose Up
CREATE TABLE ferry.workers (
    id         text PRIMARY KEY
               CONSTRAINT workers_id CHECK (id <> ''),
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE ferry.workers IS
    'One row a living worker process. Its running jobs are given to others when it has been silent for too long.';
COMMENT ON COLUMN ferry.workers.id IS 'The name under which River records the worker''s attempts, and steps.worker.';
COMMENT ON COLUMN ferry.workers.seen_at IS 'Last sign of life.';

-- +goose Down
DROP TABLE ferry.workers;
