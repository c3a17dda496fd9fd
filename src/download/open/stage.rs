//! The open stage: decrypts and checks entries from the vault on all cores, and writes the results to the vault.
//!
//! With a sink, the same decryption serves delivery: X25519 is most of the cost of both.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use tokio::sync::mpsc;
use zeroize::{Zeroize, Zeroizing};

use super::{
    claims::Page,
    commit::{FinishedPage, FinishedPages, OpenedPage, ToDeliver},
    queue::{Claim, PageQueue, PageSeat, SinkPages},
    settle_copies::settle_copies,
};
use crate::{
    backup::{FailureReason, decryption::BackupDecryptionKey, ratchet::Ratchet},
    crypto::SinkLimits,
    download::{ArrivedRoomKeys, phase::PhaseContext},
    job::StopCause,
    vault::{Outcome, PendingEntry, RoomRow, VaultError},
};

/// Entries between two checks of the stop signal: a few milliseconds on a slow core.
const ENTRIES_PER_LOOK: usize = 32;

/// Pages that wait between the workers and the deliver stage. The queue limits them further.
pub(crate) const PAGES_IN_FLIGHT: usize = 32;

/// Keys per page for a sink: 15 to 75 ms of a core. A batch is made of several pages, so that all cores work for it.
const PAGE_KEYS: usize = 1_000;

/// The open stage, with everything it works with.
pub(crate) struct OpenStage {
    pub(crate) phase: PhaseContext,
    /// Where opened keys go; `None` if there is no sink.
    pub(crate) deliveries: Option<mpsc::Sender<ToDeliver>>,
    /// True once nothing more is being fetched.
    pub(crate) fetch_ended: Arc<AtomicBool>,
}

impl OpenStage {
    /// Opens all entries, including those that arrive meanwhile, until fetching has ended or the run is stopped.
    /// Blocks.
    pub(crate) fn work(&self) -> Result<(), VaultError> {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let workers = match (self.phase.policy.cores, &self.deliveries) {
            (Some(most), _) => cores.min(most as usize),
            // The sink needs a core, too, and usually takes longer for a key than opening it does.
            (None, Some(_)) => (cores - 1).max(1),
            (None, None) => cores,
        };
        settle_copies(&self.phase)?;
        // Delivery of an earlier pass must be over before its entries are claimed again.
        for pass in 0.. {
            let queue = self.queue(workers, pass)?;
            let finished = FinishedPages::new(&self.phase, self.deliveries.as_ref(), queue.clone());
            let results: Vec<_> = thread::scope(|scope| {
                let workers: Vec<_> = (0..workers)
                    .map(|_| {
                        // If a worker fails, its page is lost: the others must not continue as if it had been opened.
                        scope.spawn(|| {
                            self.worker(&queue, &finished)
                                .inspect_err(|_| self.phase.stop.stop(StopCause::Abandoned))
                        })
                    })
                    .collect();
                workers
                    .into_iter()
                    .map(|worker| worker.join().unwrap_or(Err(VaultError::Panicked)))
                    .collect()
            });
            let mut again = false;
            for result in results {
                again |= result?;
            }
            if !again {
                return Ok(());
            }
            drop(finished);
            self.await_deliveries(&queue);
        }
        Ok(())
    }

    /// Makes the queue of a pass.
    fn queue(&self, workers: usize, pass: u64) -> Result<Arc<PageQueue>, VaultError> {
        let sink = self.phase.context.sink.as_ref().filter(|_| self.deliveries.is_some());
        let limits = sink.map(|sink| SinkLimits::of(&**sink));
        let pages = limits.map(|limits| SinkPages {
            keys: PAGE_KEYS.min(limits.batch_keys as usize),
            by_session: limits.by_session_id,
            are_checked: !limits.checks_keys,
            with_workers: workers,
        });
        let queue = PageQueue::new(
            self.phase.context.vault.connect()?,
            pages,
            self.phase.download.wanted.clone(),
            &self.phase.context.keys,
            self.phase.run.wake.clone(),
        )?;
        queue.set_batch(limits.unwrap_or_default().batch_keys as usize);
        Ok(Arc::new(queue.of_pass(pass)))
    }

