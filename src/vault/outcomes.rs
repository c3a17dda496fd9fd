//! Stores the outcomes of entries: whether each one was opened or failed, and was delivered or refused. They are
//! kept in narrow rows by entry id; the counters of the versions change in the same transaction.

use std::collections::{BTreeMap, HashSet};

use rusqlite::{CachedStatement, OptionalExtension, Transaction, params};

use super::{
    Connection, VaultError, VaultTx, Writer,
    copies::{self, CopyState, Judged, Placement, StoredCopy},
    seal::Fingerprint,
};
use crate::backup::FailureReason;
use crate::ids::{BatchId, EntryId, VersionRowId};

/// Maximum number of characters that are kept of a refusal's reason.
const MAX_REFUSAL_CHARS: usize = 200;

/// The outcome of opening an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Opened {
        first_known_index: u32,
        shared_history: bool,
        fingerprint: Fingerprint,
    },
    Failed(FailureReason),
}

/// The sink's answer for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DeliveredAnswer {
    Taken,
    Refused(String),
}

impl Writer {
    /// Notes the outcomes of entries (id, version, outcome) that were not opened before, and that every entry up to
    /// `through` has been opened or has failed. If the vault has other copies of an entry's session, also decides
    /// which copy counts, as far as fingerprints suffice, and returns the results.
    pub(crate) fn commit_opened(
        &mut self,
        outcomes: &[(EntryId, VersionRowId, Outcome)],
        through: EntryId,
    ) -> Result<OpenedCopies, VaultError> {
        self.write(|tx| {
            let copies = copies_among(tx, outcomes)?;
            let mut counts: BTreeMap<VersionRowId, (i64, i64)> = BTreeMap::new();
            tx.prepare_cached("UPDATE job SET opened_through = max(opened_through, ?1)")?
                .execute([through])?;
            let mut note = NoteOutcome::new(tx, note_batch(tx, outcomes)?)?;
            for (entry, version, outcome) in outcomes {
                if copies.contains(entry) {
                    continue;
                }
                note.note(*entry, outcome)?;
                let (opened, failed) = counts.entry(*version).or_default();
                match outcome {
                    Outcome::Opened { .. } => *opened += 1,
                    Outcome::Failed(_) => *failed += 1,
                }
            }
            for (version, (opened, failed)) in counts {
                tx.prepare_cached(
                    "UPDATE backup_version SET opened = opened + ?2, failed = failed + ?3 WHERE id = ?1",
                )?
                .execute(params![version, opened, failed])?;
            }
            let mut opened = OpenedCopies::default();
            for (entry, _, outcome) in outcomes.iter().filter(|(entry, ..)| copies.contains(entry)) {
                open_copy(tx, &mut note, *entry, outcome, &mut opened)?;
            }
            Ok(opened)
        })
    }

