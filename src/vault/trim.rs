//! Removes entries from the vault that the sink has taken, and makes them due for fetching again if the app's crypto
//! store is a new one. Works in small steps, each in its own transaction: half a million rows at once would hold the
//! write lock for seconds.

use rusqlite::{Transaction, params};

use super::{Connection, VaultError, Writer};
use crate::ids::{EntryId, RoomRowId};

/// Number of entries in one step, which takes about 30 ms.
const STEP: i64 = 1_000;
/// Maximum number of bytes that one step returns to the file system.
const BYTES_OF_A_STEP: u32 = 2 * 1024 * 1024;

impl Connection {
    /// Whether there are delivered entries that trimming has not looked at yet.
    pub(crate) fn can_trim(&self) -> Result<bool, VaultError> {
        let sql = "SELECT trimmed_through < (SELECT coalesce(max(entry), 0) FROM delivered) FROM job";
        Ok(self.inner.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    /// Returns the number of keys that were removed from the vault and are not due for fetching again.
    pub(crate) fn trimmed_keys(&self) -> Result<u64, VaultError> {
        let sql = "SELECT count(*) FROM trimmed WHERE NOT is_forgotten";
        let count: i64 = self.inner.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        Ok(count.cast_unsigned())
    }

    /// Whether a run has to fetch trimmed entries again.
    pub(crate) fn has_to_refetch(&self) -> Result<bool, VaultError> {
        let sql = "SELECT refetch FROM job";
        Ok(self.inner.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }
}

impl Writer {
    /// Returns a few unused pages to the file system.
    fn give_room_back(&mut self) -> Result<(), VaultError> {
        self.write(|transaction| {
            let page: u32 = transaction.query_row("PRAGMA page_size", [], |row| row.get(0))?;
            let mut vacuum = transaction.prepare(&format!("PRAGMA incremental_vacuum({})", BYTES_OF_A_STEP / page))?;
            let mut pages = vacuum.query([])?;
            // Each row that is read frees one page.
            while pages.next()?.is_some() {}
            Ok(())
        })
    }

    /// Removes the next delivered entries, and returns unused pages to the file system. Returns false if there are
    /// no more entries to remove.
    pub(crate) fn trim_step(&mut self) -> Result<bool, VaultError> {
        let goes_on = self.write(|transaction| {
            let (from, settled): (EntryId, EntryId) = transaction.query_row(
                "SELECT trimmed_through, (SELECT coalesce(max(entry), 0) FROM delivered) FROM job",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            let through = settled.min(EntryId(from.0 + STEP));
            // Entries that were refused, have failed or are held back stay.
            // Rows are moved to another table instead of being emptied, because only deleted rows free their pages.
            for sql in [
                "INSERT INTO trimmed (entry, room, session) SELECT id, room, session FROM entry
                 WHERE id > ?1 AND id <= ?2
                 AND EXISTS (SELECT 1 FROM delivered WHERE delivered.entry = id AND refusal IS NULL)
                 AND NOT EXISTS (SELECT 1 FROM copy WHERE copy.entry = id AND standing <> 0)",
                "DELETE FROM entry WHERE id > ?1 AND id <= ?2
                 AND EXISTS (SELECT 1 FROM trimmed WHERE trimmed.entry = id)",
            ] {
                transaction.prepare_cached(sql)?.execute([from, through])?;
            }
            transaction.execute("UPDATE job SET trimmed_through = max(trimmed_through, ?1)", [through])?;
            Ok(through < settled)
        })?;
        self.give_room_back()?;
        Ok(goes_on)
    }

    /// Forgets the next trimmed entries, so that they are fetched again. The data that identifies them stays,
    /// because otherwise the server could return other keys in their place. Returns false if there are no more
    /// entries to forget.
    pub(crate) fn refetch_step(&mut self) -> Result<bool, VaultError> {
        let goes_on = self.write(|transaction| {
            let from: EntryId = transaction.query_row("SELECT refetched_through FROM job", [], |row| row.get(0))?;
            let last = "SELECT coalesce(max(entry), 0) FROM trimmed WHERE NOT is_forgotten";
            let last: EntryId = transaction.query_row(last, [], |row| row.get(0))?;
            let through = last.min(EntryId(from.0 + STEP));
            forget_trimmed(transaction, from, through)?;
            let goes_on = through < last;
            transaction.execute(
                "UPDATE job SET refetched_through = ?1, refetch = ?2, last_forgotten = max(last_forgotten, ?3)",
                params![if goes_on { through } else { EntryId::NONE }, goes_on, last],
            )?;
            Ok(goes_on)
        })?;
        self.give_room_back()?;
        Ok(goes_on)
    }
}

/// Forgets the trimmed entries after `from` and up to `through`. Begins a new era of their versions, because
/// answers that are under way were requested before these entries were needed again.
fn forget_trimmed(transaction: &Transaction<'_>, from: EntryId, through: EntryId) -> Result<(), VaultError> {
    let mut trimmed = transaction.prepare_cached(
        "SELECT room, count(*), count(*) - total(ifnull(is_extra, 0)) FROM trimmed LEFT JOIN copy USING (entry)
         WHERE entry > ?1 AND entry <= ?2 AND NOT is_forgotten GROUP BY room",
    )?;
    let rooms: Vec<(RoomRowId, i64, f64)> = trimmed
        .query_map([from, through], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    for (room, entries, counted) in rooms {
        let counted = counted as i64;
        transaction.execute(
            "UPDATE room SET complete = 0, entries = entries - ?2 WHERE id = ?1",
            params![room, entries],
        )?;
        transaction.execute(
            "UPDATE backup_version SET era = era + 1, settled = 0, settled_in = 0, is_carried = 1,
                 fetched = fetched - ?2, opened = opened - ?2, names = max(0, names - ?2)
             WHERE id = (SELECT version FROM room WHERE id = ?1)",
            params![room, counted],
        )?;
    }
    transaction.execute(
        "UPDATE trimmed SET is_forgotten = 1 WHERE entry > ?1 AND entry <= ?2",
        [from, through],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::vault::{BegunRun, OpenVaultError, Patience, Protection, Vault};

    #[test]
    fn an_overtaken_run_moves_no_pages() {
        let directory = tempfile::tempdir().expect("a directory");
        let unprotected = || Ok::<_, OpenVaultError>(Protection::None);
        let vault = Vault::open(directory.path(), "@a:x", "D", unprotected).expect("a vault");
        let patience = || Patience {
            limit: Duration::ZERO,
            has_ended: Arc::new(|| false),
        };
        let begin = || match vault.begin_run("app", patience()).expect("the vault") {
            BegunRun::Writer(writer) => *writer,
            BegunRun::HeldBy(lease) => panic!("{lease:?}"),
        };
        let mut overtaken = begin();
        overtaken.give_room_back().expect("the run owns the vault");
        overtaken.release().expect("the lease is released");
        let mut newer = begin();
        newer.give_room_back().expect("the run owns the vault");
        assert!(matches!(overtaken.give_room_back(), Err(VaultError::Overtaken)));
    }
}
