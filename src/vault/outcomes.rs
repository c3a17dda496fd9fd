//! What became of entries: opened or failed, delivered or refused. Narrow rows by entry id, and the counters with them.

use std::collections::BTreeMap;

use rusqlite::{Transaction, params};

use super::{Connection, VaultError, Writer, entries::in_conflict};
use crate::backup::FailureReason;

/// Characters of a refusal's reason that are kept.
const MAX_REFUSAL_CHARS: usize = 200;

/// What opening an entry told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Opened {
        first_known_index: u32,
        shared_history: bool,
        sender_key: [u8; 32],
    },
    Failed(FailureReason),
}

/// What the sink said about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DeliveredAnswer {
    Taken,
    Refused(String),
}

impl Writer {
    /// Notes what opening told about entries (id, version, outcome) that were not opened before, and that every entry up to
    /// `through` is settled. Gives the entries of `check` that are in conflict by now: those must not be delivered.
    pub(crate) fn commit_opened(
        &mut self,
        outcomes: &[(i64, i64, Outcome)],
        through: i64,
        check: &[i64],
    ) -> Result<Vec<i64>, VaultError> {
        self.write(|transaction, _| {
            let mut counts: BTreeMap<i64, (i64, i64, i64)> = BTreeMap::new();
            let any_conflict = any_conflict(transaction)?;
            transaction
                .prepare_cached("UPDATE job SET opened_through = max(opened_through, ?1)")?
                .execute([through])?;
            let batch = note_batch(transaction, outcomes)?;
            let mut insert = transaction.prepare_cached(
                "INSERT INTO opened (entry, batch, failure, first_index, shared_history, sender_key)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?;
            for (entry, version, outcome) in outcomes {
                let (opened, failed, withheld) = counts.entry(*version).or_default();
                match outcome {
                    Outcome::Opened {
                        first_known_index,
                        shared_history,
                        sender_key,
                    } => {
                        insert.execute(params![entry, batch, 0, first_known_index, shared_history, sender_key])?;
                        *opened += 1;
                        *withheld += i64::from(any_conflict && in_conflict(transaction, *entry)?);
                    }
                    Outcome::Failed(reason) => {
                        insert.execute(params![
                            entry,
                            batch,
                            reason.code(),
                            None::<u32>,
                            None::<bool>,
                            None::<Vec<u8>>
                        ])?;
                        *failed += 1;
                    }
                }
            }
            for (version, (opened, failed, withheld)) in counts {
                transaction
                    .prepare_cached(
                        "UPDATE backup_version SET opened = opened + ?2, failed = failed + ?3, withheld = withheld + ?4
                         WHERE id = ?1",
                    )?
                    .execute([version, opened, failed, withheld])?;
            }
            conflicts_among(transaction, check)
        })
    }

    /// Notes what the sink answered for entries (id, version, answer), and that every entry up to `through` is settled.
    pub(crate) fn commit_delivered(
        &mut self,
        answers: &[(i64, i64, DeliveredAnswer)],
        through: i64,
    ) -> Result<(), VaultError> {
        self.write(|transaction, _| {
            let mut counts: BTreeMap<i64, (i64, i64, i64)> = BTreeMap::new();
            let any_conflict = any_conflict(transaction)?;
            let mut insert =
                transaction.prepare_cached("INSERT OR IGNORE INTO delivered (entry, refusal) VALUES (?1, ?2)")?;
            for (entry, version, answer) in answers {
                let refusal = match answer {
                    DeliveredAnswer::Taken => None,
                    DeliveredAnswer::Refused(reason) => {
                        Some(reason.chars().take(MAX_REFUSAL_CHARS).collect::<String>())
                    }
                };
                let refused = refusal.is_some();
                if insert.execute(params![entry, refusal])? == 1 {
                    let (taken, refusals, withheld) = counts.entry(*version).or_default();
                    *(if refused { refusals } else { taken }) += 1;
                    // The sink had it already when the conflict was found.
                    *withheld += i64::from(any_conflict && in_conflict(transaction, *entry)?);
                }
            }
            for (version, (delivered, refused, withheld)) in counts {
                transaction
                    .prepare_cached(
                        "UPDATE backup_version SET delivered = delivered + ?2, refused = refused + ?3,
                             withheld = withheld - ?4
                         WHERE id = ?1",
                    )?
                    .execute([version, delivered, refused, withheld])?;
            }
            // Rooms that are wanted come before their turn: what is trimmed then does not end the trimming before them.
            let first = answers.iter().map(|(entry, ..)| *entry).min().unwrap_or(i64::MAX);
            transaction
                .prepare_cached(
                    "UPDATE job SET delivered_through = max(delivered_through, ?1),
                         trimmed_through = min(trimmed_through, ?2 - 1)",
                )?
                .execute([through, first])?;
            Ok(())
        })
    }
}

impl Connection {
    /// Those of the entries that are in conflict by now.
    pub(crate) fn conflicts_among(&self, entries: &[i64]) -> Result<Vec<i64>, VaultError> {
        conflicts_among(&self.inner, entries)
    }

