//! Copies of a session that have been opened: held against each other, before any of them goes to the sink.

use crate::{
    compare::{Compared, Comparer},
    download::phase::Phase,
    vault::{Connection, Judged, Placement, VaultError},
};

/// Copies that are compared at a time.
const AT_A_TIME: usize = 500;

/// What became of a copy.
pub(super) enum SettledCopy {
    /// Whether the sink gets it, and what it may say of sharing.
    Judged(Judged),
    /// It has made way for another one, can never be used, or waits for a key.
    NotForTheSink,
}

/// Settles what an earlier run has opened and not compared, or could not.
pub(super) fn settle_copies(phase: &Phase) -> Result<(), VaultError> {
    let connection = phase.context.vault.connect()?;
    let mut after = 0;
    loop {
        let entries = connection.unsettled_copies(after, AT_A_TIME)?;
        let Some(last) = entries.last() else { return Ok(()) };
        after = *last;
        for entry in entries {
            if phase.stop.winds_down() {
                return Ok(());
            }
            settle_copy(phase, &connection, entry)?;
        }
    }
}

/// Settles one copy. Blocks.
pub(super) fn settle_copy(phase: &Phase, connection: &Connection, entry: i64) -> Result<SettledCopy, VaultError> {
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
        Compared::Unusable => {
            phase.writer.with(|writer| writer.mark_unusable(&[entry]))?;
            None
        }
        // Somebody unlocks it later.
        Compared::Locked => None,
    };
    Ok(judged.map_or(SettledCopy::NotForTheSink, SettledCopy::Judged))
}

fn place(phase: &Phase, entry: i64, placement: Placement) -> Result<Option<Judged>, VaultError> {
    phase.writer.with(|writer| writer.settle_copy(entry, placement))
}
