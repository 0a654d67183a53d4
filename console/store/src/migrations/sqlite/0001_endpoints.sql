-- Times are microseconds since 1970, digests are bytes, lists are JSON.

CREATE TABLE teams (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    created BIGINT NOT NULL
);

CREATE TABLE enrolment_tokens (
    id TEXT PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    team TEXT NOT NULL REFERENCES teams (id),
    quota BIGINT NOT NULL,
    used BIGINT NOT NULL DEFAULT 0,
    created BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    expires BIGINT NOT NULL,
    revoked BOOLEAN NOT NULL DEFAULT FALSE
);

CREATE TABLE endpoints (
    id TEXT PRIMARY KEY,
    team TEXT NOT NULL REFERENCES teams (id),
    -- waiting, active, revoked
    status TEXT NOT NULL,
    host TEXT NOT NULL,
    machine_id TEXT NOT NULL,
    system TEXT NOT NULL,
    system_version TEXT NOT NULL,
    architecture TEXT NOT NULL,
    agent_version TEXT NOT NULL,
    key_storage TEXT NOT NULL,
    key_digest BLOB NOT NULL UNIQUE,
    enrolled BIGINT NOT NULL,
    last_seen BIGINT,
    mode TEXT,
    policy_version TEXT,
    inventory TEXT NOT NULL,
    events_dropped BIGINT NOT NULL DEFAULT 0,
    clock_skew BIGINT NOT NULL DEFAULT 0
);

CREATE INDEX endpoints_by_machine ON endpoints (machine_id);
CREATE INDEX endpoints_by_team ON endpoints (team, id);
CREATE INDEX endpoints_by_host ON endpoints (host, id);
CREATE INDEX endpoints_by_last_seen ON endpoints (last_seen, id);

CREATE TABLE model_files (
    endpoint TEXT NOT NULL REFERENCES endpoints (id) ON DELETE CASCADE,
    -- Of the path, which may be longer than an index takes.
    path_digest BLOB NOT NULL,
    -- Of the row as it was sent.
    row_digest BLOB NOT NULL,
    path TEXT NOT NULL,
    sha256 BLOB,
    size_bytes BIGINT NOT NULL,
    format TEXT NOT NULL,
    verdict TEXT NOT NULL,
    severity TEXT,
    rules TEXT NOT NULL,
    effect TEXT,
    policies TEXT NOT NULL,
    first_seen BIGINT NOT NULL,
    PRIMARY KEY (endpoint, path_digest)
);

CREATE INDEX model_files_by_digest ON model_files (sha256, endpoint);
