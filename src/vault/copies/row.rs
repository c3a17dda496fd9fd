//! One copy of a session, and how it is read from the vault.

use rusqlite::{OptionalExtension, Row, params};

use crate::{
    backup::{
        FailureReason,
        copies::{Copy, Presence},
    },
    ids::{EntryId, RoomRowId, VersionRowId},
    vault::{
        Connection, VaultError,
        bodies::{BODY, Bodies, Stored},
        seal::{Fingerprint, VaultKeys},
        session_index,
    },
};

/// The stored standing of a copy that counts. Only these copies go to sinks and exports.
pub(in crate::vault) const COUNTS: i64 = 0;
pub(super) const LATER_PLACE: i64 = 1;
pub(super) const TIED: i64 = 2;
pub(in crate::vault) const UNCONNECTED: i64 = 3;
/// The stored standing of a copy that has not been compared yet.
pub(in crate::vault) const UNSETTLED: i64 = 4;
/// The stored standing of a copy that begins later than a copy that has left the vault. The two cannot be compared,
/// and the later copy is not needed.
pub(in crate::vault) const NOT_NEEDED: i64 = 5;

/// A copy of a session, with everything that the vault knows about it.
#[derive(Clone, Debug)]
pub(crate) struct StoredCopy {
    pub(crate) entry: EntryId,
    pub(crate) version: VersionRowId,
    pub(crate) room: RoomRowId,
    /// Identifies the room across versions.
    pub(crate) room_hash: [u8; 16],
    /// Empty if the key is no longer in the vault, or if the copy was read without its body.
    pub(crate) body: Vec<u8>,
    pub(crate) presence: Presence,
    pub(crate) state: CopyState,
    pub(crate) class: Option<EntryId>,
    pub(crate) proof: i64,
    pub(crate) tied: EntryId,
    pub(super) standing: i64,
    pub(crate) is_extra: bool,
    pub(super) is_delivered: bool,
    pub(super) is_refused: bool,
}

/// How far a copy has been processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CopyState {
    Unopened,
    Failed(FailureReason),
    Opened {
        first_index: u32,
        shared_history: bool,
        /// `None` if the copy was opened before the vault stored fingerprints.
        fingerprint: Option<Fingerprint>,
    },
}

/// The result of comparing an opened copy with the other copies in its room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// The copy connects to no other copy, and founds a class.
    Founds,
    /// The copy connects to the copies of this class.
    Joins(EntryId),
    /// The copy begins later than a copy that has left the vault. It cannot be compared with that copy, and is not
    /// needed.
    NotNeeded,
}

/// The judgement of a copy, which decides whether the sink receives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Judged {
    pub(crate) entry: EntryId,
    /// Whether sinks and exports receive the copy.
    pub(crate) counts: bool,
    /// Whether any copy that connects to it says that the key may be shared.
    pub(crate) shared_history: bool,
}

impl StoredCopy {
    /// Returns what the decision about the copy is based on; `None` if the copy is not opened, not compared, or not
    /// needed.
    pub(crate) fn facts(&self) -> Option<Copy> {
        let CopyState::Opened {
            first_index,
            shared_history,
            ..
        } = self.state
        else {
            return None;
        };
        if self.standing == NOT_NEEDED {
            return None;
        }
        Some(Copy {
            entry: self.entry,
            room: room_number(&self.room_hash),
            class: self.class?,
            first_index,
            shared_history,
            presence: self.presence,
            proof: self.proof,
            is_delivered: self.is_delivered,
            tied: self.tied,
        })
    }

    /// Sets the class of the copy for one look-up, without storing it; `None` if the class cannot be determined.
    pub(crate) fn set_class(&mut self, class: Option<EntryId>) {
        self.class = class;
        self.standing = if class.is_some() { UNCONNECTED } else { UNSETTLED };
    }

    /// Whether sinks and exports receive the copy.
    pub(crate) fn counts(&self) -> bool {
        self.standing == COUNTS && self.is_opened()
    }

    /// Whether look-ups in the room use this copy instead of `entry`, which does not connect to it.
    pub(crate) fn is_rival_of(&self, entry: EntryId, room_id: &str, vault: &Connection) -> bool {
        self.entry != entry
            && self.room_hash == vault.keys.room_hash(room_id)
            && self.is_opened()
            && matches!(self.standing, COUNTS | LATER_PLACE | TIED)
    }

    pub(crate) fn is_opened(&self) -> bool {
        matches!(self.state, CopyState::Opened { .. })
    }
}

/// Returns a number that tells rooms apart, the same in every version.
pub(crate) fn room_number(room_hash: &[u8; 16]) -> i64 {
    i64::from_le_bytes(room_hash[..8].try_into().expect("the slice has eight bytes"))
}

