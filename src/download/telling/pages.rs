//! Keys that arrived, and entries in pages, as apps see them.

/// Keys that arrived in one room.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct ArrivedRoomKeys {
    /// The room id.
    pub room_id: String,
    /// The ids of the sessions whose keys arrived.
    pub session_ids: Vec<String>,
}

/// A position in the order in which keys arrived, for `KeyDownload.arrived_since`. Store it unchanged; the default is
/// the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, uniffi::Record)]
pub struct ArrivalCursor {
    /// Opaque; 0 at the beginning.
    #[uniffi(default = 0)]
    pub batch: i64,
    /// Opaque; 0 at the beginning.
    #[uniffi(default = 0)]
    pub entry: i64,
}

/// A page of keys that arrived after a cursor, from `KeyDownload.arrived_since`.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct ArrivedPage {
    /// The keys in the order of arrival; consecutive keys of one room share an element.
    pub arrived: Vec<ArrivedRoomKeys>,
    /// The cursor to pass to the next call.
    pub next: ArrivalCursor,
    /// Whether more keys have arrived after this page.
    pub more: bool,
}

/// Names one entry of the backup.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct EntryRef {
    /// The room id that the entry is listed under.
    pub room_id: String,
    /// The session id that the entry is listed under.
    pub session_id: String,
}

/// A page of failed entries, from `KeyDownload.failures`.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct EntryPage {
    /// The entries of this page.
    pub entries: Vec<EntryRef>,
    /// Pass this as `after` to get the next page; `None` at the end.
    pub next: Option<i64>,
}

/// Why a copy of a key is held back from the sink and from exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, uniffi::Enum)]
#[non_exhaustive]
pub enum ConflictCause {
    /// The same session is listed under two rooms: the server may be moving keys. Look-ups in either room find it.
    TwoRooms,
    /// Two keys share one session id, and their ratchets do not connect: at most one is genuine. Look-ups return the
    /// one that came first, until `KeyBackupClient.prove_room_key` proves the other.
    Unconnected,
}

/// A copy of a key that is held back, and the copy that counts in its place.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct KeyConflict {
    /// The room and session that the held-back copy is listed under.
    pub held_back: EntryRef,
    /// The backup version that the held-back copy is in.
    pub version: String,
    /// The room and session of the copy that counts; `None` if no copy counts, because one answer brought both and
    /// nothing proves either.
    pub counts: Option<EntryRef>,
    /// The backup version of the copy that counts; `None` if no copy counts.
    pub counts_version: Option<String>,
    /// Why the copy is held back.
    pub cause: ConflictCause,
}

/// A page of conflicts, from `KeyDownload.conflicts`.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct ConflictPage {
    /// The conflicts of this page.
    pub conflicts: Vec<KeyConflict>,
    /// Pass this as `after` to get the next page; `None` at the end.
    pub next: Option<i64>,
}

/// Reports conflicts of a kind that is new in a backup version, to `JobHost.on_conflicts`. Someone may be tampering
/// with the backup.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct ConflictNotice {
    /// The backup version that the conflicts are in.
    pub version: String,
    /// The kind of conflict. Each kind is reported once for each version, or again if the host did not accept the
    /// notice.
    pub cause: ConflictCause,
    /// Number of copies of keys that are held back in that version now, for any cause.
    pub held_back: u64,
}

/// A key that the sink refused to take.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct RefusedEntry {
    /// The room and session of the key.
    pub entry: EntryRef,
    /// The sink's reason, at most 200 characters.
    pub reason: String,
}

/// A page of refused keys, from `KeyDownload.refusals`.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct RefusedPage {
    /// The refused keys of this page.
    pub entries: Vec<RefusedEntry>,
    /// Pass this as `after` to get the next page; `None` at the end.
    pub next: Option<i64>,
}
