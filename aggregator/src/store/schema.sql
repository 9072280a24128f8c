-- Version 3. Instants are nanoseconds since 1970; payloads are the records of gpuwarden-proto.

-- Events as they came, a row a batch.
CREATE TABLE batch (
    id INTEGER PRIMARY KEY,
    node TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    events INTEGER NOT NULL,
    received_ns INTEGER NOT NULL,
    first_observed_ns INTEGER NOT NULL,
    last_observed_ns INTEGER NOT NULL,
    payload BLOB NOT NULL,
    -- When correlation took it up; NULL in rows of versions before 3, where it was when it came.
    taken_ns INTEGER
) STRICT;
CREATE INDEX batch_by_node ON batch (node, id);

-- What reached correlation and is no event, as lines of an event log. Ids of batches and of these
-- rows are given out together: they are the order in which correlation took them up.
CREATE TABLE journal (
    id INTEGER PRIMARY KEY,
    at_ns INTEGER NOT NULL,
    line TEXT NOT NULL
) STRICT;

-- Up to where the events of an outbox are on disk.
CREATE TABLE mark (
    node TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (node, epoch)
) STRICT, WITHOUT ROWID;

CREATE TABLE node (
    id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    last_seen_ns INTEGER NOT NULL,
    agent_version TEXT NOT NULL,
    snapshot BLOB,
    -- Models that have had traffic, as JSON: [[server, model], ...].
    busy TEXT
) STRICT;

CREATE TABLE incident (
    id INTEGER PRIMARY KEY,
    type TEXT NOT NULL,
    severity TEXT NOT NULL,
    state TEXT NOT NULL,
    opened_ns INTEGER NOT NULL,
    updated_ns INTEGER NOT NULL,
    resolved_ns INTEGER,
    active INTEGER NOT NULL,
    payload BLOB NOT NULL
) STRICT;
CREATE INDEX incident_open ON incident (id) WHERE resolved_ns IS NULL;
CREATE INDEX incident_resolved ON incident (resolved_ns) WHERE resolved_ns IS NOT NULL;

CREATE TABLE change (
    id INTEGER PRIMARY KEY,
    observed_ns INTEGER NOT NULL,
    payload BLOB NOT NULL,
    -- NULL in rows of versions before 3.
    key TEXT
) STRICT;
CREATE UNIQUE INDEX change_by_key ON change (key);

CREATE TABLE counter (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
