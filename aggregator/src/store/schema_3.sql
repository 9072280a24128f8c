-- From version 2 to version 3. A change has a key, so that it is kept once however often it is told.
ALTER TABLE change ADD COLUMN key TEXT;
CREATE UNIQUE INDEX change_by_key ON change (key);
