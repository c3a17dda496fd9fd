//! Queries and updates of copies for the rest of the crate.

use rusqlite::{Transaction, params};

use super::{
    change::{change, judged},
    place::{note, place},
    row::{COUNTS, Judged, Placement, StoredCopy, name_of, read},
};
use crate::{
    backup::{FailureReason, session_id::SessionId},
    ids::{EntryId, VersionRowId},
    vault::{Connection, VaultError, VaultTx, Writer},
};

impl Connection {
    /// Returns the copies of a session in all rooms, those in `room_id` first.
    pub(crate) fn copies(&self, room_id: &str, session: &SessionId) -> Result<Vec<StoredCopy>, VaultError> {
        let (room_hash, session) = (self.keys.room_hash(room_id), session.to_bytes());
        self.look_up(|| read(&self.inner, &self.keys, &room_hash, &session, Some(&self.bodies)))
    }

    /// Returns all copies of the session of an entry, those in the entry's room first.
    pub(crate) fn copies_of_entry(&self, entry: EntryId) -> Result<Vec<StoredCopy>, VaultError> {
        self.look_up(|| match name_of(&self.inner, entry)? {
            Some((room_hash, session)) => read(&self.inner, &self.keys, &room_hash, &session, Some(&self.bodies)),
            None => Ok(Vec::new()),
        })
    }

    /// Returns the id of the room that a copy is listed under. Copies can be found by a look-up in another room.
    pub(crate) fn room_of_copy(&self, copy: &StoredCopy) -> Result<String, VaultError> {
        Ok(self.room(copy.room)?.room_id)
    }

    pub(crate) fn room_hash(&self, room_id: &str) -> [u8; 16] {
        self.keys.room_hash(room_id)
    }

    /// Returns the session of an entry; `None` if the vault does not know the entry.
    pub(crate) fn session_of(&self, entry: EntryId) -> Result<Option<SessionId>, VaultError> {
        Ok(name_of(&self.inner, entry)?.map(|(_, session)| SessionId::from_bytes(&session)))
    }

    /// Returns at most `limit` entries after `after` that have been opened and not compared yet.
    pub(crate) fn unsettled_copies(&self, after: EntryId, limit: usize) -> Result<Vec<EntryId>, VaultError> {
        let mut statement = self.inner.prepare_cached(
            "SELECT copy.entry FROM copy JOIN opened ON opened.entry = copy.entry AND failure = 0
             WHERE standing = 4 AND copy.entry > ?1 ORDER BY copy.entry LIMIT ?2",
        )?;
        let entries = statement.query_map(params![after, limit as i64], |row| row.get(0))?;
        Ok(entries.collect::<Result<_, _>>()?)
    }

    /// Returns the number of copies that do not connect to the copy that counts.
    pub(crate) fn unconnected_copies(&self) -> Result<u64, VaultError> {
        let sql = "SELECT count(*) FROM copy JOIN opened ON opened.entry = copy.entry AND failure = 0
                   WHERE standing = 3 AND standing <> 0";
        let count: i64 = self.inner.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        Ok(count.cast_unsigned())
    }

    /// Returns the versions that hold copies back for a cause that the host has not been told of: the row id, the
    /// bits of all present causes, and the bits of the causes that the host has been told of. Bit 1 means that a
    /// session is under two rooms, bit 2 that a copy does not connect.
    pub(crate) fn conflicts_to_tell(&self) -> Result<Vec<(VersionRowId, i64, i64)>, VaultError> {
        // `CROSS JOIN` begins with the few copies: SQLite would begin with all entries. `standing <> 0` is the condition
        // of the index.
        let mut statement = self.inner.prepare_cached(
            "SELECT room.version, max(standing IN (1, 2)) + 2 * max(standing = 3) AS bits, told_conflicts
             FROM copy CROSS JOIN opened ON opened.entry = copy.entry AND failure = 0
             LEFT JOIN entry ON entry.id = copy.entry LEFT JOIN trimmed ON trimmed.entry = copy.entry
             CROSS JOIN room ON room.id = coalesce(entry.room, trimmed.room)
             JOIN backup_version ON backup_version.id = room.version
             WHERE standing IN (1, 2, 3) AND standing <> 0 GROUP BY room.version HAVING bits & ~told_conflicts",
        )?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Records that an event proves a copy. The class of the copy then ranks before all others.
    pub(crate) fn prove(&mut self, entry: EntryId) -> Result<(), VaultError> {
        self.write(|tx| {
            let Some((room_hash, session)) = name_of(tx, entry)? else {
                return Ok(());
            };
            let mark = |_: &[StoredCopy]| {
                note(tx, entry, COUNTS)?;
                tx.execute(
                    "UPDATE copy SET class = ifnull(class, entry), proof = 1 + (SELECT max(0, max(proof)) FROM copy)
                     WHERE entry = ?1",
                    [entry],
                )?;
                Ok(())
            };
            change(tx, &room_hash, &session, mark)?;
            look_again(tx)
        })
    }
}

impl Writer {
    /// Records the result of comparing an entry with other copies, and judges all copies of its session again.
    /// Returns the judgement of the entry; `None` if the entry is no longer in the vault, because another copy has
    /// replaced it.
    pub(crate) fn settle_copy(&mut self, entry: EntryId, placement: Placement) -> Result<Option<Judged>, VaultError> {
        self.write(|tx| settle(tx, entry, placement))
    }

