-- What people do about incidents, and what is told of them. Tables that older files lack. Payloads are
-- JSON: `response::Work`, a row of the outbox of notifications, an override.
CREATE TABLE IF NOT EXISTS work (
    incident INTEGER PRIMARY KEY,
    -- 1 while something may yet come of it.
    live INTEGER NOT NULL,
    payload TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS work_live ON work (incident) WHERE live = 1;

CREATE TABLE IF NOT EXISTS notice (
    key TEXT PRIMARY KEY,
    payload TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What happened to timers, in order: what the auditor reads.
CREATE TABLE IF NOT EXISTS timer_word (
    id INTEGER PRIMARY KEY,
    at_ns INTEGER NOT NULL,
    payload TEXT NOT NULL
) STRICT;

-- Who takes over; written anew as a whole.
CREATE TABLE IF NOT EXISTS override (
    id INTEGER PRIMARY KEY,
    payload TEXT NOT NULL
) STRICT;
