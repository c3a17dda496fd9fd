//! A copy of a session as the vault has it.

use rusqlite::{OptionalExtension, Row, params};

use crate::{
    backup::{
        FailureReason,
        copies::{Copy, Presence},
    },
    ids::{EntryId, RoomRowId, VersionRowId},
    vault::{
        Connection, VaultError,
        seal::{Fingerprint, VaultKeys},
        session_index,
    },
};

/// Standings as the vault keeps them. Only what counts goes to sinks and exports.
pub(in crate::vault) const COUNTS: i64 = 0;
pub(super) const LATER_PLACE: i64 = 1;
pub(super) const TIED: i64 = 2;
pub(in crate::vault) const UNCONNECTED: i64 = 3;
/// Not compared yet.
pub(in crate::vault) const UNSETTLED: i64 = 4;
/// It begins later than one that has left the vault, and cannot be compared with it: nobody needs it.
pub(in crate::vault) const NOT_NEEDED: i64 = 5;

/// A copy as the vault has it.
#[derive(Clone, Debug)]
pub(crate) struct StoredCopy {
    pub(crate) entry: EntryId,
    /// Row id.
    pub(crate) version: VersionRowId,
    /// Row id: a room of one version.
    pub(crate) room: RoomRowId,
    /// The room, in whatever version.
    pub(crate) room_hash: [u8; 16],
    /// Empty where it is not in the vault any more.
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

/// How far a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CopyState {
    Unopened,
    Failed(FailureReason),
    Opened {
        first_index: u32,
        shared_history: bool,
        /// `None` where it was opened before fingerprints were kept.
        fingerprint: Option<Fingerprint>,
    },
}

/// What a copy that has been opened turns out to be, held against the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// It connects to none of the others.
    Founds,
    /// It connects to that class.
    Joins(EntryId),
    /// It begins later than one that has left the vault: there is nothing to compare it with, and no need of it.
    NotNeeded,
}

/// What became of a copy that goes to the sink, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Judged {
    pub(crate) entry: EntryId,
    /// Whether sinks and exports have it.
    pub(crate) counts: bool,
    /// Whether any copy that connects says that it may be shared.
    pub(crate) shared_history: bool,
}

impl StoredCopy {
    /// What is decided from; `None` where it is not opened, or not compared.
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

    /// Puts it into a class for the time of a look-up; `None` where nobody can tell which.
    pub(crate) fn set_class(&mut self, class: Option<EntryId>) {
        self.class = class;
        self.standing = if class.is_some() { UNCONNECTED } else { UNSETTLED };
    }

    /// Whether sinks and exports have it.
    pub(crate) fn counts(&self) -> bool {
        self.standing == COUNTS && self.is_opened()
    }

    /// Whether it is the copy that look-ups have in the room of one that does not connect to it.
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

/// Any number that tells rooms apart.
pub(crate) fn room_number(room_hash: &[u8; 16]) -> i64 {
    i64::from_le_bytes(room_hash[..8].try_into().expect("eight of sixteen bytes"))
}

/// A room, by its hash, and a session in it.
pub(in crate::vault) type Name = ([u8; 16], Vec<u8>);

/// The room and the session of an entry.
pub(in crate::vault) fn name_of(connection: &rusqlite::Connection, entry: EntryId) -> Result<Option<Name>, VaultError> {
    let mut statement = connection.prepare_cached(
        "SELECT hash, session FROM (SELECT room, session FROM entry WHERE id = ?1
            UNION ALL SELECT room, session FROM trimmed WHERE entry = ?1) AS known JOIN room ON room.id = known.room",
    )?;
    Ok(statement
        .query_row([entry], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}

/// Reads the copies of a session: those in the room first, then those elsewhere, each in the order of arrival.
pub(super) fn read(
    connection: &rusqlite::Connection,
    keys: &VaultKeys,
    room_hash: &[u8; 16],
    session: &[u8],
    with_bodies: bool,
) -> Result<Vec<StoredCopy>, VaultError> {
    let places = session_index::places(connection, keys.name_hash(session, room_hash))?;
    let entries = places.of_name.into_iter().chain(places.elsewhere);
    read_entries(connection, entries, room_hash, session, with_bodies)
}

pub(super) fn read_entries(
    connection: &rusqlite::Connection,
    entries: impl IntoIterator<Item = EntryId>,
    room_hash: &[u8; 16],
    session: &[u8],
    with_bodies: bool,
) -> Result<Vec<StoredCopy>, VaultError> {
    let body = if with_bodies { "body" } else { "x''" };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT known.room, version, hash, {body} AS body, presence, opened.entry IS NOT NULL AS is_opened, failure,
             first_index, shared_history, fingerprint, class, ifnull(proof, 0) AS proof, ifnull(tied, 0) AS tied,
             ifnull(standing, 0) AS standing, ifnull(is_extra, 0) AS is_extra, delivered.entry IS NOT NULL AS is_delivered,
             refusal IS NOT NULL AS is_refused
         FROM (SELECT id, room, session, body, 0 AS presence FROM entry WHERE id = ?1
               UNION ALL SELECT entry, room, session, x'', 1 + is_forgotten FROM trimmed WHERE entry = ?1) AS known
         JOIN room ON room.id = known.room LEFT JOIN opened ON opened.entry = known.id
         LEFT JOIN copy ON copy.entry = known.id LEFT JOIN delivered ON delivered.entry = known.id
         WHERE session = ?2"
    ))?;
    let mut copies = Vec::new();
    for entry in entries {
        let copy = statement.query_row(params![entry, session], |row| copy_from_row(entry, row));
        copies.extend(copy.optional()?);
    }
    copies.sort_by_key(|copy| (copy.room_hash != *room_hash, copy.entry));
    copies.dedup_by_key(|copy| copy.entry);
    Ok(copies)
}

fn copy_from_row(entry: EntryId, row: &Row<'_>) -> rusqlite::Result<StoredCopy> {
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
        body: row.get("body")?,
        presence: match row.get::<_, i64>("presence")? {
            0 => Presence::Here,
            1 => Presence::Trimmed,
            _ => Presence::Forgotten,
        },
        state,
        // One that stands alone is a class of its own.
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
