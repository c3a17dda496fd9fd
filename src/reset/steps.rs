//! The steps of a move, and what the vault keeps of them. Pure.
//!
//! Each step is stored when it is done, and what a step is about to do that a kill could leave half done is stored
//! before: the key that it uses, a request that creates a version, an upload. So whatever a killed run has done, the
//! next one finds out from the server.

use zeroize::Zeroizing;

use crate::{
    backup::{
        decryption::BackupDecryptionKey,
        version::{VersionInfo, VersionMark},
    },
    ids::{EntryId, VersionRowId},
    random::random,
    secret::KeyBytes,
    upload::{Announced, Sent},
    vault::MoveRow,
};

use super::records::{ResetCause, ResetStep, ResetStop};

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
    /// Returns a new move. A move that was stopped before is taken up with its key, and with the secret storage that it
    /// has renewed. `storage`: the default key of secret storage now.
    pub(super) fn new(
        cause: Option<ResetCause>,
        old: Option<OldVersion>,
        storage: Option<String>,
        stopped: Option<Self>,
    ) -> Self {
        let (key, first_storage) = match stopped {
            Some(stopped) => (stopped.key, stopped.first_storage),
            None => (random::<32>(), storage),
        };
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
    /// version is proved. What the server still lacks after the last round, it does not replace. `is_unchanged`: nobody else has changed the version since.
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

impl From<MoveRow> for Move {
    fn from(row: MoveRow) -> Self {
        let public_key = row.old_public_key;
        Self {
            step: ResetStep::from_code(row.step),
            stopped: ResetStop::from_code(row.stopped),
            cause: ResetCause::from_code(row.cause),
            old: row.old_version.map(|version| OldVersion { version, public_key }),
            key: row.key,
            public_key: row.public_key,
            first_storage: row.first_storage,
            storage_key: row.storage_key,
            posts: row.posts,
            posted: row.posted,
            new_version: row.new_version,
            mark: row.mark,
            sent_through: row.sent_through,
            announced: (row.announced > EntryId::NONE).then_some(Announced {
                through: row.announced,
                new_keys: row.announced_keys,
            }),
            round: row.round,
            sent_in_round: row.sent_in_round,
            sent: row.sent,
            unreplaced: row.unreplaced,
            marked_through: row.marked_through,
        }
    }
}

impl From<&Move> for MoveRow {
    fn from(from: &Move) -> Self {
        let announced = from.announced.unwrap_or_default();
        Self {
            step: from.step.code(),
            stopped: from.stopped.map_or(0, ResetStop::code),
            is_over: !from.is_under_way(),
            cause: from.cause.map_or(0, ResetCause::code),
            old_version: from.old.as_ref().map(|old| old.version.clone()),
            old_public_key: from.old.as_ref().and_then(|old| old.public_key),
            key: Zeroizing::new(*from.key),
            public_key: from.public_key,
            first_storage: from.first_storage.clone(),
            storage_key: from.storage_key.clone(),
            posts: from.posts,
            posted: from.posted.clone(),
            new_version: from.new_version,
            mark: from.mark.clone(),
            sent_through: from.sent_through,
            announced: announced.through,
            announced_keys: announced.new_keys,
            round: from.round,
            sent_in_round: from.sent_in_round,
            sent: from.sent,
            unreplaced: from.unreplaced,
            marked_through: from.marked_through,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::version::Algorithm;

    fn info(version: &str, public_key: [u8; 32]) -> VersionInfo {
        VersionInfo {
            version: version.to_owned(),
            algorithm: Algorithm::Curve25519AesSha2,
            public_key: Some(public_key),
            count: Some(0),
            etag: "0".to_owned(),
            passphrase: None,
        }
    }

    fn moving() -> Move {
        let old = OldVersion::from(&info("1", [1; 32]));
        Move::new(Some(ResetCause::KeyCompromised), Some(old), None, None)
    }

    fn sent(keys: u64, through: i64) -> Sent {
        Sent {
            keys,
            bytes: 0,
            through: EntryId(through),
            mark: VersionMark::default(),
            is_last: false,
        }
    }

    #[test]
    fn what_the_server_calls_current_decides_about_a_post() {
        let mut state = moving();
        let (old, ours) = (info("1", [1; 32]), info("2", state.public_key));
        assert_eq!(state.look(Some(&old)), Look::Post);
        // Another key under the old number, another number with the old key, or none: somebody else was there.
        for theirs in [Some(info("1", [9; 32])), Some(info("2", [1; 32])), None] {
            assert_eq!(state.look(theirs.as_ref()), Look::Overtaken);
        }
        // The answer to a post may be lost: whatever was sent, only the server knows.
        state.announce_post();
        assert_eq!(state.look(Some(&old)), Look::Post);
        assert_eq!(state.look(Some(&ours)), Look::Created);
        assert!(!state.can_be_cancelled());
        state.note_post(Some("2".to_owned()));
        for number in ["3", "4"] {
            assert_eq!(state.look(Some(&old)), Look::Post);
            state.announce_post();
            state.note_post(Some(number.to_owned()));
        }
        let posted = ["2", "3", "4"].map(str::to_owned).to_vec();
        assert_eq!(state.look(Some(&old)), Look::GiveUp(posted));
    }

    #[test]
    fn a_post_that_had_no_effect_does_not_count() {
        let mut state = moving();
        for _ in 0..10 {
            state.announce_post();
            state.note_post(None);
        }
        assert!(state.can_be_cancelled());
        assert_eq!(state.look(Some(&info("1", [1; 32]))), Look::Post);
    }

    #[test]
    fn a_round_that_sends_nothing_proves_the_version_if_nobody_has_changed_it() {
        let mut state = moving();
        state.mark_created(VersionRowId(7), VersionMark::default());
        state.step = ResetStep::Adopted;
        assert_eq!(state.reads_back(), Some(VersionRowId(7)));
        state.begin_to_send(VersionMark::default());
        assert_eq!(state.reads_back(), None);
        state.note_sent(&sent(90, 100));
        state.end_round(true);
        assert_eq!(
            (state.step, state.sent_through),
            (ResetStep::ReadingBack, EntryId::NONE)
        );
        // Nothing was sent, but somebody else has been there.
        state.begin_to_send(VersionMark::default());
        state.note_sent(&sent(0, 200));
        state.end_round(false);
        assert_eq!(state.step, ResetStep::ReadingBack);
        state.begin_to_send(VersionMark::default());
        state.note_sent(&sent(0, 200));
        state.end_round(true);
        assert_eq!((state.step, state.unreplaced, state.sent), (ResetStep::Proved, 0, 90));
    }

    #[test]
    fn what_the_server_does_not_take_is_named_after_the_last_round() {
        let mut state = moving();
        let mut rounds = 0;
        while state.step != ResetStep::Proved {
            state.begin_to_send(VersionMark::default());
            state.note_sent(&sent(3, 100));
            state.end_round(true);
            rounds += 1;
        }
        assert_eq!((rounds, state.unreplaced), (MOST_ROUNDS, 3));
        state.prove_again();
        assert_eq!((state.step, state.round), (ResetStep::ReadingBack, 0));
    }

    #[test]
    fn an_upload_in_doubt_is_remembered_until_its_end_is_known() {
        let mut state = moving();
        let upload = Announced {
            through: EntryId(50),
            new_keys: 40,
        };
        state.announce(upload);
        let again = Move::from(MoveRow::from(&state));
        assert_eq!(again.in_doubt(), Some(upload));
        state.note_sent(&sent(40, 50));
        assert_eq!(Move::from(MoveRow::from(&state)).in_doubt(), None);
    }

    #[test]
    fn a_stopped_move_is_taken_up_with_its_key_and_storage() {
        let mut stopped = moving();
        stopped.mark_stopped(ResetStop::Overtaken);
        assert!(!stopped.is_under_way());
        let key = stopped.key.clone();
        let again = Move::new(None, None, Some("new".to_owned()), Some(stopped));
        assert!(again.key == key && again.is_under_way());
        assert_eq!(again.first_storage, None, "it has renewed the storage itself");
    }
}
