//! Bounds on everything that a server can make us accept, and on how long we wait for it. They are in one place so
//! that their sum can be reasoned about; `docs/threat-model.md` says what happens beyond each of them.

use std::time::Duration;

/// Bytes of a usual entry of a backup as JSON, to tell beforehand what a download or an upload costs.
pub(crate) const USUAL_ENTRY_BYTES: u64 = 860;

/// Bytes of one entry of a backup as JSON. A larger one than this is counted as a failure and not kept.
pub(crate) const MAX_ENTRY_BYTES: usize = 64 * 1024;

/// Bytes of a room id or a session id (Matrix identifiers have at most 255).
pub(crate) const MAX_ID_BYTES: usize = 255;

/// Strings in a room key's claims about its sender's keys, and in its list of the devices that forwarded it. Clients
/// write two in the claims and none in the list. Either one is dropped whole if it has more.
pub(crate) const MAX_CLAIM_TEXTS: usize = 64;

/// Copies of one session, in one room and backup version, whose ratchets do not connect. At most one of them is
/// genuine.
pub(crate) const MAX_CLASSES_OF_A_SESSION: usize = 4;

/// Bytes of an event that is passed in to prove a key. The specification allows 65,536; the rest is room for what the
/// app adds.
pub(crate) const MAX_EVENT_BYTES: usize = 256 * 1024;

/// Bytes of an answer in which no entry ends. Any single entry that can be skipped is smaller; an answer that goes on
/// for longer is not a backup.
pub(crate) const MAX_BARREN_BYTES: u64 = 256 * 1024 * 1024;

/// Entries of one answer, repetitions included: twenty times the largest known backups.
pub(crate) const MAX_ANSWER_ENTRIES: u64 = 20_000_000;

/// Bytes of entries that are read from the vault at a time; one more entry may exceed it. A page of usual entries
/// stays below.
pub(crate) const MAX_PAGE_BYTES: usize = 2 * 1024 * 1024;

/// Bytes of one answer, after decompression: forty times the largest known backups.
pub(crate) const MAX_ANSWER_BYTES: u64 = 32 * 1024 * 1024 * 1024;

/// Bytes of a small JSON answer: version info, account data, an error body.
pub(crate) const MAX_SMALL_BODY_BYTES: usize = 256 * 1024;

/// Bytes of the list of joined rooms.
pub(crate) const MAX_ROOM_LIST_BYTES: usize = 8 * 1024 * 1024;

/// Joined rooms that are requested one by one; the keys of other rooms come with the request for everything.
pub(crate) const MAX_LISTED_ROOMS: usize = 100_000;

/// PBKDF2 rounds that a server may ask of a phone. Clients write 500,000; ten times as many keep a phone busy for
/// seconds.
pub(crate) const MAX_KDF_ITERATIONS: u32 = 5_000_000;

/// Secret storage keys that a secret is tried with. Clients write one or two.
pub(crate) const MAX_STORAGE_KEYS: usize = 8;

/// Characters of a backup version string, which becomes part of a URL.
pub(crate) const MAX_VERSION_CHARS: usize = 128;

/// Characters of a backup's etag and of the name of its algorithm.
pub(crate) const MAX_VERSION_DETAIL_CHARS: usize = 128;

/// How often one run starts over because the backup was replaced, or has grown, by the time that it was fetched.
pub(crate) const MAX_VERSION_CHANGES: usize = 3;

/// Silence of a server after which a request fails. Synapse reads all rows of a large backup before it sends a byte.
pub(crate) const MAX_SILENCE: Duration = Duration::from_secs(60);

/// Bytes that must arrive in each [`MAX_SILENCE`] of waiting for a body: a modem of the 1990s delivers 200 times as
/// many.
pub(crate) const MIN_BYTES_PER_SILENCE: u64 = 1_024;

/// Time from a request to the end of a small JSON answer.
pub(crate) const MAX_SMALL_ANSWER: Duration = Duration::from_secs(120);

/// The longest time that a failing request rests before it is tried again.
pub(crate) const MAX_REST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The longest time that a server can ask us to wait.
pub(crate) const MAX_ASKED_WAIT: Duration = Duration::from_secs(60 * 60);
