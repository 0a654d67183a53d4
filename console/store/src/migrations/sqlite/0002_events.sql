-- What happened on endpoints, and what they are to do.

-- How far the events of each endpoint are here: numbers begin anew with an epoch.
CREATE TABLE event_cursors (
    endpoint TEXT NOT NULL REFERENCES endpoints (id) ON DELETE CASCADE,
    epoch TEXT NOT NULL,
    through BIGINT NOT NULL,
    PRIMARY KEY (endpoint, epoch)
);

-- No reference to endpoints: what happened outlives them.
CREATE TABLE events (
    number INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    received BIGINT NOT NULL,
    endpoint TEXT NOT NULL,
    -- By the endpoint's clock.
    happened BIGINT NOT NULL,
    severity BIGINT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL
);

CREATE INDEX events_by_endpoint ON events (endpoint, number);
CREATE INDEX events_by_kind ON events (kind, number);
CREATE INDEX events_by_day ON events (received);

CREATE TABLE orders (
    id TEXT PRIMARY KEY NOT NULL,
    endpoint TEXT NOT NULL REFERENCES endpoints (id) ON DELETE CASCADE,
    command TEXT NOT NULL,
    created BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    expires BIGINT NOT NULL,
    -- Of its receipt.
    ended BIGINT,
    outcome TEXT,
    detail TEXT
);

CREATE INDEX orders_open ON orders (endpoint, created, id) WHERE ended IS NULL;
CREATE INDEX orders_by_endpoint ON orders (endpoint, created);
