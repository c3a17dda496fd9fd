//! The whole backup as one JSON document in a file, and where each entry lies in it.

use std::{collections::HashMap, fs::File, io, ops::Range, os::unix::fs::FileExt, sync::Arc};

use crate::{Truth, generate};

/// How many entries one block of the generator holds. The index has one base for each block.
pub(crate) const BLOCK: u64 = 1024;

/// The document and its index, which takes about 14 bytes of memory per key.
pub(crate) struct Store {
    file: Arc<File>,
    index: Index,
    rooms: HashMap<String, u64>,
}

/// Where the entries lie, by index of the key.
#[derive(Default)]
pub(crate) struct Index {
    /// Where each block starts in the file.
    pub bases: Vec<u64>,
    /// Where each entry starts in its block.
    pub starts: Vec<u32>,
    /// The length of each entry with its session id.
    pub lengths: Vec<u16>,
    /// A hash of the session id and the index of the key, sorted within each room.
    pub by_session: Vec<(u32, u32)>,
}

impl Index {
    fn entry(&self, index: u64) -> Range<u64> {
        let position = usize::try_from(index).expect("keys are counted in memory");
        let block = usize::try_from(index / BLOCK).expect("blocks are fewer than keys");
        let start = self.bases[block] + u64::from(self.starts[position]);
        start..start + u64::from(self.lengths[position])
    }
}

impl Store {
    /// Generates the document.
    pub(crate) fn new(truth: &Truth, seed: u64, backup_public_key: [u8; 32]) -> io::Result<Self> {
        let (file, mut index) = generate::document(truth, seed, backup_public_key)?;
        let mut rooms = HashMap::new();
        for room in 0..truth.rooms() {
            let range = truth.room_range(room);
            let range = usize::try_from(range.start).expect("keys are counted in memory")
                ..usize::try_from(range.end).expect("keys are counted in memory");
            index.by_session[range].sort_unstable();
            rooms.insert(truth.room_id(room), room);
        }
        Ok(Self {
            file: Arc::new(file),
            index,
            rooms,
        })
    }

    /// Returns the index of a room.
    pub(crate) fn room(&self, room_id: &str) -> Option<u64> {
        self.rooms.get(room_id).copied()
    }

    /// Returns where the entries of the wanted rooms lie, as far as they are among the first `count`. Each run goes
    /// from the id of its first room to the end of its last entry. Neighbouring rooms form one run.
    pub(crate) fn runs(&self, truth: &Truth, count: u64, wanted: impl Fn(u64) -> bool) -> Vec<Range<u64>> {
        let mut runs: Vec<Range<u64>> = Vec::new();
        let mut goes_on = false;
        for room in 0..truth.rooms() {
            let Some(entries) = self.room_entries(truth, count, room) else {
                continue;
            };
            let wanted = wanted(room);
            match runs.last_mut() {
                Some(run) if wanted && goes_on => run.end = entries.end,
                _ if wanted => {
                    let head = room_head(&truth.room_id(room)).len() as u64;
                    runs.push(entries.start - head..entries.end);
                }
                _ => {}
            }
            goes_on = wanted;
        }
        runs
    }

    /// Returns where the entries of a room lie, as far as they are among the first `count`, with the commas between
    /// them. Returns `None` if there are none.
    pub(crate) fn room_entries(&self, truth: &Truth, count: u64, room: u64) -> Option<Range<u64>> {
        let range = truth.room_range(room);
        let end = range.end.min(count);
        (range.start < end).then(|| self.entry(range.start).start..self.entry(end - 1).end)
    }

    /// Returns where an entry lies, with its session id.
    pub(crate) fn entry(&self, index: u64) -> Range<u64> {
        self.index.entry(index)
    }

    /// Returns where the entry of a session lies, without its session id, if it is one of the first `count`.
    pub(crate) fn session_entry(
        &self,
        truth: &Truth,
        count: u64,
        room: u64,
        session_id: &str,
    ) -> io::Result<Option<Range<u64>>> {
        let range = truth.room_range(room);
        let range = usize::try_from(range.start).expect("keys are counted in memory")
            ..usize::try_from(range.end).expect("keys are counted in memory");
        let sessions = &self.index.by_session[range];
        let hash = hash(session_id);
        let first = sessions.partition_point(|(other, _)| *other < hash);
        let name = format!("\"{session_id}\":");
        let mut found = vec![0; name.len()];
        for (_, index) in sessions[first..].iter().take_while(|(other, _)| *other == hash) {
            let index = u64::from(*index);
            let entry = self.entry(index);
            if index >= count || (entry.end - entry.start) <= name.len() as u64 {
                continue;
            }
            self.file.read_exact_at(&mut found, entry.start)?;
            if found == name.as_bytes() {
                return Ok(Some(entry.start + name.len() as u64..entry.end));
            }
        }
        Ok(None)
    }

    /// Returns the file that has the document.
    pub(crate) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Reads a part of the document. The file is in the page cache, so this hardly ever blocks.
    pub(crate) fn read(&self, position: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, position)
    }
}

/// Returns the text that comes before the entries of a room in the document.
pub(crate) fn room_head(room_id: &str) -> String {
    format!(r#""{room_id}":{{"sessions":{{"#)
}

/// Hashes a session id with FNV-1a, so that a session can be found without keeping its id.
pub(crate) fn hash(session_id: &str) -> u32 {
    session_id.bytes().fold(0x811C_9DC5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}
