//! Puts copies into their classes, and removes copies that are no longer needed.

use rusqlite::{Transaction, params};

use super::row::{CopyState, NOT_NEEDED, Placement, StoredCopy, UNCONNECTED};
use crate::{
    backup::{copies::Presence, limits::MAX_CLASSES_OF_A_SESSION},
    ids::EntryId,
    vault::VaultError,
};

/// Puts an entry into its class. In one room of one version, only one copy of a class stays: the one that begins
/// earliest.
pub(super) fn place(
    transaction: &Transaction<'_>,
    copies: &[StoredCopy],
    entry: EntryId,
    placement: Placement,
) -> Result<(), VaultError> {
    let Some(own) = copies.iter().find(|copy| copy.entry == entry) else {
        return Ok(());
    };
    let class = match placement {
        Placement::NotNeeded => {
            return set_class(transaction, entry, entry, NOT_NEEDED);
        }
        Placement::Founds => entry,
        Placement::Joins(class) => class,
    };
    let index_of = |copy: &StoredCopy| match copy.state {
        CopyState::Opened { first_index, .. } => first_index,
        _ => u32::MAX,
    };
    let namesake = copies
        .iter()
        .find(|copy| copy.entry != entry && copy.room == own.room && copy.is_opened() && copy.class == Some(class));
    if let Some(namesake) = namesake {
        let (stays, goes) = match namesake.presence == Presence::Forgotten || index_of(own) < index_of(namesake) {
            true => (own, namesake),
            false => (namesake, own),
        };
        inherit(transaction, stays, goes)?;
        forget(transaction, goes)?;
        if stays.entry != entry {
            return Ok(());
        }
    }
    set_class(transaction, entry, class, UNCONNECTED)?;
    evict(transaction, copies, own, class)
}

fn set_class(transaction: &Transaction<'_>, entry: EntryId, class: EntryId, standing: i64) -> Result<(), VaultError> {
    note(transaction, entry, standing)?;
    transaction
        .prepare_cached("UPDATE copy SET class = ?2, standing = ?3 WHERE entry = ?1")?
        .execute(params![entry, class, standing])?;
    Ok(())
}

/// Transfers what is known about a copy that is removed to the copy that stays: its proof, its tie, and the
/// permission to share it.
fn inherit(transaction: &Transaction<'_>, stays: &StoredCopy, goes: &StoredCopy) -> Result<(), VaultError> {
    note(transaction, stays.entry, UNCONNECTED)?;
    transaction.execute(
        "UPDATE copy SET proof = CASE WHEN proof = 0 THEN ?2 ELSE max(proof, ?2) END,
             tied = CASE WHEN ?3 THEN ?4 ELSE tied END WHERE entry = ?1",
        params![stays.entry, goes.proof, goes.entry < stays.entry, goes.tied],
    )?;
    if matches!(
        goes.state,
        CopyState::Opened {
            shared_history: true,
            ..
        }
    ) {
        transaction.execute("UPDATE opened SET shared_history = 1 WHERE entry = ?1", [stays.entry])?;
    }
    Ok(())
}

/// Removes surplus classes of a session in one room of one version. The first class, the proved classes and the
/// newest ones stay.
fn evict(
    transaction: &Transaction<'_>,
    copies: &[StoredCopy],
    own: &StoredCopy,
    own_class: EntryId,
) -> Result<(), VaultError> {
    let mut classes: Vec<&StoredCopy> = copies
        .iter()
        .filter(|copy| {
            copy.room == own.room
                && copy.entry != own.entry
                && copy.is_opened()
                && copy.class.is_some()
                && copy.class != Some(own_class)
        })
        .collect();
    classes.sort_by_key(|copy| copy.entry);
    let mut surplus = (classes.len() + 1).saturating_sub(MAX_CLASSES_OF_A_SESSION);
    for copy in classes.iter().skip(1).filter(|copy| copy.proof <= 0) {
        if surplus == 0 {
            break;
        }
        forget(transaction, copy)?;
        surplus -= 1;
    }
    Ok(())
}

/// Removes a copy from the vault, because another copy has its key or because the key is not needed.
pub(super) fn forget(transaction: &Transaction<'_>, copy: &StoredCopy) -> Result<(), VaultError> {
    if copy.presence != Presence::Forgotten {
        transaction
            .prepare_cached("UPDATE room SET entries = entries - 1 WHERE id = ?1")?
            .execute([copy.room])?;
    }
    // The other copies keep their class: its name stays that of the founder, even after the founder is removed.
    for sql in [
        "DELETE FROM copy WHERE entry = ?1",
        "DELETE FROM opened WHERE entry = ?1",
        "DELETE FROM delivered WHERE entry = ?1",
        "DELETE FROM trimmed WHERE entry = ?1",
        "DELETE FROM confirmed WHERE entry = ?1",
        "DELETE FROM entry WHERE id = ?1",
        "UPDATE job SET last_forgotten = max(last_forgotten, ?1)",
    ] {
        transaction.prepare_cached(sql)?.execute([copy.entry])?;
    }
    Ok(())
}

/// Records that the session of an entry has several copies, with `standing` unless a standing is already recorded.
pub(super) fn note(transaction: &Transaction<'_>, entry: EntryId, standing: i64) -> Result<(), VaultError> {
    transaction
        .prepare_cached("INSERT OR IGNORE INTO copy (entry, standing) VALUES (?1, ?2)")?
        .execute(params![entry, standing])?;
    Ok(())
}
