//! The deliver stage: hands opened keys to the sink in page order, one batch at a time.
//!
//! A batch is marked as delivered only after the sink has answered: a crash can deliver it twice, but never loses it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::sync::mpsc;

use super::{
    open::{OpenedPage, Passed, push_hint},
    phase::PhaseContext,
};
use crate::{
    backup::RoomKey,
    crypto::{RoomKeySink, SinkAnswer, SinkError},
    ids::EntryId,
    vault::{DeliveredAnswer, VaultError, Writer},
};

/// How long the sink may keep working on its batch once the run must end.
const LAST_BATCH: Duration = Duration::from_millis(100);

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

impl DeliverStage {
    /// Delivers pages until the open stage has ended.
    pub(crate) async fn work(&self, mut pages: mpsc::Receiver<OpenedPage>) -> DeliverEnd {
        let mut early = BTreeMap::new();
        let mut next = 0;
        let mut pass = 0;
        while let Some(Some(page)) = self.phase.stop.unless_stopped(pages.recv()).await {
            // Each pass numbers its pages from 0.
            if page.queue.pass() != pass {
                pass = page.queue.pass();
                next = 0;
                early.clear();
            }
            let mut due = match page.number {
                Some(number) => {
                    early.insert(number, page);
                    take_next(&mut early, &mut next)
                }
                None => Some(page),
            };
            while let Some(page) = due {
                match self.deliver(page).await {
                    Ok(true) => {}
                    Ok(false) => return DeliverEnd::Done,
                    Err(end) => return end,
                }
                self.phase.run.wake.notify();
                due = take_next(&mut early, &mut next);
            }
        }
        DeliverEnd::Done
    }

    /// Delivers one page. Returns false if the run was stopped meanwhile.
    async fn deliver(&self, mut page: OpenedPage) -> Result<bool, DeliverEnd> {
        // While the page waited for a slow sink, another copy may have turned out to be the one that counts.
        page = self.without_held_back(page).await.map_err(DeliverEnd::Vault)?;
        let mut hints = Vec::new();
        for key in &page.keys {
            push_hint(&mut hints, &key.room_id, key.session_id.clone());
        }
        let keys = std::mem::take(&mut page.keys);
        let answers = if keys.is_empty() {
            Vec::new()
        } else {
            match self.answers(keys).await {
                None => return Ok(false),
                Some(Ok(answers)) if answers.len() == page.entries.len() => answers,
                Some(Ok(answers)) => {
                    log::warn!(
                        "the sink gave {} answers for {} keys: it must give one for each",
                        answers.len(),
                        page.entries.len()
                    );
                    return Err(DeliverEnd::SinkUnavailable);
                }
                Some(Err(SinkError::Unavailable { .. })) => {
                    // Without the detail, which is the app's own.
                    log::warn!("the sink failed; its keys come again in a later run");
                    return Err(DeliverEnd::SinkUnavailable);
                }
            }
        };
        self.commit(page, answers).await.map_err(DeliverEnd::Vault)?;
        self.phase.hints.send(hints);
        Ok(true)
    }

    async fn without_held_back(&self, mut page: OpenedPage) -> Result<OpenedPage, VaultError> {
        let entries: Vec<EntryId> = page.entries.iter().map(|(entry, _)| *entry).collect();
        let look = move |writer: &mut Writer| writer.reader().held_back_among(&entries);
        let held_back = self.phase.in_vault(look).await?;
        page.leave_out(&held_back);
        Ok(page)
    }

    /// Returns the sink's answers, or `None` if the run was stopped and the sink took too long to finish.
    async fn answers(&self, keys: Vec<RoomKey>) -> Option<Result<Vec<SinkAnswer>, SinkError>> {
        let call = self.sink.deliver(keys);
        tokio::pin!(call);
        tokio::select! {
            biased;
            result = &mut call => Some(result),
            () = self.phase.stop.stopped() => tokio::time::timeout(LAST_BATCH, call).await.ok(),
        }
    }

    async fn commit(&self, page: OpenedPage, answers: Vec<SinkAnswer>) -> Result<(), VaultError> {
        let progress = self.phase.download.progress.clone();
        let commit = move |writer: &mut Writer| {
            let mut demoted = Vec::new();
            let answers: Vec<_> = page
                .entries
                .iter()
                .zip(answers)
                .map(|(&(entry, version), answer)| match answer {
                    SinkAnswer::Imported | SinkAnswer::Known => (entry, version, DeliveredAnswer::Taken),
                    SinkAnswer::Refused { reason } => (entry, version, DeliveredAnswer::Refused(reason)),
                    SinkAnswer::Unconnected { local_is_direct } => {
                        if local_is_direct {
                            demoted.push(entry);
                        }
                        (entry, version, DeliveredAnswer::Refused(UNCONNECTED.to_owned()))
                    }
                })
                .collect();
            let through = page.queue.mark_with(&[page.number], Passed::Delivered);
            writer.commit_delivered(&answers, through)?;
            page.queue.settle(page.number, Passed::Delivered);
            writer.demote_copies(&demoted)?;
            progress.follow(writer.reader())
        };
        self.phase.in_vault(commit).await
    }
}

fn take_next(early: &mut BTreeMap<u64, OpenedPage>, next: &mut u64) -> Option<OpenedPage> {
    let page = early.remove(next)?;
    *next += 1;
    Some(page)
}
