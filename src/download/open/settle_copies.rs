//! Compares the opened copies of a session, before any of them goes to the sink.

use crate::{
    compare::{Compared, Comparer},
    download::phase::PhaseContext,
    ids::EntryId,
    vault::{Connection, Judged, Placement, VaultError},
};

/// Copies that are read from the vault at a time.
const AT_A_TIME: usize = 500;

/// What became of a copy.
pub(super) enum SettledCopy {
    /// Says whether the sink gets the copy, and whether its history may be shared.
    Judged(Judged),
    /// The copy was replaced by another one, or waits for a decryption key.
    NotForTheSink,
    /// The copy can never be used. The caller records that.
    Unusable,
}

/// Settles copies that an earlier run opened and did not, or could not, compare.
pub(super) fn settle_copies(phase: &PhaseContext) -> Result<(), VaultError> {
    let connection = phase.context.vault.connect()?;
    let mut after = EntryId::NONE;
    loop {
        let entries = connection.unsettled_copies(after, AT_A_TIME)?;
        let Some(last) = entries.last() else { return Ok(()) };
        after = *last;
        for entry in entries {
            if phase.stop.winds_down() {
                return Ok(());
            }
            if let SettledCopy::Unusable = settle_copy(phase, &connection, entry)? {
                phase.writer.with(|writer| writer.mark_unusable(&[entry]))?;
            }
        }
    }
}

/// Settles one copy. Blocks.
pub(super) fn settle_copy(
    phase: &PhaseContext,
    connection: &Connection,
    entry: EntryId,
) -> Result<SettledCopy, VaultError> {
    let copies = connection.copies_of_entry(entry)?;
    let Some(session) = connection.session_of(entry)? else {
        return Ok(SettledCopy::NotForTheSink);
    };
    let comparer = Comparer {
        vault: &phase.context.vault,
        keys: &phase.context.keys,
        session: &session,
    };
    let judged = match comparer.compare(&copies, entry) {
        Compared::Placed(placement) => place(phase, entry, placement)?,
        Compared::Unusable => return Ok(SettledCopy::Unusable),
        // Settled in a run after the version is unlocked.
        Compared::Locked => None,
    };
    Ok(judged.map_or(SettledCopy::NotForTheSink, SettledCopy::Judged))
}

fn place(phase: &PhaseContext, entry: EntryId, placement: Placement) -> Result<Option<Judged>, VaultError> {
    phase.writer.with(|writer| writer.settle_copy(entry, placement))
}