/// The hash of a room, and a session in that room.
pub(in crate::vault) type Name = ([u8; 16], Vec<u8>);

/// Returns the room hash and the session of an entry; `None` if the vault does not know the entry.
pub(in crate::vault) fn name_of(connection: &rusqlite::Connection, entry: EntryId) -> Result<Option<Name>, VaultError> {
    let mut statement = connection.prepare_cached(
        "SELECT hash, session FROM (SELECT room, session FROM entry WHERE id = ?1
            UNION ALL SELECT room, session FROM trimmed WHERE entry = ?1) AS known JOIN room ON room.id = known.room",
    )?;
    Ok(statement
        .query_row([entry], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}

/// Reads the copies of a session: first those in the room, then those in other rooms, each in order of arrival. Without
/// `bodies`, their bodies stay empty.
pub(super) fn read(
    connection: &rusqlite::Connection,
    keys: &VaultKeys,
    room_hash: &[u8; 16],
    session: &[u8],
    bodies: Option<&Bodies>,
) -> Result<Vec<StoredCopy>, VaultError> {
    let places = session_index::places(connection, keys.name_hash(session, room_hash))?;
    let entries = places.of_name.into_iter().chain(places.elsewhere);
    read_entries(connection, entries, room_hash, session, bodies)
}

pub(super) fn read_entries(
    connection: &rusqlite::Connection,
    entries: impl IntoIterator<Item = EntryId>,
    room_hash: &[u8; 16],
    session: &[u8],
    bodies: Option<&Bodies>,
) -> Result<Vec<StoredCopy>, VaultError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {BODY}, known.room, version, hash, presence, opened.entry IS NOT NULL AS is_opened, failure,
             first_index, shared_history, fingerprint, class, ifnull(proof, 0) AS proof, ifnull(tied, 0) AS tied,
             ifnull(standing, 0) AS standing, ifnull(is_extra, 0) AS is_extra, delivered.entry IS NOT NULL AS is_delivered,
             refusal IS NOT NULL AS is_refused
         FROM (SELECT id, room, session, {BODY}, 0 AS presence FROM entry WHERE id = ?1
               UNION ALL SELECT entry, room, session, x'', NULL, NULL, NULL, 1 + is_forgotten FROM trimmed
               WHERE entry = ?1) AS known
         JOIN room ON room.id = known.room LEFT JOIN opened ON opened.entry = known.id
         LEFT JOIN copy ON copy.entry = known.id LEFT JOIN delivered ON delivered.entry = known.id
         WHERE session = ?2"
    ))?;
    let mut copies = Vec::new();
    for entry in entries {
        let mut rows = statement.query(params![entry, session])?;
        if let Some(row) = rows.next()? {
            let body = match bodies {
                Some(bodies) => bodies.read(Stored::from_row(row, 0)?)?,
                None => Vec::new(),
            };
            copies.push(copy_from_row(entry, body, row)?);
        }
    }
    copies.sort_by_key(|copy| (copy.room_hash != *room_hash, copy.entry));
    copies.dedup_by_key(|copy| copy.entry);
    Ok(copies)
}

fn copy_from_row(entry: EntryId, body: Vec<u8>, row: &Row<'_>) -> rusqlite::Result<StoredCopy> {
    let failure: Option<i64> = row.get("failure")?;
    let state = match failure {
        None => CopyState::Unopened,
        Some(0) => CopyState::Opened {
            first_index: row.get::<_, Option<u32>>("first_index")?.unwrap_or(0),
            shared_history: row.get::<_, Option<bool>>("shared_history")?.unwrap_or(false),
            fingerprint: row.get("fingerprint")?,
        },
        Some(code) => CopyState::Failed(FailureReason::from_code(code).unwrap_or(FailureReason::Malformed)),
    };
    Ok(StoredCopy {
        entry,
        version: row.get("version")?,
        room: row.get("room")?,
        room_hash: row.get("hash")?,
        body,
        presence: match row.get::<_, i64>("presence")? {
            0 => Presence::Here,
            1 => Presence::Trimmed,
            _ => Presence::Forgotten,
        },
        state,
        // A copy that counts and has no stored class is a class of its own.
        class: match row.get::<_, i64>("standing")? {
            COUNTS => Some(row.get::<_, Option<EntryId>>("class")?.unwrap_or(entry)),
            _ => row.get("class")?,
        },
        proof: row.get("proof")?,
        tied: row.get("tied")?,
        standing: row.get("standing")?,
        is_extra: row.get("is_extra")?,
        is_delivered: row.get("is_delivered")?,
        is_refused: row.get("is_refused")?,
    })
}
