-- What there is to move: orders given by people (runs), projects in GitLab, and
-- repositories in the old registry.

-- +goose Up
CREATE TABLE ferry.runs (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        text NOT NULL
                CONSTRAINT runs_kind CHECK (kind IN ('all', 'project', 'failed')),
    actor       text NOT NULL
                CONSTRAINT runs_actor CHECK (actor <> ''),
    note        text NOT NULL DEFAULT '',
    selection   jsonb NOT NULL DEFAULT '{}',
    policy      jsonb NOT NULL DEFAULT '{}',
    state       text NOT NULL DEFAULT 'queued'
                CONSTRAINT runs_state CHECK (state IN ('queued', 'walking', 'enqueued', 'failed')),
    message     text NOT NULL DEFAULT '',
    seen        integer NOT NULL DEFAULT 0,
    enrolled    integer NOT NULL DEFAULT 0,
    left_out    integer NOT NULL DEFAULT 0,
    created_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    CONSTRAINT runs_counts CHECK (seen >= 0 AND enrolled >= 0 AND left_out >= 0),
    CONSTRAINT runs_finished CHECK ((state IN ('enqueued', 'failed')) = (finished_at IS NOT NULL))
);
COMMENT ON TABLE ferry.runs IS
    'One row an order: somebody asked for all projects, one project, or the failed ones to be migrated.';
COMMENT ON COLUMN ferry.runs.actor IS 'Who asked, as user@host or the name of a schedule.';
COMMENT ON COLUMN ferry.runs.selection IS 'Which projects were asked for: paths, group, patterns.';
COMMENT ON COLUMN ferry.runs.policy IS 'The choices that each migration of this run starts with.';
COMMENT ON COLUMN ferry.runs.state IS
    'queued, walking (projects are being listed), enqueued (every chosen project has its migration), failed.';
COMMENT ON COLUMN ferry.runs.seen IS 'Projects that the selection matched.';
COMMENT ON COLUMN ferry.runs.enrolled IS 'Projects for which this run created a migration.';
COMMENT ON COLUMN ferry.runs.left_out IS 'Projects seen but not enrolled, such as those with an active migration.';

CREATE TABLE ferry.projects (
    id               bigint PRIMARY KEY,
    path             text NOT NULL
                     CONSTRAINT projects_path_text CHECK (path <> ''),
    name             text NOT NULL DEFAULT '',
    default_branch   text NOT NULL DEFAULT '',
    web_url          text NOT NULL DEFAULT '',
    archived         boolean NOT NULL DEFAULT false,
    empty            boolean NOT NULL DEFAULT false,
    ci_enabled       boolean NOT NULL DEFAULT true,
    ci_config_path   text NOT NULL DEFAULT '',
    last_activity_at timestamptz,
    seen_at          timestamptz NOT NULL DEFAULT now(),
    gone_at          timestamptz
);
-- GitLab compares paths without regard to case, so do we.
CREATE UNIQUE INDEX projects_path ON ferry.projects (lower(path));
CREATE INDEX projects_seen ON ferry.projects (seen_at) WHERE gone_at IS NULL;
COMMENT ON TABLE ferry.projects IS 'One row a GitLab project, as the latest look at GitLab saw it.';
COMMENT ON COLUMN ferry.projects.id IS 'GitLab''s own id: it stays when the project moves to another path.';
COMMENT ON COLUMN ferry.projects.path IS
    'Full path with groups. A project whose path now belongs to another one keeps it with #id behind until it is seen again.';
COMMENT ON COLUMN ferry.projects.empty IS 'The repository has no commit.';
COMMENT ON COLUMN ferry.projects.ci_config_path IS 'Where CI is configured when that is not .gitlab-ci.yml.';
COMMENT ON COLUMN ferry.projects.seen_at IS 'When GitLab last listed this project.';
COMMENT ON COLUMN ferry.projects.gone_at IS 'When a complete look at GitLab first missed this project.';

CREATE TABLE ferry.repositories (
    name       text PRIMARY KEY
               CONSTRAINT repositories_name CHECK (name <> ''),
    project_id bigint REFERENCES ferry.projects (id),
    image_name text NOT NULL DEFAULT '',
    ownership  text NOT NULL
               CONSTRAINT repositories_ownership CHECK (ownership IN ('owned', 'nobody', 'ambiguous')),
    candidates text[] NOT NULL DEFAULT '{}',
    seen_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT repositories_owner CHECK ((ownership = 'owned') = (project_id IS NOT NULL)),
    CONSTRAINT repositories_candidates CHECK (ownership <> 'ambiguous' OR cardinality(candidates) > 1)
);
CREATE INDEX repositories_project ON ferry.repositories (project_id);
COMMENT ON TABLE ferry.repositories IS
    'One row a repository of the old registry, and whose it is. Replaced as a whole by each inventory.';
COMMENT ON COLUMN ferry.repositories.image_name IS
    'The image name within the project, the coming tag prefix; empty for the root image.';
COMMENT ON COLUMN ferry.repositories.candidates IS 'The projects that an ambiguous repository may belong to.';

CREATE TABLE ferry.inventories (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    finished_at  timestamptz NOT NULL DEFAULT now(),
    projects     integer NOT NULL,
    repositories integer NOT NULL
);
CREATE INDEX inventories_finished ON ferry.inventories (finished_at);
COMMENT ON TABLE ferry.inventories IS 'One row a complete look at GitLab and the old registry.';
COMMENT ON COLUMN ferry.inventories.projects IS 'Projects in GitLab then.';
COMMENT ON COLUMN ferry.inventories.repositories IS 'Repositories in the old registry then.';

-- +goose Down
DROP TABLE ferry.inventories;
DROP TABLE ferry.repositories;
DROP TABLE ferry.projects;
DROP TABLE ferry.runs;
