-- The tables of schema 1, for tests of upgrades.

CREATE TABLE vault (
    id              INTEGER PRIMARY KEY CHECK (id = 1),
    protection      INTEGER NOT NULL,
    salt            BLOB NOT NULL,
    kdf_iterations  INTEGER NOT NULL,
    key_check       BLOB,
    index_key       BLOB NOT NULL,
    user_hash       BLOB NOT NULL,
    device_hash     BLOB NOT NULL
) STRICT;

CREATE TABLE job (
    id              INTEGER PRIMARY KEY CHECK (id = 1),
    generation      INTEGER NOT NULL DEFAULT 0,
    current_version INTEGER REFERENCES backup_version (id),
    opened_through  INTEGER NOT NULL DEFAULT 0,
    delivered_through INTEGER NOT NULL DEFAULT 0,
    trimmed_through INTEGER NOT NULL DEFAULT 0,
    -- Trimmed entries are to be fetched again; those up to that one are forgotten by now.
    refetch         INTEGER NOT NULL DEFAULT 0,
    refetched_through INTEGER NOT NULL DEFAULT 0,
    -- The number of an entry that was forgotten never comes again: the session index may still have it.
    last_forgotten  INTEGER NOT NULL DEFAULT 0,
    -- Rises with every entry that comes in beside a run.
    inserts_beside  INTEGER NOT NULL DEFAULT 0,
    -- What the crate that was at work last can open.
    opens           INTEGER NOT NULL DEFAULT 0,
    intent          INTEGER NOT NULL DEFAULT 0,
    asked_at_ms     INTEGER NOT NULL DEFAULT 0,
    retry_at_ms     INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE lease (
    id              INTEGER PRIMARY KEY CHECK (id = 1),
    holder          TEXT NOT NULL,
    process_id      INTEGER NOT NULL,
    process_began   INTEGER NOT NULL,
    process_space   TEXT NOT NULL,
    since_ms        INTEGER NOT NULL,
    heartbeat_ms    INTEGER NOT NULL
) STRICT;

CREATE TABLE backup_version (
    id              INTEGER PRIMARY KEY,
    version         TEXT NOT NULL,
    algorithm       TEXT NOT NULL,
    public_key      BLOB,
    server_count    INTEGER NOT NULL,
    etag            TEXT NOT NULL,
    sealed_key      BLOB,
    -- Rises when the server's etag or count is another one.
    era             INTEGER NOT NULL DEFAULT 1,
    complete        INTEGER NOT NULL DEFAULT 0,
    -- The era in which it was so last.
    complete_in     INTEGER NOT NULL DEFAULT 0,
    -- Entries that were here then, and not on the server.
    surplus         INTEGER NOT NULL DEFAULT 0,
    gone            INTEGER NOT NULL DEFAULT 0,
    -- It has been asked for since another one is current.
    superseded      INTEGER NOT NULL DEFAULT 0,
    rooms_listed_ms INTEGER,
    cuts            INTEGER NOT NULL DEFAULT 0,
    bytes           INTEGER NOT NULL DEFAULT 0,
    fetched         INTEGER NOT NULL DEFAULT 0,
    opened          INTEGER NOT NULL DEFAULT 0,
    failed          INTEGER NOT NULL DEFAULT 0,
    conflicts       INTEGER NOT NULL DEFAULT 0,
    -- Of these, opened and not delivered.
    withheld        INTEGER NOT NULL DEFAULT 0,
    delivered       INTEGER NOT NULL DEFAULT 0,
    refused         INTEGER NOT NULL DEFAULT 0
) STRICT;
-- The same version number with another public key is another backup, whatever the server says.
CREATE UNIQUE INDEX backup_version_key ON backup_version (version, ifnull(public_key, x''));

CREATE TABLE room (
    id              INTEGER PRIMARY KEY,
    version         INTEGER NOT NULL REFERENCES backup_version (id),
    hash            BLOB NOT NULL,
    sealed_id       BLOB NOT NULL,
    position        INTEGER,
    cuts            INTEGER NOT NULL DEFAULT 0,
    -- The era of the version in which its own answer was read to the end.
    complete        INTEGER NOT NULL DEFAULT 0,
    entries         INTEGER NOT NULL DEFAULT 0,
    -- Of these, worse copies of others.
    copies          INTEGER NOT NULL DEFAULT 0,
    UNIQUE (version, hash)
) STRICT;
CREATE INDEX room_to_fetch ON room (version, position) WHERE complete = 0 AND position IS NOT NULL;

CREATE TABLE entry (
    id              INTEGER PRIMARY KEY,
    room            INTEGER NOT NULL,
    session         BLOB NOT NULL,
    body            BLOB NOT NULL
) STRICT;

CREATE TABLE session_index (
    hash            INTEGER NOT NULL,
    entry           INTEGER NOT NULL,
    PRIMARY KEY (hash, entry)
) STRICT, WITHOUT ROWID;
CREATE TABLE session_recent (
    first_entry     INTEGER PRIMARY KEY,
    hashes          BLOB NOT NULL
) STRICT;

CREATE TABLE room_run (
    room            INTEGER NOT NULL REFERENCES room (id),
    first_entry     INTEGER NOT NULL,
    last_entry      INTEGER NOT NULL,
    PRIMARY KEY (room, first_entry)
) STRICT, WITHOUT ROWID;

CREATE TABLE opened_batch (
    id              INTEGER PRIMARY KEY,
    first_entry     INTEGER NOT NULL,
    last_entry      INTEGER NOT NULL
) STRICT;

CREATE TABLE opened (
    entry           INTEGER PRIMARY KEY,
    batch           INTEGER NOT NULL,
    failure         INTEGER NOT NULL,
    first_index     INTEGER,
    shared_history  INTEGER,
    sender_key      BLOB
) STRICT;
CREATE INDEX opened_failed ON opened (failure, entry) WHERE failure <> 0;

CREATE TABLE conflict (
    entry           INTEGER PRIMARY KEY
) STRICT;

CREATE TABLE delivered (
    entry           INTEGER PRIMARY KEY,
    refusal         TEXT
) STRICT;
CREATE INDEX delivered_refused ON delivered (entry) WHERE refusal IS NOT NULL;

-- Entries that were delivered and then removed from the vault. Only what identifies them is kept.
CREATE TABLE trimmed (
    entry           INTEGER PRIMARY KEY,
    room            INTEGER NOT NULL,
    session         BLOB NOT NULL
) STRICT;

CREATE TABLE file_place (
    name            TEXT PRIMARY KEY,
    version         INTEGER NOT NULL,
    -- The mark under which it was asked for.
    era             INTEGER NOT NULL,
    server_count    INTEGER,
    place           INTEGER NOT NULL,
    sealed_room     BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE missing (
    version         INTEGER NOT NULL,
    hash            INTEGER NOT NULL,
    era             INTEGER NOT NULL,
    seen_ms         INTEGER NOT NULL,
    PRIMARY KEY (version, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE preference (
    id              INTEGER PRIMARY KEY CHECK (id = 1),
    seen_stable     INTEGER,
    seen_unstable   INTEGER,
    told_stable     INTEGER,
    told_unstable   INTEGER,
    attempted_stable INTEGER,
    attempted_unstable INTEGER,
    wish            INTEGER,
    by_user         INTEGER,
    base            INTEGER,
    last_number     INTEGER NOT NULL DEFAULT 0,
    tries           INTEGER NOT NULL DEFAULT 0
) STRICT;

INSERT INTO job (id) VALUES (1);
INSERT INTO preference (id) VALUES (1);
