//! Decides what to open next: workers claim pages of entries in the order in which they came, but wanted rooms come
//! first.
//!
//! Pages end in any order. The mark from which a restart continues passes only pages that have ended (`watermark`).

use std::{
    ops::Deref,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{
    claims::{Claims, Next, Page},
    watermark::Passed,
};
use crate::{
    decryption_keys::DecryptionKeys,
    download::wanted_rooms::WantedRooms,
    ids::EntryId,
    job::{StopSignal, Wake},
    vault::{Connection, VaultError},
};

/// Entries per page without a sink: the smaller the pages, the more evenly the cores finish.
const PAGE_ENTRIES_WITHOUT_SINK: usize = 250;

/// Hands out pages to the workers.
pub(crate) struct PageQueue {
    claims: Mutex<Claims>,
    with_sink: AtomicBool,
    sink: SinkPages,
    /// Maximum number of keys in a batch, as the sink says now.
    batch: AtomicUsize,
    /// Number of claimed pages that have not ended.
    on_their_way: AtomicUsize,
    /// Notified when a page ends.
    wake: Wake,
    wanted: WantedRooms,
    /// Distinguishes this queue from those of earlier passes.
    pass: u64,
}

/// How pages for a sink are made, and how many of them may be under way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SinkPages {
    /// Maximum number of keys in a page.
    pub(crate) keys: usize,
    /// Whether entries are claimed in the order of their session ids.
    pub(crate) by_session: bool,
    /// Whether keys are checked before the sink gets them.
    pub(crate) are_checked: bool,
    /// Pages that may be under way beside one batch in the sink and the next one: one with each worker.
    pub(crate) with_workers: usize,
}

/// Counts a page as under way in the queue that it came from, until this is dropped.
pub(crate) struct PageSeat(Arc<PageQueue>);

impl Deref for PageSeat {
    type Target = Arc<PageQueue>;

    fn deref(&self) -> &Arc<PageQueue> {
        &self.0
    }
}

impl Drop for PageSeat {
    fn drop(&mut self) {
        self.0.on_their_way.fetch_sub(1, Ordering::SeqCst);
        self.0.wake.notify();
    }
}

/// What a worker can do next.
pub(crate) enum Claim {
    Page(Page, PageSeat),
    /// There is nothing to do until a page ends: enough pages are on their way to the sink.
    Enough,
    /// More entries will soon make a batch: claim again after so long.
    Later(Duration),
    /// The next entries cannot be opened yet, or were claimed early. Others may follow: claim again.
    PassedOver,
    /// There is nothing to do until new entries come.
    Nothing,
    /// The set of decryption keys has changed, and entries that were passed over may be openable: start from the
    /// beginning.
    KeysChanged,
}

impl PageQueue {
    /// Creates a queue that starts at the vault's mark. `sink` is `None` if there is no sink.
    pub(crate) fn new(
        connection: Connection,
        sink: Option<SinkPages>,
        wanted: WantedRooms,
        keys: &DecryptionKeys,
        wake: Wake,
    ) -> Result<Self, VaultError> {
        let with_sink = sink.is_some();
        let claims = Claims::new(connection, with_sink, keys)?;
        Ok(Self {
            claims: Mutex::new(claims),
            with_sink: AtomicBool::new(with_sink),
            sink: sink.unwrap_or_default(),
            batch: AtomicUsize::new(0),
            on_their_way: AtomicUsize::new(0),
            wake,
            wanted,
            pass: 0,
        })
    }

    /// Sets the number of the pass.
    pub(crate) fn of_pass(self, pass: u64) -> Self {
        Self { pass, ..self }
    }

    pub(crate) fn pass(&self) -> u64 {
        self.pass
    }

    /// Stops delivery in this pass, because the sink takes no more: from now on pages are only opened.
    pub(crate) fn sink_is_gone(&self) {
        self.with_sink.store(false, Ordering::SeqCst);
    }

    pub(crate) fn has_sink(&self) -> bool {
        self.with_sink.load(Ordering::SeqCst)
    }

    /// Whether keys must be checked before the sink gets them.
    pub(crate) fn checks_keys(&self) -> bool {
        self.sink.are_checked
    }

    /// Sets the maximum number of keys in a batch.
    pub(crate) fn set_batch(&self, keys: usize) {
        self.batch.store(keys, Ordering::SeqCst);
    }

    /// Returns the maximum number of pages in a batch.
    pub(crate) fn pages_of_batch(&self) -> usize {
        self.batch.load(Ordering::SeqCst).div_ceil(self.sink.keys.max(1)).max(1)
    }

    /// Whether so many pages for the sink are under way that all that follow would only wait in memory.
    fn is_full(&self) -> bool {
        let most = 2 * self.pages_of_batch() + self.sink.with_workers;
        self.on_their_way.load(Ordering::SeqCst) >= most
    }

    /// Whether a claimed page has not ended.
    pub(crate) fn is_under_way(&self) -> bool {
        self.on_their_way.load(Ordering::SeqCst) > 0
    }

    /// Claims the next page. `is_whole` says that nothing more is being fetched, so that a page for the sink need not
    /// wait until there is enough for a batch.
    pub(crate) fn claim(
        self: &Arc<Self>,
        keys: &DecryptionKeys,
        is_whole: bool,
        stop: &StopSignal,
    ) -> Result<Claim, VaultError> {
        let mut claims = self.claims.lock().map_err(|_| VaultError::Panicked)?;
        if claims.are_outdated(keys) {
            return Ok(Claim::KeysChanged);
        }
        let (with_sink, most) = if self.has_sink() {
            (true, self.sink.keys)
        } else {
            (false, PAGE_ENTRIES_WITHOUT_SINK)
        };
        for room_id in self.wanted.take_rooms_to_open() {
            claims.want(&room_id)?;
        }
        if let Some(page) = claims.claim_wanted(with_sink, most, keys)? {
            return Ok(Claim::Page(page, self.seat()));
        }
        if with_sink && self.is_full() {
            return Ok(Claim::Enough);
        }
        if with_sink && !claims.has_window() {
            if !is_whole && let Some(wait) = claims.wait_for(self.batch.load(Ordering::SeqCst))? {
                return Ok(Claim::Later(wait));
            }
            if self.sink.by_session {
                claims.fill_window(stop)?;
            }
        }
        let next = claims.claim_next(with_sink, most, keys);
        Ok(match next? {
            Next::Page(page) => Claim::Page(page, self.seat()),
            Next::PassedOver => Claim::PassedOver,
            Next::Nothing => Claim::Nothing,
        })
    }

    fn seat(self: &Arc<Self>) -> PageSeat {
        self.on_their_way.fetch_add(1, Ordering::SeqCst);
        PageSeat(self.clone())
    }

    /// Returns where the mark will be once these pages have passed. Must be written in the same transaction as the
    /// pages.
    pub(crate) fn mark_with(&self, pages: &[Option<u64>], passed: Passed) -> EntryId {
        self.claims
            .lock()
            .map_or(EntryId::NONE, |mut claims| claims.mark(passed).with(pages))
    }

    /// Has everything examined again from the start by the next pass or run, because entries that this one passed
    /// over for the sink may be due now.
    pub(crate) fn look_again(&self) {
        if let Ok(mut claims) = self.claims.lock() {
            claims.mark(Passed::Delivered).go_back();
        }
    }

    /// Records that the page has passed and is durable.
    pub(crate) fn settle(&self, page: Option<u64>, passed: Passed) {
        if let Ok(mut claims) = self.claims.lock() {
            claims.mark(passed).settle(page);
        }
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
