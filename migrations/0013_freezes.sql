-- What all workers respect together: the freeze list that operators keep beside the
-- one of the configuration, and whose schedule of reports holds.

-- +goose Up
CREATE TABLE ferry.freezes (
    pattern text PRIMARY KEY
            CONSTRAINT freezes_pattern CHECK (pattern <> '' AND pattern !~ '\s'),
    actor   text NOT NULL
            CONSTRAINT freezes_actor CHECK (actor <> ''),
    -- Whoever finds a project frozen must be able to read why.
    note    text NOT NULL
            CONSTRAINT freezes_note CHECK (note <> ''),
    since   timestamptz NOT NULL DEFAULT clock_timestamp(),
    until   timestamptz
);
COMMENT ON TABLE ferry.freezes IS
    'Projects that may not begin, by a pattern of their paths: those under way go on. It counts beside the list of the configuration, for all workers.';
COMMENT ON COLUMN ferry.freezes.pattern IS '* stands for anything within one part of the path, ** for groups too; upper and lower case are alike.';
COMMENT ON COLUMN ferry.freezes.note IS 'Why.';
COMMENT ON COLUMN ferry.freezes.until IS 'When it ends by itself; null: when somebody takes it off.';

ALTER TABLE ferry.schedules
    ADD COLUMN keeper  text NOT NULL DEFAULT '',
    ADD COLUMN seen_at timestamptz NOT NULL DEFAULT '-infinity';
COMMENT ON COLUMN ferry.schedules.keeper IS 'The worker that looked last by this schedule.';
COMMENT ON COLUMN ferry.schedules.seen_at IS
    'When it did. While that is recent, a worker whose configuration names another schedule goes by this one.';

-- +goose Down
ALTER TABLE ferry.schedules DROP COLUMN keeper, DROP COLUMN seen_at;
DROP TABLE ferry.freezes;
