//! The deliver stage: hands opened keys to the sink in page order, one batch at a time.
//!
//! A batch is marked as delivered only after the sink has answered: a crash can deliver it twice, but never loses it.

use std::{collections::BTreeMap, mem, sync::Arc};

use tokio::sync::mpsc;

use super::{
    open::{OpenedPage, Passed, ToDeliver, push_hint},
    phase::PhaseContext,
};
use crate::{
    backup::RoomKey,
    crypto::{RoomKeySink, SinkAnswer, SinkError, SinkLimits},
    ids::EntryId,
    vault::{DeliveredAnswer, VaultError, Writer},
};

/// The refusal reason that is listed if the app's store has another key under the session id.
const UNCONNECTED: &str = "the app's crypto has another ratchet of this session";

/// The deliver stage, with everything it works with.
pub(crate) struct DeliverStage {
    pub(crate) phase: PhaseContext,
    pub(crate) sink: Arc<dyn RoomKeySink>,
}

/// How delivery ended.
#[derive(Debug)]
pub(crate) enum DeliverEnd {
    /// Every page that came was delivered, or the run was stopped.
    Done,
    /// The sink stopped taking keys.
    SinkUnavailable,
    Vault(VaultError),
}

impl DeliverEnd {
    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }
}

/// Pages in order, until they are delivered together.
#[derive(Default)]
struct Gathered {
    /// Pages that came before those that precede them, by number.
    early: BTreeMap<u64, OpenedPage>,
    next: u64,
    pass: u64,
    pages: Vec<OpenedPage>,
}

/// Why nothing more is delivered in this run.
enum Ended {
    Stopped,
    Failed(DeliverEnd),
}

impl DeliverStage {
    /// Delivers pages until the open stage has ended.
    pub(crate) async fn work(&self, pages: mpsc::Receiver<ToDeliver>) -> DeliverEnd {
        match self.deliver_all(pages).await {
            Ok(()) | Err(Ended::Stopped) => DeliverEnd::Done,
            Err(Ended::Failed(end)) => end,
        }
    }

    async fn deliver_all(&self, mut pages: mpsc::Receiver<ToDeliver>) -> Result<(), Ended> {
        let mut gathered = Gathered::default();
        loop {
            match self.phase.stop.unless_stopped(pages.recv()).await {
                None => return Err(Ended::Stopped),
                Some(None) => return self.deliver(gathered.take()).await,
                Some(Some(ToDeliver::Page(page))) if page.number.is_none() => self.deliver(vec![page]).await?,
                Some(Some(ToDeliver::Page(page))) => {
                    gathered.add(page);
                    while let Some(batch) = gathered.take_full(self.batch_keys()) {
                        self.deliver(batch).await?;
                    }
                }
                // Pages that have come since are worth waiting for.
                Some(Some(ToDeliver::Everything)) if pages.is_empty() => self.deliver(gathered.take()).await?,
                Some(Some(ToDeliver::Everything)) => {}
            }
        }
    }

    /// Returns the maximum number of keys in the next batch.
    fn batch_keys(&self) -> usize {
        SinkLimits::of(&*self.sink).batch_keys as usize
    }

    /// Delivers the keys of these pages as one batch.
    async fn deliver(&self, pages: Vec<OpenedPage>) -> Result<(), Ended> {
        if pages.is_empty() {
            return Ok(());
        }
        // While the pages waited for a slow sink, another copy may have turned out to be the one that counts.
        let mut pages = self.without_held_back(pages).await.map_err(failed)?;
        let mut hints = Vec::new();
        for key in pages.iter().flat_map(|page| &page.keys) {
            push_hint(&mut hints, &key.room_id, key.session_id.clone());
        }
        let mut keys = mem::take(&mut pages[0].keys);
        keys.reserve_exact(pages.iter().map(|page| page.keys.len()).sum());
        for page in &mut pages[1..] {
            keys.append(&mut page.keys);
            page.keys.shrink_to_fit();
        }
        let answers = match keys.len() {
            0 => Vec::new(),
            count => self.answers(keys, count).await?,
        };
        self.commit(pages, answers).await.map_err(failed)?;
        self.phase.hints.send(hints);
        self.phase.run.wake.notify();
        Ok(())
    }

    async fn without_held_back(&self, mut pages: Vec<OpenedPage>) -> Result<Vec<OpenedPage>, VaultError> {
        let entries: Vec<EntryId> = pages
            .iter()
            .flat_map(|page| page.entries.iter().map(|(entry, _)| *entry))
            .collect();
        let look = move |writer: &mut Writer| writer.reader().held_back_among(&entries);
        let held_back = self.phase.in_vault(look).await?;
        if !held_back.is_empty() {
            for page in &mut pages {
                page.leave_out(&held_back);
            }
        }
        Ok(pages)
    }

