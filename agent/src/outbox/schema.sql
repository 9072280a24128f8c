-- The outbox. Unsigned numbers are kept as signed ones of the same bits.
CREATE TABLE meta (
    id             INTEGER PRIMARY KEY CHECK (id = 1),
    epoch          INTEGER NOT NULL,
    reserved_seq   INTEGER NOT NULL, -- no number from here on has ever been given
    acked_seq      INTEGER NOT NULL, -- everything up to here is on the aggregator's disk
    dropped_total  INTEGER NOT NULL, -- events given up since the epoch began
    rejected_total INTEGER NOT NULL, -- events the aggregator refused since the epoch began
    clean          INTEGER NOT NULL  -- 1 when the last writer closed the file itself
);

CREATE TABLE outbox (
    seq     INTEGER PRIMARY KEY,
    kept_ns INTEGER NOT NULL, -- wall clock when it was kept
    gap     INTEGER NOT NULL, -- 1 when the event tells of lost ones
    event   BLOB NOT NULL
);

CREATE TABLE dead_letter (
    id      INTEGER PRIMARY KEY,
    epoch   INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    kept_ns INTEGER NOT NULL,
    reason  TEXT NOT NULL,
    event   BLOB NOT NULL
);
