//! How much of anything a server may make us take, and for how long. One place, so that the sum can be reasoned about; what
//! happens beyond each is in `docs/threat-model.md`.

use std::time::Duration;

/// Bytes of one entry of a backup as JSON. A usual one has 860; an entry over this is counted as a failure and not kept.
pub(crate) const MAX_ENTRY_BYTES: usize = 64 * 1024;

/// Bytes of a room id or a session id (Matrix identifiers have at most 255).
pub(crate) const MAX_ID_BYTES: usize = 255;

/// Texts in what a room key claims of its sender's keys, and of the devices that forwarded it: clients write two, and none. Of
/// more than this, none is kept.
pub(crate) const MAX_CLAIM_TEXTS: usize = 64;

/// Copies of one session in one room and backup version whose ratchets do not connect: at most one of them is genuine.
pub(crate) const MAX_CLASSES_OF_A_SESSION: usize = 4;

/// Bytes of an event that is to prove a key. The specification allows 65,536; what is in it besides is the app's own.
pub(crate) const MAX_EVENT_BYTES: usize = 256 * 1024;

/// Bytes of an answer in which not one entry ends. More than any single entry that could be passed over has; an answer that
/// goes on for longer is not a backup.
pub(crate) const MAX_BARREN_BYTES: u64 = 256 * 1024 * 1024;

/// Entries of one answer, the same one time and again included: twenty times the largest backups that are known.
pub(crate) const MAX_ANSWER_ENTRIES: u64 = 20_000_000;

/// Bytes of entries that are read from the vault at a time, and one entry more. A page of usual entries stays below.
pub(crate) const MAX_PAGE_BYTES: usize = 2 * 1024 * 1024;

/// Bytes of one answer, after decompression: forty times the largest backups that are known.
pub(crate) const MAX_ANSWER_BYTES: u64 = 32 * 1024 * 1024 * 1024;

/// Bytes of a small JSON answer: version info, account data, an error body.
pub(crate) const MAX_SMALL_BODY_BYTES: usize = 256 * 1024;

/// Bytes of the list of joined rooms.
pub(crate) const MAX_ROOM_LIST_BYTES: usize = 8 * 1024 * 1024;

/// Joined rooms that are asked for one by one; what is in others comes with the request for everything.
pub(crate) const MAX_LISTED_ROOMS: usize = 100_000;

/// PBKDF2 rounds that a server may ask of a phone. Clients write 500,000; at ten times that a phone is busy for seconds.
pub(crate) const MAX_KDF_ITERATIONS: u32 = 5_000_000;

/// Keys of secret storage that a secret is tried with; clients write one or two.
pub(crate) const MAX_STORAGE_KEYS: usize = 8;

/// Characters of a backup version string, which becomes part of a URL.
pub(crate) const MAX_VERSION_CHARS: usize = 128;

/// Characters of a backup's etag and of the name of its algorithm.
pub(crate) const MAX_VERSION_DETAIL_CHARS: usize = 128;

/// How often a run follows a backup that is another one, or has grown, by the time that it is fetched.
pub(crate) const MAX_VERSION_CHANGES: usize = 3;

/// Silence of a server after which a request has failed. Synapse reads all rows of a large backup before it sends a byte.
pub(crate) const MAX_SILENCE: Duration = Duration::from_secs(60);

/// Bytes that have to come in each [`MAX_SILENCE`] of waiting for a body: a modem of the nineties brings 200 times as many.
pub(crate) const MIN_BYTES_PER_SILENCE: u64 = 1_024;

/// Time from a request to the end of a small JSON answer.
pub(crate) const MAX_SMALL_ANSWER: Duration = Duration::from_secs(120);

/// How long what does not come through rests at most before it is tried again.
pub(crate) const MAX_REST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long a server may ask to be left in peace.
pub(crate) const MAX_ASKED_WAIT: Duration = Duration::from_secs(60 * 60);
