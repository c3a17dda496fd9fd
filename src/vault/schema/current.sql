-- The tables of a new vault. A vault of an earlier schema gets the same ones by `migrations`.

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
    retry_at_ms     INTEGER NOT NULL DEFAULT 0,
    -- Consecutive runs in which the server prevented any progress.
    outages         INTEGER NOT NULL DEFAULT 0
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
    -- Why nothing is left to request under the current mark of the version (see `Settled`); 0 if something is left.
    settled         INTEGER NOT NULL DEFAULT 0,
    -- The era in which it was so last.
    settled_in      INTEGER NOT NULL DEFAULT 0,
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
    refused         INTEGER NOT NULL DEFAULT 0,
    settled_names   INTEGER NOT NULL DEFAULT 0,
    -- 0 if the server reports no count.
    has_count       INTEGER NOT NULL DEFAULT 1,
    -- Distinct pairs of room and session in well-formed answers.
    names           INTEGER NOT NULL DEFAULT 0,
    -- Whether some of these pairs were counted under an earlier mark.
    is_carried      INTEGER NOT NULL DEFAULT 0,
    -- Entries up to this one are counted in `names` only after an answer contains them again.
    confirm_through INTEGER NOT NULL DEFAULT 0,
    -- The last entry in the vault when the era began.
    era_began       INTEGER NOT NULL DEFAULT 0,
    -- The era in which a well-formed answer for everything was read to its end, and the value of `names` at that time.
    everything_in   INTEGER NOT NULL DEFAULT 0,
    everything_names INTEGER NOT NULL DEFAULT 0,
    -- The era in which the list of rooms was made.
    rooms_listed_in INTEGER NOT NULL DEFAULT 0,
    -- The era in which a known entry was found replaced.
    replaced_in     INTEGER NOT NULL DEFAULT 0,
    -- The era in which entries that had failed were requested again.
    failed_asked_in INTEGER NOT NULL DEFAULT 0,
    -- The number of names missing when the version was last found short, the checks of its mark since then, and the
    -- time of the last check.
    shortfall       INTEGER,
    short_looks     INTEGER NOT NULL DEFAULT 0,
    looked_at_ms    INTEGER NOT NULL DEFAULT 0,
    -- The number of missing names that the app has accepted.
    accepted        INTEGER,
    -- Whether the app has given up unlocking the version.
    is_given_up     INTEGER NOT NULL DEFAULT 0,
    -- The request for everything: consecutive failures, the kind of the last one, its time, and when it may be
    -- repeated.
    failures        INTEGER NOT NULL DEFAULT 0,
    fault           INTEGER NOT NULL DEFAULT 0,
    failed_at_ms    INTEGER NOT NULL DEFAULT 0,
    retry_at_ms     INTEGER NOT NULL DEFAULT 0,
    -- Causes of conflicts that the host has been told about, as bits.
    told_conflicts  INTEGER NOT NULL DEFAULT 0,
    -- Whether `served` is kept for this version, to which the backup moves.
    is_mirrored     INTEGER NOT NULL DEFAULT 0
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
    -- The request for the keys of the room: consecutive failures, the kind of the last one, its time, and when it may be
    -- repeated.
    failures        INTEGER NOT NULL DEFAULT 0,
    fault           INTEGER NOT NULL DEFAULT 0,
    failed_at_ms    INTEGER NOT NULL DEFAULT 0,
    retry_at_ms     INTEGER NOT NULL DEFAULT 0,
    UNIQUE (version, hash)
) STRICT;
CREATE INDEX room_to_fetch ON room (version, position) WHERE complete = 0 AND position IS NOT NULL;

CREATE TABLE entry (
    id              INTEGER PRIMARY KEY,
    room            INTEGER NOT NULL,
    session         BLOB NOT NULL,
    body            BLOB NOT NULL,
    forwarded_count INTEGER,
    -- Where the body is; null if it is in the row. If it is in a segment, the column `body` is empty.
    segment         INTEGER,
    at              INTEGER,
    length          INTEGER
) STRICT;

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
    -- Earlier versions filled this; nothing reads it.
    sender_key      BLOB,
    -- A keyed hash of index, ratchet and id. It identifies equal copies without a decryption.
    fingerprint     BLOB
) STRICT;
CREATE INDEX opened_failed ON opened (failure, entry) WHERE failure <> 0;

CREATE TABLE delivered (
    entry           INTEGER PRIMARY KEY,
    refusal         TEXT
) STRICT;
CREATE INDEX delivered_refused ON delivered (entry) WHERE refusal IS NOT NULL;

-- Entries that were delivered and then removed from the vault. Only what identifies them is kept.
CREATE TABLE trimmed (
    entry           INTEGER PRIMARY KEY,
    room            INTEGER NOT NULL,
    session         BLOB NOT NULL,
    -- Whether the entry must be fetched again. Only its identity is left in the vault.
    is_forgotten    INTEGER NOT NULL DEFAULT 0
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

-- Entries of the mirrored version that the server still has as they are here, by its answers under the current mark.
CREATE TABLE served (
    entry           INTEGER PRIMARY KEY
) STRICT;

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

INSERT INTO job (id) VALUES (1);
INSERT INTO preference (id) VALUES (1);
