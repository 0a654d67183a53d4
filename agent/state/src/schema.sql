-- Schema 1. Times are microseconds since 1970, digests 32 raw bytes, paths the
-- raw bytes of the system, bodies JSON.

CREATE TABLE facts (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE artifacts (
    id         INTEGER PRIMARY KEY,
    path       BLOB NOT NULL UNIQUE,
    dev        INTEGER NOT NULL,
    ino        INTEGER NOT NULL,
    size       INTEGER NOT NULL,
    mtime_ns   INTEGER NOT NULL,
    ctime_ns   INTEGER NOT NULL,
    sha256     BLOB,
    verdict    INTEGER NOT NULL,
    refused    INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL,
    format     TEXT NOT NULL,
    artifact   TEXT NOT NULL,
    decision   TEXT
);
CREATE INDEX artifacts_inode ON artifacts (dev, ino);
CREATE INDEX artifacts_digest ON artifacts (sha256) WHERE sha256 IS NOT NULL;
CREATE INDEX artifacts_verdict ON artifacts (verdict, path);
CREATE INDEX artifacts_refused ON artifacts (path) WHERE refused;

-- Counting a million rows on every look at the status would not do.
CREATE TABLE artifact_counts (
    verdict INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    files   INTEGER NOT NULL,
    bytes   INTEGER NOT NULL,
    PRIMARY KEY (verdict, refused)
) WITHOUT ROWID;
CREATE TRIGGER artifact_added AFTER INSERT ON artifacts BEGIN
    INSERT INTO artifact_counts VALUES (new.verdict, new.refused, 1, new.size)
        ON CONFLICT DO UPDATE SET files = files + 1, bytes = bytes + new.size;
END;
CREATE TRIGGER artifact_removed AFTER DELETE ON artifacts BEGIN
    UPDATE artifact_counts SET files = files - 1, bytes = bytes - old.size
        WHERE verdict = old.verdict AND refused = old.refused;
END;
CREATE TRIGGER artifact_changed AFTER UPDATE OF verdict, refused, size ON artifacts
WHEN old.verdict <> new.verdict OR old.refused <> new.refused OR old.size <> new.size BEGIN
    UPDATE artifact_counts SET files = files - 1, bytes = bytes - old.size
        WHERE verdict = old.verdict AND refused = old.refused;
    INSERT INTO artifact_counts VALUES (new.verdict, new.refused, 1, new.size)
        ON CONFLICT DO UPDATE SET files = files + 1, bytes = bytes + new.size;
END;

CREATE TABLE models (
    id    INTEGER PRIMARY KEY,
    root  BLOB NOT NULL,
    model TEXT NOT NULL
);
CREATE INDEX models_root ON models (root, id);

CREATE TABLE outbox (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    severity INTEGER NOT NULL,
    created  INTEGER NOT NULL,
    bytes    INTEGER NOT NULL,
    kind     TEXT NOT NULL,
    body     TEXT NOT NULL
);
CREATE INDEX outbox_severity ON outbox (severity, id);
CREATE TABLE outbox_totals (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    events INTEGER NOT NULL,
    bytes  INTEGER NOT NULL
);
INSERT INTO outbox_totals VALUES (1, 0, 0);
CREATE TRIGGER outbox_added AFTER INSERT ON outbox BEGIN
    UPDATE outbox_totals SET events = events + 1, bytes = bytes + new.bytes;
END;
CREATE TRIGGER outbox_removed AFTER DELETE ON outbox BEGIN
    UPDATE outbox_totals SET events = events - 1, bytes = bytes - old.bytes;
END;
CREATE TABLE outbox_dropped (
    severity INTEGER PRIMARY KEY,
    events   INTEGER NOT NULL
);

CREATE TABLE requests (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    uid      INTEGER NOT NULL,
    user     TEXT NOT NULL,
    sha256   BLOB,
    path     BLOB NOT NULL,
    reason   TEXT NOT NULL,
    made     INTEGER NOT NULL,
    state    INTEGER NOT NULL,
    settled  INTEGER,
    by_whom  TEXT,
    note     TEXT
);
CREATE INDEX requests_state ON requests (state, id);
CREATE INDEX requests_uid ON requests (uid, state);

CREATE TABLE audit (
    seq      INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    kind     TEXT NOT NULL,
    body     TEXT NOT NULL,
    previous BLOB NOT NULL,
    hash     BLOB NOT NULL
);
-- Against mistakes of ours; the chain is what stands against others.
CREATE TRIGGER audit_unchanged BEFORE UPDATE ON audit BEGIN
    SELECT RAISE(ABORT, 'audit entries are never changed');
END;
CREATE TRIGGER audit_undeleted BEFORE DELETE ON audit BEGIN
    SELECT RAISE(ABORT, 'audit entries are never deleted');
END;
CREATE TABLE heads (
    seq       INTEGER PRIMARY KEY,
    at        INTEGER NOT NULL,
    hash      BLOB NOT NULL,
    signature BLOB NOT NULL,
    kept      INTEGER NOT NULL
);