    /// Returns the sink's answers to so many keys. Fails if the run was stopped and the sink took too long to finish.
    async fn answers(&self, keys: Vec<RoomKey>, count: usize) -> Result<Vec<SinkAnswer>, Ended> {
        let grace = SinkLimits::of(&*self.sink).grace();
        let call = self.sink.deliver(keys);
        tokio::pin!(call);
        let result = tokio::select! {
            biased;
            result = &mut call => Some(result),
            () = self.phase.stop.stopped() => tokio::time::timeout(grace, call).await.ok(),
        };
        match result {
            None => Err(Ended::Stopped),
            Some(Ok(answers)) if answers.len() == count => Ok(answers),
            Some(Ok(answers)) => {
                log::warn!(
                    "the sink gave {} answers for {count} keys: it must give one for each",
                    answers.len(),
                );
                Err(Ended::Failed(DeliverEnd::SinkUnavailable))
            }
            Some(Err(SinkError::Unavailable { .. })) => {
                // Without the detail, which is the app's own.
                log::warn!("the sink failed; its keys come again in a later run");
                Err(Ended::Failed(DeliverEnd::SinkUnavailable))
            }
        }
    }

    async fn commit(&self, pages: Vec<OpenedPage>, answers: Vec<SinkAnswer>) -> Result<(), VaultError> {
        let progress = self.phase.download.progress.clone();
        let commit = move |writer: &mut Writer| {
            let (mut demoted, mut unusable) = (Vec::new(), Vec::new());
            let answers: Vec<_> = pages
                .iter()
                .flat_map(|page| &page.entries)
                .zip(answers)
                .filter_map(|(&(entry, version), answer)| {
                    let answer = match answer {
                        SinkAnswer::Imported | SinkAnswer::Known => DeliveredAnswer::Taken,
                        SinkAnswer::Refused { reason } => DeliveredAnswer::Refused(reason),
                        SinkAnswer::Unconnected { local_is_direct } => {
                            demoted.extend(local_is_direct.then_some(entry));
                            DeliveredAnswer::Refused(UNCONNECTED.to_owned())
                        }
                        SinkAnswer::Invalid => {
                            unusable.push(entry);
                            return None;
                        }
                    };
                    Some((entry, version, answer))
                })
                .collect();
            let numbers: Vec<_> = pages.iter().map(|page| page.number).collect();
            // All pages of a batch are of one queue.
            let queue = &pages[0].queue;
            if writer.mark_unusable(&unusable)? || !demoted.is_empty() {
                queue.look_again();
            }
            let through = queue.mark_with(&numbers, Passed::Delivered);
            writer.commit_delivered(&answers, through)?;
            for number in numbers {
                queue.settle(number, Passed::Delivered);
            }
            writer.demote_copies(&demoted)?;
            progress.follow(writer.reader())
        };
        self.phase.in_vault(commit).await
    }
}

fn failed(error: VaultError) -> Ended {
    Ended::Failed(DeliverEnd::Vault(error))
}

impl Gathered {
    fn add(&mut self, page: OpenedPage) {
        // Each pass numbers its pages from 0. What was gathered in the last one has been delivered.
        if page.queue.pass() != self.pass {
            *self = Self {
                pass: page.queue.pass(),
                ..Self::default()
            };
        }
        self.early.extend(page.number.map(|number| (number, page)));
        while let Some(page) = self.early.remove(&self.next) {
            self.next += 1;
            self.pages.push(page);
        }
    }

    /// Takes the pages of a full batch out: at most so many keys, but at least one page. Returns `None` as long as
    /// there is room for another page.
    fn take_full(&mut self, most: usize) -> Option<Vec<OpenedPage>> {
        let queue = &self.pages.first()?.queue;
        queue.set_batch(most);
        let of_batch = queue.pages_of_batch();
        let mut keys = 0;
        let fitting = self.pages.iter().take_while(|page| {
            keys += page.keys.len();
            keys <= most
        });
        let fitting = fitting.count().clamp(1, of_batch);
        let is_full = keys >= most || self.pages.len() >= of_batch;
        is_full.then(|| self.pages.drain(..fitting).collect())
    }

    /// Takes all pages out that are in order.
    fn take(&mut self) -> Vec<OpenedPage> {
        mem::take(&mut self.pages)
    }
}
