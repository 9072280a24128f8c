-- From version 1 to version 2.
ALTER TABLE batch ADD COLUMN taken_ns INTEGER;
ALTER TABLE node ADD COLUMN busy TEXT;
CREATE TABLE journal (
    id INTEGER PRIMARY KEY,
    at_ns INTEGER NOT NULL,
    line TEXT NOT NULL
) STRICT;