    /// Notes the sink's answers for entries (id, version, answer), and that every entry up to `through` needs no
    /// more delivery.
    pub(crate) fn commit_delivered(
        &mut self,
        answers: &[(EntryId, VersionRowId, DeliveredAnswer)],
        through: EntryId,
    ) -> Result<(), VaultError> {
        self.write(|transaction| {
            let mut counts: BTreeMap<VersionRowId, (i64, i64, i64)> = BTreeMap::new();
            let any_copy = any_copy(transaction)?;
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
                    let (is_extra, was_withheld) = match any_copy {
                        true => how_it_counts(transaction, *entry)?,
                        false => (false, false),
                    };
                    if is_extra {
                        continue;
                    }
                    let (taken, refusals, withheld) = counts.entry(*version).or_default();
                    *(if refused { refusals } else { taken }) += 1;
                    // Another copy was found to count while the sink had this one. Now that the sink has answered,
                    // this one no longer counts as withheld.
                    *withheld += i64::from(was_withheld);
                }
            }
            for (version, (delivered, refused, withheld)) in counts {
                transaction
                    .prepare_cached(
                        "UPDATE backup_version SET delivered = delivered + ?2, refused = refused + ?3,
                             withheld = withheld - ?4
                         WHERE id = ?1",
                    )?
                    .execute(params![version, delivered, refused, withheld])?;
            }
            // Entries of wanted rooms are delivered out of order. Trimming may have passed them already, so it goes
            // back to before the first of them.
            let first = answers.iter().map(|(entry, ..)| *entry).min().unwrap_or(EntryId::MAX);
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

/// The results for opened entries that are one of several copies of a session.
#[derive(Debug, Default)]
pub(crate) struct OpenedCopies {
    pub(crate) judged: Vec<Judged>,
    /// Entries that were removed in favour of another copy.
    pub(crate) gone: Vec<EntryId>,
    /// Entries that cannot be placed until their ratchets are compared.
    pub(crate) unsettled: Vec<EntryId>,
}

/// Returns the entries that are one of several copies of a session.
fn copies_among(
    transaction: &Transaction<'_>,
    outcomes: &[(EntryId, VersionRowId, Outcome)],
) -> Result<HashSet<EntryId>, VaultError> {
    let mut copies = HashSet::new();
    if !any_copy(transaction)? {
        return Ok(copies);
    }
    let mut is_one = transaction.prepare_cached("SELECT 1 FROM copy WHERE entry = ?1")?;
    for (entry, ..) in outcomes {
        if is_one.exists([entry])? {
            copies.insert(*entry);
        }
    }
    Ok(copies)
}

/// The statement that stores an outcome, prepared once for a batch.
struct NoteOutcome<'a> {
    batch: BatchId,
    insert: CachedStatement<'a>,
}

impl<'a> NoteOutcome<'a> {
    fn new(transaction: &'a Transaction<'_>, batch: BatchId) -> Result<Self, VaultError> {
        let insert = transaction.prepare_cached(
            "INSERT INTO opened (entry, batch, failure, first_index, shared_history, fingerprint)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        Ok(Self { batch, insert })
    }

    fn note(&mut self, entry: EntryId, outcome: &Outcome) -> Result<(), VaultError> {
        match outcome {
            Outcome::Opened {
                first_known_index,
                shared_history,
                fingerprint,
            } => self.insert.execute(params![
                entry,
                self.batch,
                0,
                first_known_index,
                shared_history,
                fingerprint
            ])?,
            Outcome::Failed(reason) => self.insert.execute(params![
                entry,
                self.batch,
                reason.code(),
                None::<u32>,
                None::<bool>,
                None::<Vec<u8>>
            ])?,
        };
        Ok(())
    }
}

/// Notes the outcome of an entry that is one of several copies of a session, and places the entry among the copies
/// if fingerprints suffice. For copies with the same first index, fingerprints show whether their ratchets are
/// equal.
fn open_copy(
    tx: &VaultTx<'_>,
    note: &mut NoteOutcome<'_>,
    entry: EntryId,
    outcome: &Outcome,
    opened: &mut OpenedCopies,
) -> Result<(), VaultError> {
    let Some((room_hash, session)) = copies::name_of(tx, entry)? else {
        return Ok(());
    };
    if matches!(outcome, Outcome::Failed(_)) {
        return copies::fail(tx, &room_hash, &session, || note.note(entry, outcome));
    }
    let all = copies::change(tx, &room_hash, &session, |_| note.note(entry, outcome))?;
    match placement_by_fingerprint(&all, entry) {
        Some(placement) => match copies::settle(tx, entry, placement)? {
            Some(judged) => opened.judged.push(judged),
            None => opened.gone.push(entry),
        },
        None => opened.unsettled.push(entry),
    }
    Ok(())
}

/// Returns the placement of a copy, if it can be found without advancing a ratchet.
fn placement_by_fingerprint(copies: &[StoredCopy], entry: EntryId) -> Option<Placement> {
    let own = copies.iter().find(|copy| copy.entry == entry)?;
    let CopyState::Opened {
        first_index,
        fingerprint,
        ..
    } = own.state
    else {
        return None;
    };
    let mut others = copies
        .iter()
        .filter(|copy| copy.entry != entry && copy.room_hash == own.room_hash)
        .filter_map(|copy| Some((copy, copy.facts()?.class)))
        .peekable();
    if others.peek().is_none() {
        return Some(Placement::Founds);
    }
    let mut founds = true;
    for (other, class) in others {
        match other.state {
            CopyState::Opened {
                first_index: index,
                fingerprint: Some(print),
                ..
            } if index == first_index && fingerprint.is_some() => {
                if fingerprint == Some(print) {
                    return Some(Placement::Joins(class));
                }
            }
            _ => founds = false,
        }
    }
    founds.then_some(Placement::Founds)
}

/// Returns whether another entry is counted in place of this one, and whether this one is held back.
fn how_it_counts(transaction: &Transaction<'_>, entry: EntryId) -> Result<(bool, bool), VaultError> {
    let mut statement = transaction.prepare_cached("SELECT is_extra, standing <> 0 FROM copy WHERE entry = ?1")?;
    let found = statement.query_row([entry], |row| Ok((row.get(0)?, row.get(1)?)));
    Ok(found.optional()?.unwrap_or_default())
}

impl Connection {
    /// Returns which of the entries are currently held back from sinks.
    pub(crate) fn held_back_among(&self, entries: &[EntryId]) -> Result<Vec<EntryId>, VaultError> {
        let mut held_back = Vec::new();
        if !any_copy(&self.inner)? {
            return Ok(held_back);
        }
        let mut is_held_back = self
            .inner
            .prepare_cached("SELECT 1 FROM copy WHERE entry = ?1 AND standing <> 0")?;
        for entry in entries {
            if is_held_back.exists([entry])? {
                held_back.push(*entry);
            }
        }
        Ok(held_back)
    }