    /// Records the causes of conflicts, as bits, that the host has been told of.
    pub(crate) fn mark_conflicts_told(&mut self, version: VersionRowId, bits: i64) -> Result<(), VaultError> {
        self.write(|transaction| {
            transaction.execute(
                "UPDATE backup_version SET told_conflicts = told_conflicts | ?2 WHERE id = ?1",
                params![version, bits],
            )?;
            Ok(())
        })
    }

    /// Ranks copies behind all others, because the app's crypto has received a copy directly that does not connect
    /// to them. A copy that an event has proved keeps its rank.
    pub(crate) fn demote_copies(&mut self, entries: &[EntryId]) -> Result<(), VaultError> {
        if entries.is_empty() {
            return Ok(());
        }
        self.write(|tx| {
            for &entry in entries {
                let Some((room_hash, session)) = name_of(tx, entry)? else {
                    continue;
                };
                let mark = |_: &[StoredCopy]| {
                    note(tx, entry, COUNTS)?;
                    tx.execute(
                        "UPDATE copy SET class = ifnull(class, entry), proof = -1 WHERE entry = ?1 AND proof <= 0",
                        [entry],
                    )?;
                    Ok(())
                };
                change(tx, &room_hash, &session, mark)?;
            }
            look_again(tx)
        })
    }

    /// Records that the keys of opened entries cannot be used after all. Returns whether other copies of them may count
    /// now, so that delivery has to look again.
    pub(crate) fn mark_unusable(&mut self, entries: &[EntryId]) -> Result<bool, VaultError> {
        if entries.is_empty() {
            return Ok(false);
        }
        self.write(|tx| {
            let mut has_others = false;
            for &entry in entries {
                let Some((room_hash, session)) = name_of(tx, entry)? else {
                    continue;
                };
                let reason = FailureReason::InvalidSessionKey.code();
                let copies = change(tx, &room_hash, &session, |_| {
                    tx.execute(
                        "UPDATE opened SET failure = ?2, first_index = NULL, fingerprint = NULL WHERE entry = ?1",
                        params![entry, reason],
                    )?;
                    Ok(())
                })?;
                has_others |= copies.len() > 1;
            }
            if has_others {
                look_again(tx)?;
            }
            Ok(has_others)
        })
    }
}

/// Makes delivery examine all entries again from the start, because copies that it passed over may count now.
fn look_again(transaction: &Transaction<'_>) -> Result<(), VaultError> {
    transaction.execute("UPDATE job SET delivered_through = 0", [])?;
    Ok(())
}

/// Puts an entry into its class, and judges the copies of its session again. Returns the judgement of the entry;
/// `None` if the entry is no longer in the vault, because another copy has replaced it.
pub(in crate::vault) fn settle(
    tx: &VaultTx<'_>,
    entry: EntryId,
    placement: Placement,
) -> Result<Option<Judged>, VaultError> {
    let Some((room_hash, session)) = name_of(tx, entry)? else {
        return Ok(None);
    };
    let place = |copies: &[StoredCopy]| place(tx, copies, entry, placement);
    let copies = change(tx, &room_hash, &session, place)?;
    Ok(judged(&copies, entry))
}
