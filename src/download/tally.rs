//! The figures of a run while it is under way: counted by the stages, read by whoever tells.
//!
//! They begin with what the vault held and are added to after each commit, so that nothing is reported before it is
//! durable.

use std::sync::{
    Mutex,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use tokio::sync::watch;

use super::{DownloadProgress, DownloadStage};
use crate::vault::{Counts, VersionRow};

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

    /// Whether entries of that version are counted here.
    pub(crate) fn is_of(&self, version: i64) -> bool {
        self.version.load(Ordering::Relaxed) == version
    }

    /// The server has answered: takes what it says of the version, and leaves what has been counted since the start.
    pub(crate) fn goes_on(&self, version: &VersionRow, rooms: (u64, u64)) {
        if !self.is_of(version.id) {
            return self.begin(version, rooms);
        }
        self.total.store(version.server_count, Ordering::Relaxed);
        self.rooms_done.store(rooms.0, Ordering::Relaxed);
        self.rooms.store(rooms.1, Ordering::Relaxed);
        self.changed.send_replace(());
    }

    /// Sets the figures to what the vault holds.
    pub(crate) fn begin(&self, version: &VersionRow, (rooms_done, rooms): (u64, u64)) {
        let Counts {
            fetched,
            opened,
            failed,
            conflicts,
            withheld: _,
            delivered,
            refused,
        } = version.counts;
        self.version.store(version.id, Ordering::Relaxed);
        for (counter, value) in [
            (&self.total, version.server_count),
            (&self.fetched, fetched),
            (&self.opened, opened),
            (&self.failed, failed),
            (&self.conflicts, conflicts),
            (&self.delivered, delivered),
            (&self.refused, refused),
            (&self.rooms_done, rooms_done),
            (&self.rooms, rooms),
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

    /// So many entries had failed, and others stand in their place.
    pub(crate) fn take_back_failures(&self, count: u64) {
        if count > 0 {
            // Failures of another version were not counted here.
            let less = |failed: u64| Some(failed.saturating_sub(count));
            let _ = self.failed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
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
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
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
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        value(&self.fetched).saturating_sub(value(&self.opened) + value(&self.failed))
    }
}
