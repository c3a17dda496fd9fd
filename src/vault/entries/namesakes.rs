//! Finds the entries in the vault that have the session of an incoming entry, and decides whether the incoming
//! entry is stored.

use rusqlite::{OptionalExtension, Transaction, params};

use super::batch::NewEntry;
use crate::{
    backup::limits::MAX_CLASSES_OF_A_SESSION,
    ids::{EntryId, RoomRowId},
    vault::{
        VaultError, VaultTx,
        bodies::{BODY, Stored},
        copies,
        seal::NameHash,
        session_index::Places,
    },
};

/// An entry that is about to be written, with what identifies it in the vault.
pub(super) struct Incoming<'a> {
    pub(super) room: RoomRowId,
    pub(super) room_hash: [u8; 16],
    pub(super) session: &'a [u8],
    pub(super) name: NameHash,
    pub(super) entry: &'a NewEntry,
    pub(super) body: &'a [u8],
}

/// An entry in the vault that has the session of an incoming entry.
pub(super) struct Namesake {
    pub(super) id: EntryId,
    /// Whether it is the same entry, which means the same room and version. A forgotten entry is not known.
    pub(super) is_known: bool,
    in_same_room: bool,
    is_opened: bool,
}

/// Returns the entries in the vault that have the session of an incoming entry, in every room and version: a server
/// could otherwise move keys to another room by announcing the version again.
pub(super) fn namesakes(
    transaction: &Transaction<'_>,
    incoming: &Incoming<'_>,
    places: Places,
) -> Result<Vec<Namesake>, VaultError> {
    let mut statement = transaction.prepare_cached(
        "SELECT other.id = ?2 AND NOT is_forgotten, other.hash = ?3,
             EXISTS (SELECT 1 FROM opened WHERE opened.entry = ?1 AND failure = 0)
         FROM (SELECT room, session, 0 AS is_forgotten FROM entry WHERE id = ?1
               UNION ALL SELECT room, session, is_forgotten FROM trimmed WHERE entry = ?1) AS known
         JOIN room AS other ON other.id = known.room WHERE session = ?4",
    )?;
    let mut namesakes = Vec::new();
    // If the session is in more rooms than the index returns, other rooms are left out here. The entry is compared
    // with some of them after it is opened.
    let elsewhere = if places.is_flooded {
        Vec::new()
    } else {
        places.elsewhere
    };
    for id in places.of_name.into_iter().chain(elsewhere) {
        let found = statement
            .query_row(
                params![id, incoming.room, incoming.room_hash, incoming.session],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .optional()?;
        if let Some((is_known, in_same_room, is_opened)) = found {
            namesakes.push(Namesake {
                id,
                is_known,
                in_same_room,
                is_opened,
            });
        }
    }
    Ok(namesakes)
}

/// Whether an incoming copy may be better than the vault's copies of the same entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Comes {
    /// The incoming copy is identical to this one, and is not stored.
    Same(EntryId),
    /// The incoming copy is no better, and is not stored.
    Known,
    /// The incoming copy may be better and is stored. The failed entries are removed.
    Better { failed: Vec<EntryId> },
}

/// Compares an incoming copy with the vault's copies of the same entry. The claims of the copy are only a hint;
/// opening it shows whether they are true.
pub(super) fn compare(
    transaction: &VaultTx<'_>,
    known: &[EntryId],
    incoming: &Incoming<'_>,
) -> Result<Comes, VaultError> {
    // A copy that does not connect to the copy that counts must not keep better copies out of the vault.
    let mut state = transaction.prepare_cached(
        "SELECT failure, first_index, ifnull(standing, 0) = ?2 FROM opened LEFT JOIN copy USING (entry) WHERE entry = ?1",
    )?;
    let mut body_of = transaction.prepare_cached(&format!("SELECT {BODY} FROM entry WHERE id = ?1"))?;
    let claimed = incoming.entry.claims.first_message_index;
    let (mut failed, mut unopened) = (Vec::new(), 0);
    for &entry in known {
        let mut rows = body_of.query([entry])?;
        if let Some(row) = rows.next()?
            && transaction.bodies.is(Stored::from_row(row, 0)?, incoming.body)?
        {
            return Ok(Comes::Same(entry));
        }
        let found = state.query_row(params![entry, copies::UNCONNECTED], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Option<u32>>(1)?, row.get(2)?))
        });
        match found.optional()? {
            // Both copies wait for the decryption key. Opening them shows which one is genuine.
            None => unopened += 1,
            Some((0, first_index, false)) if !incoming.entry.takes_any => {
                if claimed.is_none_or(|claimed| Some(claimed) >= first_index) {
                    return Ok(Comes::Known);
                }
            }
            Some((0, ..)) => {}
            Some(_) => failed.push(entry),
        }
    }
    match unopened >= MAX_CLASSES_OF_A_SESSION {
        true => Ok(Comes::Known),
        false => Ok(Comes::Better { failed }),
    }
}

/// Records that a new entry has the same session as other entries. Entries that one answer lists under two rooms
/// are tied. Earlier entries keep their standing until the new entry is opened.
pub(super) fn note_copies(
    transaction: &Transaction<'_>,
    id: EntryId,
    is_extra: bool,
    namesakes: &[Namesake],
    answer_began: EntryId,
) -> Result<(), VaultError> {
    let mut insert = transaction
        .prepare_cached("INSERT OR IGNORE INTO copy (entry, standing, is_extra, tied) VALUES (?1, ?2, ?3, ?4)")?;
    let mut tie = transaction.prepare_cached("UPDATE copy SET tied = ?2 WHERE entry = ?1 AND tied = 0")?;
    let mut tied = EntryId::NONE;
    for namesake in namesakes {
        // An opened entry counts until its session is judged again.
        let standing = match namesake.is_opened {
            true => copies::COUNTS,
            false => copies::UNSETTLED,
        };
        insert.execute(params![namesake.id, standing, false, EntryId::NONE])?;
        if !namesake.in_same_room && namesake.id >= answer_began {
            tied = answer_began;
            tie.execute([namesake.id, answer_began])?;
        }
    }
    insert.execute(params![id, copies::UNSETTLED, is_extra, tied])?;
    Ok(())
}

/// Removes an entry that failed to open from the vault, because another entry replaces it.
pub(super) fn forget_failed(transaction: &Transaction<'_>, entry: EntryId) -> Result<(), VaultError> {
    transaction
        .prepare_cached(
            "UPDATE backup_version SET fetched = fetched - 1, failed = failed - 1
             WHERE id = (SELECT version FROM room JOIN entry ON room.id = entry.room WHERE entry.id = ?1)
             AND NOT EXISTS (SELECT 1 FROM copy WHERE entry = ?1 AND is_extra)",
        )?
        .execute([entry])?;
    for sql in [
        "UPDATE room SET entries = entries - 1 WHERE id = (SELECT room FROM entry WHERE id = ?1)",
        "DELETE FROM copy WHERE entry = ?1",
        "DELETE FROM opened WHERE entry = ?1",
        "DELETE FROM entry WHERE id = ?1",
        "UPDATE job SET last_forgotten = max(last_forgotten, ?1)",
    ] {
        transaction.prepare_cached(sql)?.execute([entry])?;
    }
    Ok(())
}

pub(super) fn known_ids(known: &[&Namesake]) -> Vec<EntryId> {
    known.iter().map(|known| known.id).collect()
}
