-- From schema 2 to 3. Adds the move of the backup to a new key.

-- The move under way, or the last one. `reset::stored` says what the numbers mean.
CREATE TABLE backup_move (
    id              INTEGER PRIMARY KEY CHECK (id = 1),
    step            INTEGER NOT NULL,
    stopped         INTEGER NOT NULL DEFAULT 0,
    -- Whether nothing is left to do. Until then, no key leaves the vault.
    is_over         INTEGER NOT NULL DEFAULT 0,
    cause           INTEGER NOT NULL,
    -- The version that was current at the beginning, if any, and its public key.
    old_version     TEXT,
    old_public_key  BLOB,
    -- The new private key, sealed, and its public half.
    sealed_key      BLOB NOT NULL,
    public_key      BLOB NOT NULL,
    -- The default key of secret storage at the beginning, and the one under which the keys were kept.
    first_storage   TEXT,
    storage_key     TEXT,
    -- Requests that create a version, counted before each, and the numbers that they returned, one on each line.
    posts           INTEGER NOT NULL DEFAULT 0,
    posted          TEXT NOT NULL DEFAULT '',
    new_version     INTEGER REFERENCES backup_version (id),
    -- The mark of the new version after our last upload. `count` is null if the server reports none.
    etag            TEXT NOT NULL DEFAULT '',
    count           INTEGER,
    -- Entries up to this one have been considered in this round, and how many of them were sent.
    sent_through    INTEGER NOT NULL DEFAULT 0,
    -- The upload that was announced last: its last entry, and how many keys it adds to the version; 0 for none.
    announced       INTEGER NOT NULL DEFAULT 0,
    announced_keys  INTEGER NOT NULL DEFAULT 0,
    round           INTEGER NOT NULL DEFAULT 0,
    sent_in_round   INTEGER NOT NULL DEFAULT 0,
    sent            INTEGER NOT NULL DEFAULT 0,
    -- Keys of which the server keeps another copy than the vault's.
    unreplaced      INTEGER NOT NULL DEFAULT 0,
    -- Entries up to this one are marked as backed up in the app's crypto.
    marked_through  INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Whether `served` is kept for this version, to which the backup moves.
ALTER TABLE backup_version ADD COLUMN is_mirrored INTEGER NOT NULL DEFAULT 0;

-- Entries of the mirrored version that the server still has as they are here, by its answers under the current mark.
CREATE TABLE served (
    entry           INTEGER PRIMARY KEY
) STRICT;
