-- From schema 3 to 4. Adds the files that bodies are in (`bodies`), and the runs of the session index.

CREATE TABLE session_run (
    id              INTEGER PRIMARY KEY,
    level           INTEGER NOT NULL,
    first_part      INTEGER NOT NULL,
    -- The first hash of each part.
    fences          BLOB NOT NULL
) STRICT;
CREATE TABLE session_part (
    id              INTEGER PRIMARY KEY,
    -- Hashes and entries, in ascending order.
    pairs           BLOB NOT NULL
) STRICT;

-- Where the body is; null if it is in the row. If it is in a segment, the column `body` is empty.
ALTER TABLE entry ADD COLUMN segment INTEGER;
ALTER TABLE entry ADD COLUMN at INTEGER;
ALTER TABLE entry ADD COLUMN length INTEGER;

-- No number is used again: a look-up that began earlier must not read the bodies of other entries.
CREATE TABLE segment (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    -- Its entries are among these.
    first_entry     INTEGER NOT NULL,
    last_entry      INTEGER NOT NULL,
    -- Bytes that were committed. The file may be longer.
    length          INTEGER NOT NULL,
    -- Of these, the bytes of entries that are still in the vault.
    live            INTEGER NOT NULL
) STRICT;

CREATE TRIGGER body_gone AFTER DELETE ON entry WHEN old.segment IS NOT NULL BEGIN
    UPDATE segment SET live = live - old.length WHERE id = old.segment;
END;
