-- The freeze list that operators keep beside the one of the configuration.

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

-- +goose Down
DROP TABLE ferry.freezes;