    /// Makes every opened entry due for delivery again. Needed if the app's crypto store is a new one.
    pub(crate) fn deliver_again(&mut self) -> Result<(), VaultError> {
        self.write(|transaction| forget_deliveries(transaction))
    }

    /// Returns the number of failed entries for each reason.
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

fn any_copy(connection: &rusqlite::Connection) -> Result<bool, VaultError> {
    Ok(connection.prepare_cached("SELECT 1 FROM copy")?.exists([])?)
}

/// Stores the range of these entries as a batch, so that entries that were opened after a given batch can be found
/// by range, without an index. Returns the number of the batch.
fn note_batch(
    transaction: &Transaction<'_>,
    outcomes: &[(EntryId, VersionRowId, Outcome)],
) -> Result<BatchId, VaultError> {
    let entries = || outcomes.iter().map(|(entry, ..)| *entry);
    if let (Some(first), Some(last)) = (entries().min(), entries().max()) {
        transaction
            .prepare_cached("INSERT INTO opened_batch (first_entry, last_entry) VALUES (?1, ?2)")?
            .execute([first, last])?;
    }
    Ok(BatchId(transaction.last_insert_rowid()))
}

/// Forgets all deliveries. Also starts a new generation, so that a run that is still ending can write nothing more:
/// it would restore its old marks.
pub(super) fn forget_deliveries(transaction: &Transaction<'_>) -> Result<(), VaultError> {
    transaction.execute_batch(
        "DELETE FROM delivered;
         DELETE FROM lease;
         UPDATE backup_version SET delivered = 0, refused = 0, withheld =
             (SELECT count(*) FROM copy JOIN opened USING (entry) JOIN entry ON entry.id = copy.entry
              JOIN room ON room.id = entry.room
              WHERE version = backup_version.id AND failure = 0 AND standing <> 0 AND NOT is_extra);
         UPDATE job SET delivered_through = 0, generation = generation + 1,
             refetch = EXISTS (SELECT 1 FROM trimmed WHERE NOT is_forgotten), refetched_through = 0, trimmed_through = 0;",
    )?;
    Ok(())
}
