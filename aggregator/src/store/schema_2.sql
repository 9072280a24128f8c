-- Version 2. A change has a key, so that it is kept once however often it is told. Rows without one
-- are from version 1.
ALTER TABLE change ADD COLUMN key TEXT;
CREATE UNIQUE INDEX change_by_key ON change (key);
