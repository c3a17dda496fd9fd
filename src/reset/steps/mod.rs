//! The steps of a move, and what the vault keeps of them. Pure.
//!
//! Each step is stored when it is done, and what a step is about to do that a kill could leave half done is stored
//! before: the key that it uses, a request that creates a version, an upload. So whatever a killed run has done, the
//! next one finds out from the server.

use crate::{
    backup::{
        decryption::BackupDecryptionKey,
        version::{VersionInfo, VersionMark},
    },
    ids::{EntryId, VersionRowId},
    secret::KeyBytes,
    upload::{Announced, Sent},
};

use super::records::{ResetCause, ResetStep, ResetStop};

mod stored;
#[cfg(test)]
mod tests;

/// Requests to create a version, all in all.
const MOST_POSTS: u32 = 3;
/// Rounds of sending and reading back.
const MOST_ROUNDS: u32 = 5;

/// A backup version as it was before the move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OldVersion {
    pub(super) version: String,
    pub(super) public_key: Option<[u8; 32]>,
}

impl From<&VersionInfo> for OldVersion {
    fn from(info: &VersionInfo) -> Self {
        Self {
            version: info.version.clone(),
            public_key: info.public_key,
        }
    }
}

/// A move of the backup to a new key, or the creation of a backup.
#[derive(Clone)]
pub(super) struct Move {
    pub(super) step: ResetStep,
    pub(super) stopped: Option<ResetStop>,
    /// `None` if the backup is created and not moved.
    pub(super) cause: Option<ResetCause>,
    /// The version that was current at the beginning; `None` if there was none.
    pub(super) old: Option<OldVersion>,
    pub(super) key: KeyBytes,
    pub(super) public_key: [u8; 32],
    pub(super) first_storage: Option<String>,
    pub(super) storage_key: Option<String>,
    posts: u32,
    posted: Vec<String>,
    pub(super) new_version: Option<VersionRowId>,
    pub(super) mark: VersionMark,
    pub(super) sent_through: EntryId,
    announced: Option<Announced>,
    pub(super) round: u32,
    sent_in_round: u64,
    pub(super) sent: u64,
    pub(super) unreplaced: u64,
    pub(super) marked_through: EntryId,
}

/// What a look at the server's current version means for a move that is about to create one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// It is ours.
    Created,
    /// It is still the one of the beginning: create a version.
    Post,
    /// Three versions were created, and none of them became the current one: delete these, and stop.
    GiveUp(Vec<String>),
    /// Somebody else has created or deleted a version.
    Overtaken,
}

impl Move {
    /// Returns a new move to this key. `first_storage`: the default key of secret storage now.
    pub(super) fn new(
        cause: Option<ResetCause>,
        old: Option<OldVersion>,
        key: KeyBytes,
        first_storage: Option<String>,
    ) -> Self {
        Self {
            step: ResetStep::Begun,
            stopped: None,
            cause,
            old,
            public_key: *BackupDecryptionKey::from_bytes(&key).public_key(),
            key,
            first_storage,
            storage_key: None,
            posts: 0,
            posted: Vec::new(),
            new_version: None,
            mark: VersionMark::default(),
            sent_through: EntryId::NONE,
            announced: None,
            round: 0,
            sent_in_round: 0,
            sent: 0,
            unreplaced: 0,
            marked_through: EntryId::NONE,
        }
    }

    /// Takes a move up that was stopped: with its key, and with the secret storage that it has renewed.
    pub(super) fn begin_again(self, cause: Option<ResetCause>, old: Option<OldVersion>) -> Self {
        Self::new(cause, old, self.key, self.first_storage)
    }

    /// Whether something is left to do that needs nobody's decision.
    pub(super) fn is_under_way(&self) -> bool {
        self.stopped.is_none() && self.step != ResetStep::Done
    }

    /// Returns the version that is about to be read back, if one is.
    pub(super) fn reads_back(&self) -> Option<VersionRowId> {
        let is_read_next = matches!(self.step, ResetStep::Adopted | ResetStep::ReadingBack);
        self.new_version.filter(|_| is_read_next)
    }

    /// Whether the server cannot have a version with the new key yet.
    pub(super) fn can_be_cancelled(&self) -> bool {
        self.posts == 0
    }

    /// Whether a request to create a version may have been sent.
    pub(super) fn has_begun_to_switch(&self) -> bool {
        self.posts > 0
    }

    /// Decides from the server's current version what to do about creating one.
    pub(super) fn look(&self, current: Option<&VersionInfo>) -> Look {
        if current.is_some_and(|info| info.public_key == Some(self.public_key)) {
            return Look::Created;
        }
        if current.map(OldVersion::from) != self.old {
            return Look::Overtaken;
        }
        match self.posts {
            posts if posts < MOST_POSTS => Look::Post,
            _ => Look::GiveUp(self.posted.clone()),
        }
    }

    /// Notes that a request to create a version is about to be sent.
    pub(super) fn announce_post(&mut self) {
        self.posts += 1;
    }

    /// Notes what became of it: the number of the version, or that it certainly had no effect.
    pub(super) fn note_post(&mut self, number: Option<String>) {
        match number {
            Some(number) => self.posted.push(number),
            None => self.posts -= 1,
        }
    }

    /// Notes that the version exists and is the current one.
    pub(super) fn mark_created(&mut self, version: VersionRowId, mark: VersionMark) {
        (self.step, self.new_version, self.mark) = (ResetStep::Created, Some(version), mark);
    }

    pub(super) fn mark_stopped(&mut self, stop: ResetStop) {
        self.stopped = Some(stop);
    }

    /// Begins to send, or goes on: what the vault knows of the version was read under this mark.
    pub(super) fn begin_to_send(&mut self, mark: VersionMark) {
        (self.step, self.mark, self.announced) = (ResetStep::Uploading, mark, None);
    }

    /// Makes the next run read what somebody else has changed, and go on from where it is.
    pub(super) fn read_back(&mut self) {
        (self.step, self.announced) = (ResetStep::ReadingBack, None);
    }

    /// Notes an upload that is about to be sent.
    pub(super) fn announce(&mut self, upload: Announced) {
        self.announced = Some(upload);
    }

    /// Returns the upload that may have had its effect without our knowing.
    pub(super) fn in_doubt(&self) -> Option<Announced> {
        self.announced
    }

    /// Notes an upload that the server has taken.
    pub(super) fn note_sent(&mut self, sent: &Sent) {
        self.announced = None;
        self.sent_through = sent.through;
        self.mark = sent.mark.clone();
        self.sent += sent.keys;
        self.sent_in_round += sent.keys;
    }

    /// Ends a round in which everything was considered: what was sent has to be read back, and if nothing was, the
    /// version is proved. What the server still lacks after the last round, it does not replace. `is_unchanged`: nobody
    /// else has changed the version since.
    pub(super) fn end_round(&mut self, is_unchanged: bool) {
        let sent = std::mem::take(&mut self.sent_in_round);
        (self.sent_through, self.announced) = (EntryId::NONE, None);
        self.round += 1;
        if (sent > 0 || !is_unchanged) && self.round < MOST_ROUNDS {
            self.step = ResetStep::ReadingBack;
        } else {
            (self.step, self.unreplaced) = (ResetStep::Proved, sent);
        }
    }

    /// Makes the next run compare everything with the server again.
    pub(super) fn prove_again(&mut self) {
        (self.round, self.sent_in_round, self.sent_through) = (0, 0, EntryId::NONE);
        (self.step, self.announced) = (ResetStep::ReadingBack, None);
    }
}