    /// Opens pages until there are none. Returns true if the keys have changed and another pass is due.
    fn worker(&self, queue: &Arc<PageQueue>, finished: &FinishedPages<'_>) -> Result<bool, VaultError> {
        let mut buffer = Zeroizing::default();
        loop {
            if self.phase.stop.winds_down() {
                finished.flush()?;
                return Ok(false);
            }
            let seen = self.phase.run.wake.seen();
            let ended = self.fetch_ended.load(Ordering::SeqCst);
            match queue.claim(&self.phase.context.keys, ended, &self.phase.stop)? {
                Claim::Page(page, seat) => finished.add(self.open(page, seat, &mut buffer))?,
                Claim::PassedOver => {}
                Claim::Enough => {
                    // The sink may be waiting for what is not committed yet.
                    finished.commit()?;
                    self.phase.run.wake.wait(seen);
                }
                Claim::Later(wait) => {
                    finished.commit()?;
                    self.phase.run.wake.wait_at_most(seen, wait);
                }
                Claim::KeysChanged => {
                    finished.flush()?;
                    return Ok(true);
                }
                Claim::Nothing => {
                    finished.flush()?;
                    if ended {
                        return Ok(false);
                    }
                    self.phase.run.wake.wait(seen);
                }
            }
        }
    }

    fn open(&self, page: Page, seat: PageSeat, buffer: &mut Zeroizing<Vec<u8>>) -> FinishedPage {
        let wanted = seat.has_sink();
        let mut opened = OpenedPage {
            number: page.number,
            entries: Vec::new(),
            keys: Vec::new(),
            queue: seat,
        };
        let mut outcomes = Vec::with_capacity(page.entries.len());
        let mut hints = Vec::new();
        let hints_wanted = !wanted && self.phase.hints.are_taken();
        let mut interrupted = false;
        let mut decrypted = 0;
        let mut unusable = Vec::new();
        for (position, (entry, room)) in page.entries.iter().enumerate() {
            if position % ENTRIES_PER_LOOK == 0 && self.phase.stop.is_stopped() {
                interrupted = true;
                break;
            }
            let Some(key) = self.phase.context.keys.get(room.version) else {
                // The client was shut down.
                interrupted = true;
                break;
            };
            decrypted += 1;
            let body = &page.bodies[entry.body.clone()];
            let result = self.open_entry(&key, (entry, room), body, buffer, wanted.then_some(&mut opened));
            if !entry.unopened && matches!(result, Ok(Outcome::Failed(_))) {
                unusable.push(entry.id);
            }
            if entry.unopened {
                if matches!(result, Ok(Outcome::Opened { .. })) && hints_wanted {
                    push_hint(&mut hints, &room.room_id, entry.session.to_string());
                }
                outcomes.push((entry.id, room.version, result.unwrap_or_else(Outcome::Failed)));
            }
        }
        buffer.zeroize();
        self.phase.download.progress.add_decrypted(decrypted);
        FinishedPage {
            opened,
            outcomes,
            unusable,
            hints,
            for_the_sink: wanted,
            interrupted,
        }
    }

    /// Decrypts and checks one entry; with a sink, `opened` takes its key.
    fn open_entry(
        &self,
        key: &BackupDecryptionKey,
        (entry, room): (&PendingEntry, &RoomRow),
        body: &[u8],
        buffer: &mut Zeroizing<Vec<u8>>,
        opened: Option<&mut OpenedPage>,
    ) -> Result<Outcome, FailureReason> {
        key.open(body, &entry.session, buffer, |found| {
            if let Some(opened) = opened {
                // A key that no crypto library accepts is not offered to a sink that does not check it.
                if opened.queue.checks_keys() && Ratchet::import(found.session()).is_none() {
                    return Outcome::Failed(FailureReason::InvalidSessionKey);
                }
                if let Some(origin) = &room.origin {
                    let origin = origin.with_current(self.phase.download.current.is(room.version));
                    opened.entries.push((entry.id, room.version));
                    opened.keys.push(found.room_key(&room.room_id, &origin));
                }
            }
            Outcome::Opened {
                first_known_index: found.first_known_index(),
                shared_history: found.shared_history(),
                fingerprint: self.phase.context.vault.fingerprint(found.session()),
            }
        })
    }

    fn await_deliveries(&self, queue: &PageQueue) {
        while queue.is_under_way() && !self.phase.stop.is_stopped() {
            let seen = self.phase.run.wake.seen();
            if queue.is_under_way() {
                self.phase.run.wake.wait(seen);
            }
        }
    }
}

/// Adds a session to the hints. Consecutive sessions of one room share an element.
pub(crate) fn push_hint(hints: &mut Vec<ArrivedRoomKeys>, room_id: &str, session_id: String) {
    match hints.last_mut() {
        Some(last) if last.room_id == room_id => last.session_ids.push(session_id),
        _ => hints.push(ArrivedRoomKeys {
            room_id: room_id.to_owned(),
            session_ids: vec![session_id],
        }),
    }
}
