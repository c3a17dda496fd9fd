//! Entries on their way into the vault.

use std::{collections::HashMap, ops::Range};

use crate::{
    backup::{entry::Claims, session_id::SessionId},
    ids::{EntryId, Era},
    vault::FilePlace,
};

/// Entries on their way into the vault, with the bodies in one buffer.
#[derive(Default)]
pub(crate) struct EntryBatch {
    pub(super) rooms: Vec<String>,
    pub(super) entries: Vec<NewEntry>,
    pub(crate) bodies: Vec<u8>,
    /// Rooms whose own answer has been read to its end, by place in `rooms`, and the era that it is of.
    pub(super) complete_rooms: Vec<(usize, Era)>,
    /// How far answers that lie in a file have been read with it.
    pub(crate) file_places: Vec<FilePlace>,
    /// What came later than this entry is not held against what comes now: an answer would go on for ever replacing its own.
    pub(super) compare_through: EntryId,
    /// The first entry that each answer has brought, by whatever number tells answers apart.
    pub(super) answers: HashMap<u64, EntryId>,
    /// Answers of which no more comes than what is in this batch.
    ended_answers: Vec<u64>,
}

/// One of them.
pub(super) struct NewEntry {
    /// By place in `EntryBatch::rooms`.
    pub(super) room: usize,
    pub(super) session: SessionId,
    /// The answer that it came in.
    pub(super) answer: u64,
    pub(super) claims: Claims,
    /// It is taken beside whatever is here, unless that is the same: somebody has asked for just this one.
    pub(super) takes_any: bool,
    /// By place in `EntryBatch::bodies`.
    pub(super) body: Range<usize>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InsertedEntries {
    /// Keys that were not there before.
    pub(crate) inserted: u64,
    /// Entries that were taken: these, and other copies of keys that were there.
    pub(crate) taken: u64,
}

impl EntryBatch {
    /// An empty one, whose entries may be better copies of those up to that one.
    pub(crate) fn compared_through(entry: EntryId) -> Self {
        Self {
            compare_through: entry,
            ..Self::default()
        }
    }

    /// The same again, without its entries.
    pub(crate) fn next(&mut self) -> Self {
        Self {
            answers: std::mem::take(&mut self.answers),
            ..Self::compared_through(self.compare_through)
        }
    }

    /// The answer of that number will bring no more.
    pub(crate) fn end_answer(&mut self, answer: u64) {
        self.ended_answers.push(answer);
    }

    /// Rooms in it that are complete with it.
    pub(crate) fn complete_rooms(&self) -> usize {
        self.complete_rooms.len()
    }

    /// Entries in it.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.complete_rooms.is_empty() && self.file_places.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.rooms.clear();
        self.entries.clear();
        self.bodies.clear();
        self.complete_rooms.clear();
        self.file_places.clear();
        for ended in self.ended_answers.drain(..) {
            self.answers.remove(&ended);
        }
    }

    /// Adds an entry of an answer; `pack` writes its body, and tells what it claims of itself.
    pub(crate) fn push(
        &mut self,
        answer: u64,
        room_id: &str,
        session: SessionId,
        pack: impl FnOnce(&mut Vec<u8>) -> Claims,
    ) {
        let room = self.room(room_id);
        let begin = self.bodies.len();
        let claims = pack(&mut self.bodies);
        self.entries.push(NewEntry {
            room,
            session,
            answer,
            claims,
            takes_any: false,
            body: begin..self.bodies.len(),
        });
    }

    /// The entries that are in it are taken beside whatever is here, also where they claim to be no better.
    pub(crate) fn take_any(&mut self) {
        for entry in &mut self.entries {
            entry.takes_any = true;
        }
    }

    /// Says that the room's own answer has been read to its end, and in which era of the version it was asked for.
    pub(crate) fn complete_room(&mut self, room_id: &str, era: Era) {
        let room = self.room(room_id);
        self.complete_rooms.push((room, era));
    }

    /// The place of a room in this batch.
    fn room(&mut self, room_id: &str) -> usize {
        // Answers come room by room: the last one is the one, nearly always.
        match self.rooms.last() {
            Some(last) if last == room_id => {}
            _ => self.rooms.push(room_id.to_owned()),
        }
        self.rooms.len() - 1
    }
}
