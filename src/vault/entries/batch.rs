//! Collects entries that are written into the vault together.

use std::{collections::HashMap, ops::Range};

use crate::{
    backup::{entry::Claims, session_id::SessionId},
    ids::{EntryId, Era},
    vault::FilePlace,
};

/// Entries that are written into the vault together, with all bodies in one buffer.
#[derive(Default)]
pub(crate) struct EntryBatch {
    pub(super) rooms: Vec<String>,
    pub(super) entries: Vec<NewEntry>,
    pub(crate) bodies: Vec<u8>,
    /// Rooms for which the room's own answer has been read to its end: the position in `rooms`, and the era in
    /// which the answer was requested.
    pub(super) complete_rooms: Vec<(usize, Era)>,
    /// How far answers that are stored in files have been read, including the entries of this batch.
    pub(crate) file_places: Vec<FilePlace>,
    /// The last entry that incoming entries are compared with. If the vault has a later copy of an incoming entry,
    /// the incoming entry is dropped: otherwise an answer could replace its own entries without end.
    pub(super) compare_through: EntryId,
    /// The first entry that was stored from each answer, by the number of the answer.
    pub(super) answers: HashMap<u64, EntryId>,
    /// Answers that bring no more entries after this batch.
    ended_answers: Vec<u64>,
}

/// One entry of a batch.
pub(super) struct NewEntry {
    /// Position in `EntryBatch::rooms`.
    pub(super) room: usize,
    pub(super) session: SessionId,
    /// The number of the answer that contained the entry.
    pub(super) answer: u64,
    pub(super) claims: Claims,
    /// Whether the entry is stored even if it claims to be no better than a copy in the vault, because the app has
    /// asked for its session or room. An identical copy is never stored twice.
    pub(super) takes_any: bool,
    /// Position in `EntryBatch::bodies`.
    pub(super) body: Range<usize>,
}

/// The result of writing a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InsertedEntries {
    /// Number of keys that the vault did not have before, or had only as entries that failed to open.
    pub(crate) inserted: u64,
    /// Number of entries that were stored, including further copies of keys that the vault already had.
    pub(crate) taken: u64,
}

impl EntryBatch {
    /// Returns an empty batch for entries that may be better copies of the vault's entries up to `entry`.
    pub(crate) fn compared_through(entry: EntryId) -> Self {
        Self {
            compare_through: entry,
            ..Self::default()
        }
    }

    /// Returns an empty batch that continues the answers of this batch.
    pub(crate) fn next(&mut self) -> Self {
        Self {
            answers: std::mem::take(&mut self.answers),
            ..Self::compared_through(self.compare_through)
        }
    }

    /// Records that the answer with this number brings no more entries.
    pub(crate) fn end_answer(&mut self, answer: u64) {
        self.ended_answers.push(answer);
    }

    /// Returns the number of rooms that are complete when this batch is written.
    pub(crate) fn complete_rooms(&self) -> usize {
        self.complete_rooms.len()
    }

    /// Returns the number of entries in the batch.
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

    /// Adds an entry of an answer. `pack` appends the body to a buffer, and returns what the entry claims about
    /// itself.
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

    /// Makes the vault store all entries of the batch, even if they claim to be no better than its own copies.
    pub(crate) fn take_any(&mut self) {
        for entry in &mut self.entries {
            entry.takes_any = true;
        }
    }

    /// Records that the room's own answer has been read to its end, and the era of the version in which it was
    /// requested.
    pub(crate) fn complete_room(&mut self, room_id: &str, era: Era) {
        let room = self.room(room_id);
        self.complete_rooms.push((room, era));
    }

    /// Returns the position of a room in this batch.
    fn room(&mut self, room_id: &str) -> usize {
        // Answers come room by room, so it is nearly always the last room. A second position for a room does no
        // harm.
        match self.rooms.last() {
            Some(last) if last == room_id => {}
            _ => self.rooms.push(room_id.to_owned()),
        }
        self.rooms.len() - 1
    }
}
