//! Keys that have arrived, and entries in pages, as apps see them.

/// Keys that have arrived in one room.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct ArrivedRoomKeys {
    /// The room.
    pub room_id: String,
    /// The sessions.
    pub session_ids: Vec<String>,
}

/// A place in the order of arrival. Keep it as it is; the default is the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, uniffi::Record)]
pub struct ArrivalCursor {
    /// Opaque.
    #[uniffi(default = 0)]
    pub batch: i64,
    /// Opaque.
    #[uniffi(default = 0)]
    pub entry: i64,
}

/// Keys that arrived after a cursor.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct ArrivedPage {
    /// The keys, in the order of arrival, those of one room together.
    pub arrived: Vec<ArrivedRoomKeys>,
    /// Where to go on.
    pub next: ArrivalCursor,
    /// There are more by now.
    pub more: bool,
}

/// One entry of the backup.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct EntryRef {
    /// The room that it is listed under.
    pub room_id: String,
    /// The session that it is listed as.
    pub session_id: String,
}

/// A page of entries.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct EntryPage {
    /// The entries.
    pub entries: Vec<EntryRef>,
    /// Pass it as `after` to go on; `None` at the end.
    pub next: Option<i64>,
}

/// Why a copy of a key is held back from the sink and from exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, uniffi::Enum)]
#[non_exhaustive]
pub enum ConflictCause {
    /// The same session stands under two rooms: the server may be moving keys. Look-ups in either room have it.
    TwoRooms,
    /// There are two keys of one session id, and their ratchets do not connect: at most one is genuine. Look-ups have the one
    /// that came first, until `prove_room_key` shows that it is the other.
    Unconnected,
}

/// A copy of a key that is held back, and the one that counts in its place.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct KeyConflict {
    /// The copy that is held back.
    pub held_back: EntryRef,
    /// The backup version that it is in.
    pub version: String,
    /// The place of the copy that counts; `None` where none of them does, as one answer brought both and nothing proves either.
    pub counts: Option<EntryRef>,
    /// The backup version of that one.
    pub counts_version: Option<String>,
    /// Why.
    pub cause: ConflictCause,
}

/// A page of conflicts.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct ConflictPage {
    /// The conflicts.
    pub conflicts: Vec<KeyConflict>,
    /// Pass it as `after` to go on; `None` at the end.
    pub next: Option<i64>,
}

/// Conflicts of a kind that the host has not been told of in this version: somebody may be tampering with the backup.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct ConflictNotice {
    /// The backup version.
    pub version: String,
    /// What kind. Each is told once for a version.
    pub cause: ConflictCause,
    /// How many copies of keys are held back in that version by now, for whatever cause.
    pub held_back: u64,
}

/// A key that the sink refused.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct RefusedEntry {
    /// Which one.
    pub entry: EntryRef,
    /// What the sink said.
    pub reason: String,
}

/// A page of refused keys.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct RefusedPage {
    /// The keys.
    pub entries: Vec<RefusedEntry>,
    /// Pass it as `after` to go on; `None` at the end.
    pub next: Option<i64>,
}
