//! The figures of a run while it is under way: the stages update them, and the listener reports them.
//!
//! After each transaction they match the vault: nothing is reported before it is durable, and nothing is counted
//! twice.

use std::sync::Arc;

use tokio::sync::watch;

use super::status::{DownloadProgress, DownloadStage};
use crate::{
    decryption_keys::DecryptionKeys,
    ids::VersionRowId,
    vault::{Connection, KeyCounts, VaultError, VersionRow},
};

/// The figures of one run.
pub(crate) struct Progress {
    figures: watch::Sender<Figures>,
    keys: Arc<DecryptionKeys>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Figures {
    fetch: FetchActivity,
    has_sink: bool,
    /// Row id of the version that is counted. Entries of other versions are opened and delivered too, but not
    /// counted.
    version: VersionRowId,
    total: u64,
    counts: KeyCounts,
    /// Keys in all versions that wait for a decryption key.
    locked: u64,
    rooms_done: u64,
    rooms: u64,
    bytes: u64,
    decrypted: u64,
}

/// What the fetch stage is doing. The stage of the download follows from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FetchActivity {
    #[default]
    Preparing,
    Fetching,
    WaitingToRetry,
    Ended,
}

impl Progress {
    pub(crate) fn new(has_sink: bool, keys: Arc<DecryptionKeys>) -> Self {
        let figures = Figures {
            has_sink,
            ..Figures::default()
        };
        Self {
            figures: watch::Sender::new(figures),
            keys,
        }
    }

    /// Counts this version from now on.
    pub(crate) fn show(&self, version: &VersionRow, rooms: (u64, u64)) {
        self.update(|figures| {
            figures.version = version.id;
            figures.take(version);
            figures.set_rooms(rooms);
        });
    }

    /// Takes over the figures that the vault holds after a transaction.
    pub(crate) fn follow(&self, vault: &Connection) -> Result<(), VaultError> {
        let (id, has_sink) = {
            let figures = self.figures.borrow();
            (figures.version, figures.has_sink)
        };
        let version = vault.version_by_id(id)?;
        let waiting = vault.keys_awaiting_key(has_sink)?;
        let locked = waiting.into_iter().filter(|(version, _)| !self.keys.has(*version));
        let locked = locked.map(|(_, keys)| keys).sum();
        self.update(|figures| {
            figures.locked = locked;
            // Another version may be counted by now.
            if let Some(version) = version.filter(|version| version.id == figures.version) {
                figures.take(&version);
            }
        });
        Ok(())
    }

    /// Sets the number of rooms that are done, and of rooms that are known.
    pub(crate) fn set_rooms(&self, rooms: (u64, u64)) {
        self.update(|figures| figures.set_rooms(rooms));
    }

    pub(crate) fn add_rooms_done(&self, rooms: u64) {
        self.update(|figures| figures.set_rooms((figures.rooms_done + rooms, figures.rooms)));
    }

    pub(crate) fn add_bytes(&self, bytes: u64) {
        self.update(|figures| figures.bytes += bytes);
    }

    /// Counts entries that any stage decrypted.
    pub(crate) fn add_decrypted(&self, entries: u64) {
        self.update(|figures| figures.decrypted += entries);
    }

    pub(crate) fn set_fetch(&self, fetch: FetchActivity) {
        self.update(|figures| figures.fetch = fetch);
    }

    pub(crate) fn stage(&self) -> DownloadStage {
        self.figures.borrow().stage()
    }

    /// Returns the current figures. The listener adds the rate and the time left.
    pub(crate) fn now(&self) -> DownloadProgress {
        self.figures.borrow().progress()
    }

    /// Returns how many steps keys have taken through the stages, in this run and before. It rises when a phase
    /// achieves anything.
    pub(crate) fn steps(&self) -> u64 {
        let counts = self.figures.borrow().counts;
        counts.fetched + counts.opened + counts.failed + counts.delivered + counts.refused
    }

    pub(crate) fn fetched(&self) -> u64 {
        self.figures.borrow().counts.fetched
    }

    pub(crate) fn decrypted(&self) -> u64 {
        self.figures.borrow().decrypted
    }

    /// Subscribes to changes of the figures and of the stage.
    pub(crate) fn changes(&self) -> ProgressChanges {
        ProgressChanges(self.figures.subscribe())
    }

    fn update(&self, change: impl FnOnce(&mut Figures)) {
        self.figures.send_if_modified(|figures| {
            let before = figures.clone();
            change(figures);
            *figures != before
        });
    }
}

/// Waits for changes of the figures.
pub(crate) struct ProgressChanges(watch::Receiver<Figures>);

impl ProgressChanges {
    /// Waits for the next change. Returns false at once if there will be none.
    pub(crate) async fn next(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }

    pub(crate) fn has_one(&self) -> bool {
        self.0.has_changed().unwrap_or(false)
    }
}

impl Figures {
    fn take(&mut self, version: &VersionRow) {
        self.total = version.total();
        self.counts = version.counts;
    }

    fn set_rooms(&mut self, (done, all): (u64, u64)) {
        self.rooms_done = done;
        self.rooms = all.max(done);
    }

    fn stage(&self) -> DownloadStage {
        match self.fetch {
            FetchActivity::Preparing => DownloadStage::Preparing,
            FetchActivity::Fetching => DownloadStage::Fetching,
            FetchActivity::WaitingToRetry => DownloadStage::WaitingToRetry,
            FetchActivity::Ended if self.has_sink && self.counts.unopened() == 0 => DownloadStage::Delivering,
            FetchActivity::Ended => DownloadStage::Opening,
        }
    }

    fn progress(&self) -> DownloadProgress {
        let KeyCounts {
            fetched,
            opened,
            failed,
            conflicts,
            withheld: _,
            delivered,
            refused,
        } = self.counts;
        DownloadProgress {
            stage: self.stage(),
            total: self.total,
            fetched,
            opened,
            delivered,
            failed,
            refused,
            conflicts,
            locked: self.locked,
            rooms_done: self.rooms_done,
            rooms: self.rooms,
            bytes_downloaded: self.bytes,
            keys_per_second: 0,
            time_left: None,
        }
    }
}
