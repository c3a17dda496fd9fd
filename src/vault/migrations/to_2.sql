-- From schema 1 to 2. Adds what proves that a version is complete, which copy of a key counts, and what waits until a
-- later time.

-- Consecutive runs in which the server prevented any progress.
ALTER TABLE job ADD COLUMN outages INTEGER NOT NULL DEFAULT 0;

-- Why nothing is left to request under the current mark of the version (see `Settled`); 0 if something is left.
ALTER TABLE backup_version RENAME COLUMN complete TO settled;
ALTER TABLE backup_version RENAME COLUMN complete_in TO settled_in;
ALTER TABLE backup_version DROP COLUMN surplus;
ALTER TABLE backup_version ADD COLUMN settled_names INTEGER NOT NULL DEFAULT 0;
-- 0 if the server reports no count.
ALTER TABLE backup_version ADD COLUMN has_count INTEGER NOT NULL DEFAULT 1;
-- Distinct pairs of room and session in well-formed answers.
ALTER TABLE backup_version ADD COLUMN names INTEGER NOT NULL DEFAULT 0;
-- Whether some of these pairs were counted under an earlier mark.
ALTER TABLE backup_version ADD COLUMN is_carried INTEGER NOT NULL DEFAULT 0;
-- Entries up to this one are counted in `names` only after an answer contains them again.
ALTER TABLE backup_version ADD COLUMN confirm_through INTEGER NOT NULL DEFAULT 0;
-- The last entry in the vault when the era began.
ALTER TABLE backup_version ADD COLUMN era_began INTEGER NOT NULL DEFAULT 0;
-- The era in which a well-formed answer for everything was read to its end, and the value of `names` at that time.
ALTER TABLE backup_version ADD COLUMN everything_in INTEGER NOT NULL DEFAULT 0;
ALTER TABLE backup_version ADD COLUMN everything_names INTEGER NOT NULL DEFAULT 0;
-- The era in which the list of rooms was made.
ALTER TABLE backup_version ADD COLUMN rooms_listed_in INTEGER NOT NULL DEFAULT 0;
-- The era in which a known entry was found replaced.
ALTER TABLE backup_version ADD COLUMN replaced_in INTEGER NOT NULL DEFAULT 0;
-- The era in which entries that had failed were requested again.
ALTER TABLE backup_version ADD COLUMN failed_asked_in INTEGER NOT NULL DEFAULT 0;
-- The number of names missing when the version was last found short, the checks of its mark since then, and the
-- time of the last check.
ALTER TABLE backup_version ADD COLUMN shortfall INTEGER;
ALTER TABLE backup_version ADD COLUMN short_looks INTEGER NOT NULL DEFAULT 0;
ALTER TABLE backup_version ADD COLUMN looked_at_ms INTEGER NOT NULL DEFAULT 0;
-- The number of missing names that the app has accepted.
ALTER TABLE backup_version ADD COLUMN accepted INTEGER;
-- Whether the app has given up unlocking the version.
ALTER TABLE backup_version ADD COLUMN is_given_up INTEGER NOT NULL DEFAULT 0;
-- The request for everything: consecutive failures, the kind of the last one, its time, and when it may be
-- repeated.
ALTER TABLE backup_version ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
ALTER TABLE backup_version ADD COLUMN fault INTEGER NOT NULL DEFAULT 0;
ALTER TABLE backup_version ADD COLUMN failed_at_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE backup_version ADD COLUMN retry_at_ms INTEGER NOT NULL DEFAULT 0;
-- Causes of conflicts that the host has been told about, as bits.
ALTER TABLE backup_version ADD COLUMN told_conflicts INTEGER NOT NULL DEFAULT 0;

-- The request for the keys of one room: consecutive failures, the kind of the last one, its time, and when it may
-- be repeated.
ALTER TABLE room DROP COLUMN copies;
ALTER TABLE room ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
ALTER TABLE room ADD COLUMN fault INTEGER NOT NULL DEFAULT 0;
ALTER TABLE room ADD COLUMN failed_at_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE room ADD COLUMN retry_at_ms INTEGER NOT NULL DEFAULT 0;

ALTER TABLE entry ADD COLUMN forwarded_count INTEGER;

-- A keyed hash of index, ratchet and id. It identifies equal copies without a decryption.
ALTER TABLE opened ADD COLUMN fingerprint BLOB;

-- Whether the entry must be fetched again. Only its identity is left in the vault.
ALTER TABLE trimmed ADD COLUMN is_forgotten INTEGER NOT NULL DEFAULT 0;

-- Entries of sessions that the vault has several times, and entries that an event has proved.
DROP TABLE conflict;
CREATE TABLE copy (
    entry           INTEGER PRIMARY KEY,
    -- The entry that founded the class of connected copies; null until it is opened and compared.
    class           INTEGER,
    proof           INTEGER NOT NULL DEFAULT 0,
    tied            INTEGER NOT NULL DEFAULT 0,
    -- See `CopyState`; only 0 goes to sinks and exports.
    standing        INTEGER NOT NULL,
    -- Another entry of the same name is counted in its place.
    is_extra        INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX copy_unsettled ON copy (entry) WHERE standing = 4;
CREATE INDEX copy_in_conflict ON copy (standing, entry) WHERE standing <> 0;

-- Entries that answers under the current mark contain again, while names are counted from the beginning.
CREATE TABLE confirmed (
    entry           INTEGER PRIMARY KEY
) STRICT;
