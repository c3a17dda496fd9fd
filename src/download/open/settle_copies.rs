//! Copies of a session that have been opened: held against each other, before any of them goes to the sink.

use super::stage::OpenStage;
use crate::{
    compare::{Compared, Comparer},
    vault::{Connection, Judged, Placement, VaultError},
};

/// Copies that are compared at a time.
const AT_A_TIME: usize = 500;

/// What became of a copy.
pub(super) enum Settled {
    /// Whether the sink gets it, and what it may say of sharing.
    Judged(Judged),
    /// It has made way for another one, can never be used, or waits for a key.
    NotForTheSink,
}

impl OpenStage {
    /// Settles what an earlier run has opened and not compared, or could not.
    pub(super) fn settle_copies(&self) -> Result<(), VaultError> {
        let connection = self.vault.connect()?;
        let mut after = 0;
        loop {
            let entries = connection.unsettled_copies(after, AT_A_TIME)?;
            let Some(last) = entries.last() else { return Ok(()) };
            after = *last;
            for entry in entries {
                if self.stop.winds_down() {
                    return Ok(());
                }
                self.settle_copy(&connection, entry)?;
            }
        }
    }

    /// Settles one copy. Blocks.
    pub(super) fn settle_copy(&self, connection: &Connection, entry: i64) -> Result<Settled, VaultError> {
        let copies = connection.copies_of_entry(entry)?;
        let Some(session) = connection.session_of(entry)? else {
            return Ok(Settled::NotForTheSink);
        };
        let comparer = Comparer {
            vault: &self.vault,
            keys: &self.keys,
            session: &session,
        };
        let judged = match comparer.compare(&copies, entry) {
            Compared::Placed(placement) => self.place(entry, placement)?,
            Compared::Unusable => {
                self.writer.with(|writer| writer.mark_unusable(&[entry]))?;
                None
            }
            // Somebody unlocks it later.
            Compared::Locked => None,
        };
        Ok(judged.map_or(Settled::NotForTheSink, Settled::Judged))
    }

    fn place(&self, entry: i64, placement: Placement) -> Result<Option<Judged>, VaultError> {
        self.writer.with(|writer| writer.settle_copy(entry, placement))
    }
}
