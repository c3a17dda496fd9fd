//! The figures of a run while it is under way: counted by the stages, read by whoever tells.
//!
//! After each transaction they are what the vault has then: nothing is reported before it is durable, and nothing is counted
//! twice.

use std::sync::{
    Mutex,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use tokio::sync::watch;

use crate::{
    download::{DownloadProgress, DownloadStage},
    vault::{Connection, Counts, VaultError, VersionRow},
};

/// Counters of one run. Relaxed: each is a figure of its own, and no decision hangs on two of them together.
#[derive(Default)]
pub(crate) struct Tally {
    /// The row of the version that is counted; entries of others are opened and delivered beside it.
    version: AtomicI64,
    pub(crate) total: AtomicU64,
    pub(crate) fetched: AtomicU64,
    pub(crate) opened: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) conflicts: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) rooms_done: AtomicU64,
    pub(crate) rooms: AtomicU64,
    pub(crate) bytes: AtomicU64,
    /// Entries that were decrypted in this run, for whichever stage.
    pub(crate) decrypted: AtomicU64,
    activity: Mutex<Activity>,
    changed: watch::Sender<()>,
}

/// What the parts of a run are doing; the stage follows from it.
#[derive(Clone, Copy, Debug, Default)]
struct Activity {
    fetch: FetchActivity,
    has_sink: bool,
}

/// What the fetch stage is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FetchActivity {
    #[default]
    Preparing,
    Fetching,
    WaitingToRetry,
    Ended,
}

impl Tally {
    pub(crate) fn new(has_sink: bool) -> Self {
        let tally = Self::default();
        if let Ok(mut activity) = tally.activity.lock() {
            activity.has_sink = has_sink;
        }
        tally
    }

    /// Counts this version from here on.
    pub(crate) fn begin(&self, version: &VersionRow, rooms: (u64, u64)) {
        self.version.store(version.id, Ordering::Relaxed);
        self.set(version, rooms);
    }

    /// Takes over what the vault has by now: whatever a transaction did, the figures are those that it left.
    pub(crate) fn follow(&self, reader: &Connection) -> Result<(), VaultError> {
        let id = self.version.load(Ordering::Relaxed);
        if let Some(version) = reader.version_by_id(id)? {
            let rooms = (value(&self.rooms_done), value(&self.rooms));
            self.set(&version, rooms);
        }
        Ok(())
    }

    fn set(&self, version: &VersionRow, (rooms_done, rooms): (u64, u64)) {
        let Counts {
            fetched,
            opened,
            failed,
            conflicts,
            withheld: _,
            delivered,
            refused,
        } = version.counts;
        for (counter, value) in [
            (&self.total, version.total()),
            (&self.fetched, fetched),
            (&self.opened, opened),
            (&self.failed, failed),
            (&self.conflicts, conflicts),
            (&self.delivered, delivered),
            (&self.refused, refused),
            (&self.rooms_done, rooms_done),
            (&self.rooms, rooms.max(rooms_done)),
        ] {
            counter.store(value, Ordering::Relaxed);
        }
        self.changed.send_replace(());
    }

    pub(crate) fn add(&self, counter: &AtomicU64, count: u64) {
        if count > 0 {
            counter.fetch_add(count, Ordering::Relaxed);
            self.changed.send_replace(());
        }
    }

    pub(crate) fn fetch_is(&self, fetch: FetchActivity) {
        if let Ok(mut activity) = self.activity.lock() {
            activity.fetch = fetch;
        }
        self.changed.send_replace(());
    }

    pub(crate) fn stage(&self) -> DownloadStage {
        let Ok(activity) = self.activity.lock().map(|activity| *activity) else {
            return DownloadStage::Resting;
        };
        match activity.fetch {
            FetchActivity::Preparing => DownloadStage::Preparing,
            FetchActivity::Fetching => DownloadStage::Fetching,
            FetchActivity::WaitingToRetry => DownloadStage::WaitingToRetry,
            FetchActivity::Ended if activity.has_sink && self.unopened() == 0 => DownloadStage::Delivering,
            FetchActivity::Ended => DownloadStage::Opening,
        }
    }

    /// The figures now; rate and time left are the reporter's to add.
    pub(crate) fn progress(&self) -> DownloadProgress {
        DownloadProgress {
            stage: self.stage(),
            total: value(&self.total),
            fetched: value(&self.fetched),
            opened: value(&self.opened),
            delivered: value(&self.delivered),
            failed: value(&self.failed),
            refused: value(&self.refused),
            conflicts: value(&self.conflicts),
            rooms_done: value(&self.rooms_done),
            rooms: value(&self.rooms),
            bytes_downloaded: value(&self.bytes),
            keys_per_second: 0,
            time_left_ms: None,
        }
    }

    /// Entries that have come to rest in this run and before it: whether a phase got on shows in it.
    pub(crate) fn settled(&self) -> u64 {
        let counters = [
            &self.fetched,
            &self.opened,
            &self.failed,
            &self.delivered,
            &self.refused,
        ];
        counters.iter().map(|counter| counter.load(Ordering::Relaxed)).sum()
    }

    pub(crate) fn decrypted(&self) -> u64 {
        self.decrypted.load(Ordering::Relaxed)
    }

    /// Tells when a figure or the stage may have changed.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn unopened(&self) -> u64 {
        value(&self.fetched).saturating_sub(value(&self.opened) + value(&self.failed))
    }
}

fn value(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
