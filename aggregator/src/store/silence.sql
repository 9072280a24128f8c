-- What people hold back, planned, active and over. A table of its own that older files lack.
CREATE TABLE IF NOT EXISTS silence (
    id INTEGER PRIMARY KEY,
    over_ns INTEGER NOT NULL,
    payload BLOB NOT NULL
) STRICT;
