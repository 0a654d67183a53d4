-- Times are microseconds since 1970, digests are bytes, lists are JSON; texts are
-- ordered by their bytes, as in SQLite.

CREATE TABLE teams (
    id TEXT COLLATE "C" PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    created BIGINT NOT NULL
);

CREATE TABLE enrolment_tokens (
    id TEXT COLLATE "C" PRIMARY KEY,
    digest BYTEA NOT NULL UNIQUE,
    team TEXT COLLATE "C" NOT NULL REFERENCES teams (id),
    quota BIGINT NOT NULL,
    used BIGINT NOT NULL DEFAULT 0,
    created BIGINT NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    expires BIGINT NOT NULL,
    revoked BOOLEAN NOT NULL DEFAULT FALSE
);

CREATE TABLE endpoints (
    id TEXT COLLATE "C" PRIMARY KEY,
    team TEXT COLLATE "C" NOT NULL REFERENCES teams (id),
    -- waiting, active, revoked
    status TEXT COLLATE "C" NOT NULL,
    host TEXT COLLATE "C" NOT NULL,
    machine_id TEXT COLLATE "C" NOT NULL,
    system TEXT COLLATE "C" NOT NULL,
    system_version TEXT COLLATE "C" NOT NULL,
    architecture TEXT COLLATE "C" NOT NULL,
    agent_version TEXT COLLATE "C" NOT NULL,
    key_storage TEXT COLLATE "C" NOT NULL,
    key_digest BYTEA NOT NULL UNIQUE,
    enrolled BIGINT NOT NULL,
    last_seen BIGINT,
    mode TEXT COLLATE "C",
    policy_version TEXT COLLATE "C",
    inventory TEXT COLLATE "C" NOT NULL,
    events_dropped BIGINT NOT NULL DEFAULT 0,
    clock_skew BIGINT NOT NULL DEFAULT 0
);

CREATE INDEX endpoints_by_machine ON endpoints (machine_id);
CREATE INDEX endpoints_by_team ON endpoints (team, id);
CREATE INDEX endpoints_by_host ON endpoints (host, id);
CREATE INDEX endpoints_by_last_seen ON endpoints (last_seen, id);

CREATE TABLE model_files (
    endpoint TEXT COLLATE "C" NOT NULL REFERENCES endpoints (id) ON DELETE CASCADE,
    -- Of the path, which may be longer than an index takes.
    path_digest BYTEA NOT NULL,
    -- Of the row as it was sent.
    row_digest BYTEA NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    sha256 BYTEA,
    size_bytes BIGINT NOT NULL,
    format TEXT COLLATE "C" NOT NULL,
    verdict TEXT COLLATE "C" NOT NULL,
    severity TEXT COLLATE "C",
    rules TEXT COLLATE "C" NOT NULL,
    effect TEXT COLLATE "C",
    policies TEXT COLLATE "C" NOT NULL,
    first_seen BIGINT NOT NULL,
    PRIMARY KEY (endpoint, path_digest)
);

CREATE INDEX model_files_by_digest ON model_files (sha256, endpoint);
