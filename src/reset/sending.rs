//! The steps that send what the vault has and prove that it has arrived.
//!
//! The download is what reads back: it fetches the new version into the vault as it fetches any version, and every
//! entry is opened. A round then goes through the vault once, and sends what the new version lacks. A round that finds
//! nothing to send is the proof.

use base64::Engine;
use zeroize::Zeroizing;

use super::{
    records::{ResetStep, ResetStop},
    segment::{Halt, Segment},
    steps::Move,
};
use crate::{
    backup::{RoomKey, base64::BASE64, version::VersionMark},
    blocking::blocking,
    crypto::BackupTarget,
    ids::EntryId,
    upload::{Flush, Outbox, SendEnd, Sender, Target, flush},
    vault::{Connection, StoredEntry, VaultError, VersionRow},
};

/// Keys that the app's crypto is told of at a time.
const MARKS_AT_ONCE: usize = 500;

impl Segment {
    /// Begins a round, or goes on with one. Returns false if the vault does not know everything that the new version
    /// has. Halts if that is no longer the current one: nothing would read it any more.
    pub(super) async fn begin_to_send(&self, state: &Move) -> Result<bool, Halt> {
        let version = self.new_version(state).await?;
        let is_current = self
            .read(|vault| Ok(vault.current_version()?.map(|version| version.id)))
            .await?
            == Some(version.id);
        if !is_current {
            self.current_mark(&version).await?;
        }
        let is_compared = self
            .read(|vault| Ok(vault.unsettled_copies(EntryId::NONE, 1)?.is_empty()))
            .await?;
        if !is_current || version.settled.is_none() || version.counts.unopened() > 0 || !is_compared {
            return Ok(false);
        }
        let mark = version.mark();
        self.change(move |state| state.begin_to_send(mark)).await?;
        Ok(true)
    }

    /// Sends what the new version lacks. Returns whether the server has to be read after that.
    pub(super) async fn upload(&self, state: Move) -> Result<bool, Halt> {
        let version = self.new_version(&state).await?;
        let (vault, keys, run) = (
            self.context.vault.clone(),
            self.context.keys.clone(),
            self.writer.clone(),
        );
        let (id, public_key, after) = (version.id, state.public_key, state.sent_through);
        let open = move || Outbox::open(&vault, &keys, id, public_key, after, run);
        let outbox = blocking(open).await.unwrap_or(Err(VaultError::Panicked))?;
        let target = Target {
            version: version.version,
            public_key,
        };
        let (homeserver, known) = (self.homeserver().clone(), (state.mark.clone(), state.in_doubt()));
        let mut sender = Sender::new(homeserver, target, self.stop.clone(), outbox, known, self.time_left());
        loop {
            let upload = sender.announce().await?;
            self.change(move |state| state.announce(upload)).await?;
            let sent = match sender.send().await {
                Ok(None) => continue,
                Ok(Some(sent)) => sent,
                Err(SendEnd::Changed) => {
                    log::info!("somebody else has changed the new backup version: it is read before more is sent");
                    self.change(Move::read_back).await?;
                    return Ok(true);
                }
                Err(SendEnd::NotCurrent) => return self.halt(ResetStop::Overtaken).await,
                Err(end) => return Err(end.into()),
            };
            let is_last = sent.is_last;
            let state = self.change(move |state| state.note_sent(&sent)).await?;
            if is_last {
                return self.end_round(&state).await;
            }
        }
    }

    /// Ends a round. Returns whether the server has to be read once more.
    async fn end_round(&self, state: &Move) -> Result<bool, Halt> {
        let version = self.new_version(state).await?;
        let is_unchanged = self.current_mark(&version).await? == state.mark;
        let state = self.change(move |state| state.end_round(is_unchanged)).await?;
        Ok(state.step == ResetStep::ReadingBack)
    }

    /// Asks the server for the mark of its current version. Halts if that is not ours. An earlier version of ours may
    /// have the same key.
    async fn current_mark(&self, ours: &VersionRow) -> Result<VersionMark, Halt> {
        match self.current_version().await? {
            Some(current) if current.version == ours.version && current.public_key == ours.public_key => {
                Ok(current.mark())
            }
            _ => self.halt(ResetStop::Overtaken).await,
        }
    }

    /// Tells the app's crypto which of its keys are in the backup, and uploads the others.
    pub(super) async fn finish(&self, state: Move) -> Result<(), Halt> {
        let version = self.new_version(&state).await?;
        let target = BackupTarget {
            version: version.version.clone(),
            public_key: BASE64.encode(state.public_key),
        };
        let mut after = state.marked_through;
        while let Some((keys, last)) = self.read_back_after(&version, after).await? {
            let source = &self.crypto.source;
            self.wait_for_app(source.mark_read_back(target.clone(), keys)).await?;
            self.change(move |state| state.marked_through = last).await?;
            after = last;
        }
        let pages = Flush {
            homeserver: self.homeserver(),
            source: &*self.crypto.source,
            stop: &self.stop,
            vault: &self.context.vault,
            run: &self.writer,
            version: &version,
            key: self.context.keys.get(version.id),
        };
        match flush(&pages, &mut 0).await {
            Ok(()) => {}
            Err(SendEnd::NotCurrent) => return self.halt(ResetStop::Overtaken).await,
            Err(end) => return Err(end.into()),
        }
        self.change(|state| state.step = ResetStep::Done).await?;
        Ok(())
    }

    /// Returns the next keys that were read back, and the last of their entries; `None` if there are no more.
    async fn read_back_after(
        &self,
        version: &VersionRow,
        after: EntryId,
    ) -> Result<Option<(Vec<RoomKey>, EntryId)>, Halt> {
        let (id, origin) = (version.id, version.origin(true).ok_or(VaultError::Corrupt)?);
        let key = self.context.keys.get(id).ok_or(VaultError::Corrupt)?;
        let read = move |vault: &Connection| {
            let page = vault.opened_in(id, after, MARKS_AT_ONCE)?;
            let Some(last) = page.last().map(|entry| entry.id) else {
                return Ok(None);
            };
            let mut buffer = Zeroizing::default();
            let open = |entry: StoredEntry| {
                let opened = key.open(&entry.body, &entry.session, &mut buffer, |opened| {
                    opened.room_key(&entry.room_id, &origin)
                });
                opened.ok()
            };
            Ok(Some((page.into_iter().filter_map(open).collect(), last)))
        };
        Ok(self.read(read).await?)
    }

    async fn new_version(&self, state: &Move) -> Result<VersionRow, Halt> {
        let id = state.new_version.ok_or(VaultError::Corrupt)?;
        let version = self.read(move |vault| vault.version_by_id(id)).await?;
        Ok(version.ok_or(VaultError::Corrupt)?)
    }
}
