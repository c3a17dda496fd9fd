//! Changes facts about the copies of a session, judges the copies again, and updates the counters.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Transaction, params};

use super::{
    place::note,
    row::{COUNTS, CopyState, Judged, LATER_PLACE, StoredCopy, TIED, UNCONNECTED, read_entries},
};
use crate::{
    backup::copies::{Copy, Presence, Standing, judge},
    ids::{EntryId, RoomRowId, VersionRowId},
    vault::{VaultError, VaultTx, session_index},
};

/// Runs `work`, which changes facts about the copies of a session; then judges the copies again and updates the
/// counters. Returns the copies as they are afterwards.
pub(in crate::vault) fn change(
    tx: &VaultTx<'_>,
    room_hash: &[u8; 16],
    session: &[u8],
    work: impl FnOnce(&[StoredCopy]) -> Result<(), VaultError>,
) -> Result<Vec<StoredCopy>, VaultError> {
    let places = session_index::places(tx, tx.keys.name_hash(session, room_hash))?;
    let look = || {
        let entries = places.of_name.iter().chain(&places.elsewhere).copied();
        read_entries(tx, entries, room_hash, session, None)
    };
    let before = look()?;
    work(&before)?;
    let mut after = look()?;
    write_standings(tx, &mut after)?;
    choose_counted(tx, &mut after)?;
    count(tx, &before, &after)?;
    Ok(after)
}

/// Runs `work`, which records that an entry could not be opened, and updates the counters. A failed entry affects
/// no copy in another room, so only the copies in its own room are read.
pub(in crate::vault) fn fail(
    tx: &VaultTx<'_>,
    room_hash: &[u8; 16],
    session: &[u8],
    work: impl FnOnce() -> Result<(), VaultError>,
) -> Result<(), VaultError> {
    let entries = session_index::entries_of_name(tx, tx.keys.name_hash(session, room_hash))?;
    let look = || read_entries(tx, entries.iter().copied(), room_hash, session, None);
    let before = look()?;
    work()?;
    let mut after = look()?;
    choose_counted(tx, &mut after)?;
    count(tx, &before, &after)
}

fn count(transaction: &Transaction<'_>, before: &[StoredCopy], after: &[StoredCopy]) -> Result<(), VaultError> {
    let mut difference: BTreeMap<VersionRowId, Tally> = BTreeMap::new();
    for copy in before {
        difference.entry(copy.version).or_default().add(copy, -1);
    }
    for copy in after {
        difference.entry(copy.version).or_default().add(copy, 1);
    }
    for (version, tally) in difference {
        tally.write(transaction, version)?;
    }
    Ok(())
}

/// The share of one session's copies in the counters of a version.
#[derive(Default)]
struct Tally {
    fetched: i64,
    opened: i64,
    failed: i64,
    conflicts: i64,
    withheld: i64,
    delivered: i64,
    refused: i64,
}

impl Tally {
    fn add(&mut self, copy: &StoredCopy, by: i64) {
        let is_held_back = copy.standing != COUNTS;
        self.conflicts += by * i64::from(matches!(copy.standing, LATER_PLACE | TIED | UNCONNECTED) && copy.is_opened());
        if copy.is_extra || copy.presence == Presence::Forgotten {
            return;
        }
        self.fetched += by;
        match copy.state {
            CopyState::Unopened => {}
            CopyState::Failed(_) => self.failed += by,
            CopyState::Opened { .. } => {
                self.opened += by;
                self.withheld += by * i64::from(is_held_back && !copy.is_delivered);
            }
        }
        if copy.is_refused {
            self.refused += by;
        } else if copy.is_delivered {
            self.delivered += by;
        }
    }

    fn write(&self, transaction: &Transaction<'_>, version: VersionRowId) -> Result<(), VaultError> {
        let figures = [
            self.fetched,
            self.opened,
            self.failed,
            self.conflicts,
            self.withheld,
            self.delivered,
            self.refused,
        ];
        if figures == [0; 7] {
            return Ok(());
        }
        let [fetched, opened, failed, conflicts, withheld, delivered, refused] = figures;
        transaction
            .prepare_cached(
                "UPDATE backup_version SET fetched = fetched + ?2, opened = opened + ?3, failed = failed + ?4,
                     conflicts = conflicts + ?5, withheld = withheld + ?6, delivered = delivered + ?7,
                     refused = refused + ?8
                 WHERE id = ?1",
            )?
            .execute(params![
                version, fetched, opened, failed, conflicts, withheld, delivered, refused,
            ])?;
        Ok(())
    }
}

fn write_standings(transaction: &Transaction<'_>, copies: &mut [StoredCopy]) -> Result<(), VaultError> {
    let (positions, facts): (Vec<usize>, Vec<Copy>) = copies
        .iter()
        .enumerate()
        .filter_map(|(position, copy)| Some((position, copy.facts()?)))
        .unzip();
    for (position, standing) in positions.into_iter().zip(judge(&facts)) {
        let copy = &mut copies[position];
        let standing = match standing {
            Standing::Counts => COUNTS,
            Standing::LaterPlace => LATER_PLACE,
            Standing::Tied => TIED,
            Standing::Unconnected => UNCONNECTED,
        };
        if copy.standing != standing {
            copy.standing = standing;
            note(transaction, copy.entry, standing)?;
            transaction
                .prepare_cached("UPDATE copy SET standing = ?2, class = ?3 WHERE entry = ?1")?
                .execute(params![copy.entry, standing, copy.class])?;
        }
    }
    Ok(())
}

/// Chooses, among the copies in one room of one version, the one that the counters include: the copy that counts,
/// otherwise an opened copy, otherwise the first. All others become extras.
fn choose_counted(transaction: &Transaction<'_>, copies: &mut [StoredCopy]) -> Result<(), VaultError> {
    let mut counted: HashMap<RoomRowId, usize> = HashMap::new();
    let rank = |copy: &StoredCopy| {
        (
            copy.presence != Presence::Forgotten,
            copy.is_opened(),
            copy.standing == COUNTS,
            // A copy that is held back because of another room ranks before one that does not connect in its own.
            matches!(copy.standing, LATER_PLACE | TIED),
            std::cmp::Reverse(copy.entry),
        )
    };
    for (position, copy) in copies.iter().enumerate() {
        let best = counted.entry(copy.room).or_insert(position);
        if rank(copy) > rank(&copies[*best]) {
            *best = position;
        }
    }
    for (position, copy) in copies.iter_mut().enumerate() {
        let is_extra = counted.get(&copy.room) != Some(&position);
        if copy.is_extra != is_extra {
            copy.is_extra = is_extra;
            note(transaction, copy.entry, copy.standing)?;
            transaction
                .prepare_cached("UPDATE copy SET is_extra = ?2 WHERE entry = ?1")?
                .execute(params![copy.entry, is_extra])?;
        }
    }
    Ok(())
}

/// Returns the judgement of an entry, given the copies of its session; `None` if the entry is not among them.
pub(super) fn judged(copies: &[StoredCopy], entry: EntryId) -> Option<Judged> {
    let copy = copies.iter().find(|copy| copy.entry == entry)?;
    let shares = |other: &&StoredCopy| {
        other.class == copy.class
            && other.room_hash == copy.room_hash
            && matches!(
                other.state,
                CopyState::Opened {
                    shared_history: true,
                    ..
                }
            )
    };
    Some(Judged {
        entry,
        counts: copy.standing == COUNTS,
        shared_history: copies.iter().any(|other| shares(&other)),
    })
}
