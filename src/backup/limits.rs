//! How much of anything a server may make us take. One place, so that the sum can be reasoned about.

/// Bytes of one entry of a backup as JSON. A usual one has 860; an entry over this is counted as a failure and not kept.
pub(crate) const MAX_ENTRY_BYTES: usize = 64 * 1024;

/// Bytes of a room id or a session id (Matrix identifiers have at most 255).
pub(crate) const MAX_ID_BYTES: usize = 255;

/// Bytes of a small JSON answer: version info, account data, an error body.
pub(crate) const MAX_SMALL_BODY_BYTES: usize = 256 * 1024;

/// Bytes of the list of joined rooms: about 100,000 rooms.
pub(crate) const MAX_ROOM_LIST_BYTES: usize = 8 * 1024 * 1024;

/// PBKDF2 rounds that a server may ask of a phone. Clients write 500,000; at ten times that a phone is busy for seconds.
pub(crate) const MAX_KDF_ITERATIONS: u32 = 5_000_000;

/// Characters of a backup version string, which becomes part of a URL.
pub(crate) const MAX_VERSION_CHARS: usize = 128;
