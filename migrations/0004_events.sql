-- The log of who asked for what and of every write to the outside.

-- +goose Up
CREATE TABLE ferry.events (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor        text NOT NULL
                 CONSTRAINT events_actor CHECK (actor <> ''),
    kind         text NOT NULL
                 CONSTRAINT events_kind CHECK (kind <> ''),
    system       text NOT NULL DEFAULT '',
    project_id   bigint REFERENCES ferry.projects (id),
    migration_id bigint REFERENCES ferry.migrations (id),
    detail       text NOT NULL DEFAULT '',
    url          text NOT NULL DEFAULT '',
    data         jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX events_project ON ferry.events (project_id, id);
CREATE INDEX events_migration ON ferry.events (migration_id, id);
CREATE INDEX events_at ON ferry.events (at);
COMMENT ON TABLE ferry.events IS
    'Append only: orders by people, turns of migrations, and every write to a system outside.';
COMMENT ON COLUMN ferry.events.actor IS 'Who did it: user@host, or the process for what the tool did by itself.';
COMMENT ON COLUMN ferry.events.system IS 'The system written to, such as gitlab or ecr; empty for what happened within.';

-- +goose StatementBegin
CREATE FUNCTION ferry.refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'ferry.% is append only: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION ferry.refuse_change() IS 'Trigger of tables that are only ever appended to.';

CREATE TRIGGER events_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON ferry.events
    FOR EACH STATEMENT EXECUTE FUNCTION ferry.refuse_change();

-- +goose Down
DROP TABLE ferry.events;
DROP FUNCTION ferry.refuse_change();
