-- What copies share and show while they run: one pace of manifest writes for all
-- workers, and how far each copy is.

-- +goose Up
CREATE TABLE ferry.paces (
    action       text PRIMARY KEY
                 CONSTRAINT paces_action CHECK (action <> ''),
    quota        double precision NOT NULL
                 CONSTRAINT paces_quota CHECK (quota > 0),
    rate         double precision NOT NULL
                 CONSTRAINT paces_rate CHECK (rate > 0 AND rate <= quota + 0.001),
    lease_at     timestamptz NOT NULL,
    next_at      timestamptz NOT NULL,
    closed_until timestamptz NOT NULL DEFAULT '-infinity',
    refusals     bigint NOT NULL DEFAULT 0,
    updated_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE ferry.paces IS
    'One row an action of ECR whose quota belongs to the whole account: worker processes take leases of the time line, a few requests each.';
COMMENT ON COLUMN ferry.paces.quota IS 'Requests a second at most.';
COMMENT ON COLUMN ferry.paces.rate IS 'Requests a second at present: lowered by a refusal, raised a little by each success.';
COMMENT ON COLUMN ferry.paces.lease_at IS 'When the first request of the latest lease may be sent.';
COMMENT ON COLUMN ferry.paces.next_at IS 'From when on the time line is free.';
COMMENT ON COLUMN ferry.paces.closed_until IS 'Nobody sends before this: the pause after a refusal.';

CREATE TABLE ferry.copies (
    migration_id bigint PRIMARY KEY REFERENCES ferry.migrations (id),
    images       int NOT NULL,
    images_done  int NOT NULL,
    blobs        int NOT NULL,
    blobs_done   int NOT NULL,
    bytes        bigint NOT NULL,
    bytes_done   bigint NOT NULL,
    writes       int NOT NULL,
    writes_done  int NOT NULL,
    rate         double precision NOT NULL DEFAULT 0,
    ends_at      timestamptz,
    started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at     timestamptz
);
COMMENT ON TABLE ferry.copies IS
    'How far the latest copy of a migration is: written every few seconds while it runs. What became of each image stands in ferry.images.';
COMMENT ON COLUMN ferry.copies.bytes IS 'Of blobs to move, each once; bytes_done counts those on their way too.';
COMMENT ON COLUMN ferry.copies.writes IS 'Of manifests and tags, which the quota of PutImage counts.';
COMMENT ON COLUMN ferry.copies.rate IS 'Bytes a second over the last seconds.';
COMMENT ON COLUMN ferry.copies.ends_at IS 'Estimate, from what was measured so far; NULL while there is none.';

-- +goose Down
DROP TABLE ferry.copies;
DROP TABLE ferry.paces;
