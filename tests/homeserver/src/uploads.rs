//! What clients have put into a backup version: the entries in a file without a name, and where each lies in it.

use std::{collections::BTreeMap, fs::File, io, ops::Range, os::unix::fs::FileExt, sync::Arc};

use serde_json::Value;

use crate::generate::nameless_file;

/// The entries that clients have put into one version.
pub(crate) struct Uploads {
    file: Arc<File>,
    /// Where the next entry goes.
    end: u64,
    rooms: BTreeMap<String, BTreeMap<String, Uploaded>>,
    /// How many entries are not among those that the version had from the start.
    new: u64,
}

/// One entry.
#[derive(Clone)]
pub(crate) struct Uploaded {
    /// Where it lies in the file, with its session id.
    pub place: Range<u64>,
    pub hints: Hints,
    /// Whether it is not among those that the version had from the start.
    pub is_new: bool,
}

/// What an entry says about itself, for the server to choose between two of the same session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hints {
    pub first_message_index: u64,
    pub forwarded_count: u64,
    pub is_verified: bool,
}

/// When an entry takes the place of another one of the same session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// As the specification orders them: verified, then the lower index, then the fewer forwards.
    Specification,
    /// If any of the three is better, whatever the others are (Synapse).
    AnyBetter,
    /// Always.
    Always,
}

impl Rule {
    fn replaces(self, old: Hints, new: Hints) -> bool {
        let ordered = |hints: Hints| (!hints.is_verified, hints.first_message_index, hints.forwarded_count);
        match self {
            Self::Specification => ordered(new) < ordered(old),
            Self::AnyBetter => {
                new.is_verified && !old.is_verified
                    || new.first_message_index < old.first_message_index
                    || new.forwarded_count < old.forwarded_count
            }
            Self::Always => true,
        }
    }
}

impl Hints {
    /// Reads what an entry says. What is missing, or of another type, counts as the worst.
    pub(crate) fn of(entry: &Value) -> Self {
        Self {
            first_message_index: entry["first_message_index"].as_u64().unwrap_or(u64::MAX),
            forwarded_count: entry["forwarded_count"].as_u64().unwrap_or(u64::MAX),
            is_verified: entry["is_verified"].as_bool().unwrap_or(false),
        }
    }
}

impl Uploads {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            file: Arc::new(nameless_file()?),
            end: 0,
            rooms: BTreeMap::new(),
            new: 0,
        })
    }

    /// Returns the rooms that have entries, with them.
    pub(crate) fn rooms(&self) -> &BTreeMap<String, BTreeMap<String, Uploaded>> {
        &self.rooms
    }

    /// Returns how many entries are not among those that the version had from the start.
    pub(crate) fn new_count(&self) -> u64 {
        self.new
    }

    pub(crate) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Returns the text of an entry, without its session id.
    pub(crate) fn entry_text(&self, session_id: &str, uploaded: &Uploaded) -> io::Result<String> {
        let text = self.text(uploaded.place.clone())?;
        Ok(text[name_of(session_id).len()..].to_owned())
    }

    /// Takes an entry, if it is better than the one that is there. Returns whether it was taken.
    ///
    /// `original` is what the version had for this session from the start.
    pub(crate) fn put(
        &mut self,
        room_id: &str,
        session_id: &str,
        entry: &Value,
        original: Option<Hints>,
        rule: Rule,
    ) -> io::Result<bool> {
        let hints = Hints::of(entry);
        let known = self.rooms.get(room_id).and_then(|room| room.get(session_id));
        let old = known.map(|known| known.hints).or(original);
        if old.is_some_and(|old| !rule.replaces(old, hints)) {
            return Ok(false);
        }
        let text = format!("{}{entry}", name_of(session_id));
        self.file.write_all_at(text.as_bytes(), self.end)?;
        let place = self.end..self.end + text.len() as u64;
        self.end = place.end;
        let is_new = original.is_none();
        self.new += u64::from(is_new && known.is_none());
        let uploaded = Uploaded { place, hints, is_new };
        let room = self.rooms.entry(room_id.to_owned()).or_default();
        room.insert(session_id.to_owned(), uploaded);
        Ok(true)
    }

    fn text(&self, place: Range<u64>) -> io::Result<String> {
        let length = usize::try_from(place.end - place.start).expect("an entry fits into memory");
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, place.start)?;
        String::from_utf8(bytes).map_err(io::Error::other)
    }
}

/// Returns the text before an entry.
fn name_of(session_id: &str) -> String {
    format!("{}:", Value::from(session_id))
}

#[cfg(test)]
mod tests {
    use super::{Hints, Rule};

    #[test]
    fn servers_choose_between_two_entries_in_three_ways() {
        let hints = |is_verified, first_message_index, forwarded_count| Hints {
            first_message_index,
            forwarded_count,
            is_verified,
        };
        let old = hints(false, 10, 1);
        // (the new entry, whether the specification, Synapse, and a server that does not look take it)
        let table = [
            (hints(false, 10, 1), false, false),
            (hints(false, 9, 5), true, true),
            (hints(true, 11, 5), true, true),
            (hints(false, 11, 0), false, true),
            (hints(false, 10, 0), true, true),
            (hints(false, 11, 1), false, false),
        ];
        for (new, by_specification, by_any) in table {
            assert_eq!(Rule::Specification.replaces(old, new), by_specification, "{new:?}");
            assert_eq!(Rule::AnyBetter.replaces(old, new), by_any, "{new:?}");
            assert!(Rule::Always.replaces(old, new));
        }
    }
}
