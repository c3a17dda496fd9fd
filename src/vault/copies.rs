//! A better copy of a key that the vault has: a client that had the session from an earlier message, or sound where another
//! one was not, has replaced it in the backup since.
//!
//! A copy that opens is never given up for one that has only come. It stays, and whoever looks for the key takes the one that
//! begins earliest; what has failed makes way.

use rusqlite::{OptionalExtension, Transaction};

use super::VaultError;

/// The rows of `opened` whose entries may have a better copy: they have failed, or do not begin with the first message.
pub(super) const MAY_BE_BETTER: &str = "(failure <> 0 OR first_index > 0)";

/// What a copy that comes means to those of the same session, room and version that are here.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Comes {
    /// Nothing: it is one of them, or no better.
    Known,
    /// It may be better. These have failed, and make way.
    Better { failed: Vec<i64> },
}

/// Compares a copy with those that are here. What it claims is a hint: whether it is true shows when it is opened.
pub(super) fn compare(
    transaction: &Transaction<'_>,
    known: &[i64],
    claimed_index: Option<u32>,
    body: &[u8],
) -> Result<Comes, VaultError> {
    let mut state = transaction.prepare_cached(&format!(
        "SELECT failure, first_index FROM opened WHERE entry = ?1 AND {MAY_BE_BETTER}"
    ))?;
    let mut is_same = transaction.prepare_cached("SELECT 1 FROM entry WHERE id = ?1 AND body = ?2")?;
    let mut failed = Vec::new();
    for &entry in known {
        let found = state.query_row([entry], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Option<u32>>(1)?))
        });
        match found.optional()? {
            // It begins with the first message, or has not had its turn.
            None => return Ok(Comes::Known),
            Some((0, first_index)) if claimed_index.is_none_or(|claimed| Some(claimed) >= first_index) => {
                return Ok(Comes::Known);
            }
            Some((failure, _)) => {
                if is_same.exists((entry, body))? {
                    return Ok(Comes::Known);
                }
                if failure != 0 {
                    failed.push(entry);
                }
            }
        }
    }
    Ok(Comes::Better { failed })
}

/// Takes an entry that has failed out of the vault.
pub(super) fn forget_failed(transaction: &Transaction<'_>, entry: i64) -> Result<(), VaultError> {
    transaction
        .prepare_cached(
            "UPDATE backup_version SET fetched = fetched - 1, failed = failed - 1,
                 conflicts = conflicts - EXISTS (SELECT 1 FROM conflict WHERE entry = ?1)
             WHERE id = (SELECT version FROM room JOIN entry ON room.id = entry.room WHERE entry.id = ?1)",
        )?
        .execute([entry])?;
    for sql in [
        "UPDATE room SET entries = entries - 1 WHERE id = (SELECT room FROM entry WHERE id = ?1)",
        "DELETE FROM conflict WHERE entry = ?1",
        "DELETE FROM opened WHERE entry = ?1",
        "DELETE FROM entry WHERE id = ?1",
        "UPDATE job SET last_forgotten = max(last_forgotten, ?1)",
    ] {
        transaction.prepare_cached(sql)?.execute([entry])?;
    }
    Ok(())
}

/// Says that a copy stands beside others of its room and version, that many of which have made way for it.
pub(super) fn note_copy(transaction: &Transaction<'_>, room: i64, made_way: usize) -> Result<(), VaultError> {
    if made_way > 0 {
        return Ok(());
    }
    // The server has one of them.
    for sql in [
        "UPDATE room SET copies = copies + 1 WHERE id = ?1",
        "UPDATE backup_version SET surplus = surplus + 1 WHERE id = (SELECT version FROM room WHERE id = ?1)",
    ] {
        transaction.prepare_cached(sql)?.execute([room])?;
    }
    Ok(())
}