    /// Everything opened is to be delivered again: the crypto store is a new one.
    pub(crate) fn deliver_again(&mut self) -> Result<(), VaultError> {
        self.write(|transaction, _| forget_deliveries(transaction))
    }

    /// The number of failed entries, by reason.
    pub(crate) fn failure_counts(&self) -> Result<Vec<(FailureReason, u64)>, VaultError> {
        let mut statement = self.inner.prepare_cached(
            "SELECT failure, count(*) FROM opened WHERE failure <> 0 GROUP BY failure ORDER BY failure",
        )?;
        let rows = statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
        let mut counts = Vec::new();
        for row in rows {
            let (code, count) = row?;
            counts.extend(FailureReason::from_code(code).map(|reason| (reason, count.cast_unsigned())));
        }
        Ok(counts)
    }
}

fn conflicts_among(connection: &rusqlite::Connection, entries: &[i64]) -> Result<Vec<i64>, VaultError> {
    let mut conflicts = Vec::new();
    if !any_conflict(connection)? {
        return Ok(conflicts);
    }
    for entry in entries {
        if in_conflict(connection, *entry)? {
            conflicts.push(*entry);
        }
    }
    Ok(conflicts)
}

fn any_conflict(connection: &rusqlite::Connection) -> Result<bool, VaultError> {
    Ok(connection.prepare_cached("SELECT 1 FROM conflict")?.exists([])?)
}

/// Makes a batch of these, so that what was opened since another one can be found by range, without an index.
fn note_batch(transaction: &Transaction<'_>, outcomes: &[(i64, i64, Outcome)]) -> Result<i64, VaultError> {
    let entries = || outcomes.iter().map(|(entry, ..)| *entry);
    if let (Some(first), Some(last)) = (entries().min(), entries().max()) {
        transaction
            .prepare_cached("INSERT INTO opened_batch (first_entry, last_entry) VALUES (?1, ?2)")?
            .execute([first, last])?;
    }
    Ok(transaction.last_insert_rowid())
}

/// Overtakes a run that is still ending: it would put its marks back.
pub(super) fn forget_deliveries(transaction: &Transaction<'_>) -> Result<(), VaultError> {
    transaction.execute_batch(
        "DELETE FROM delivered;
         DELETE FROM lease;
         UPDATE backup_version SET delivered = 0, refused = 0, withheld =
             (SELECT count(*) FROM conflict JOIN opened USING (entry) JOIN entry ON entry.id = conflict.entry
              JOIN room ON room.id = entry.room WHERE version = backup_version.id AND failure = 0);
         UPDATE job SET delivered_through = 0, generation = generation + 1,
             refetch = EXISTS (SELECT 1 FROM trimmed), refetched_through = 0, trimmed_through = 0;",
    )?;
    Ok(())
}
