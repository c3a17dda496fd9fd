//! The streaming reader of `GET /room_keys/keys` and `GET /room_keys/keys/{room}`.
//!
//! Chunks in, entries out, in any split. It walks the few levels that matter and holds one entry at most; what is
//! inside an entry it does not look at. It never recurses, so depth costs nothing, and it never fails for one entry:
//! what is too large or badly named is reported in its place and passed over.
//!
//! A document counts only if it is one: where `rooms` or `sessions` is missing, or is no object, its end is
//! [`ReadError::WrongShape`]. An error body with status 200, or `{}`, says nothing about what the backup holds.

use std::borrow::Cow;

use memchr::memchr2;

use super::{
    limits::{MAX_ANSWER_BYTES, MAX_ANSWER_ENTRIES, MAX_BARREN_BYTES, MAX_ENTRY_BYTES, MAX_ID_BYTES},
    value::ValueScanner,
};

/// What a reader tells about the document it reads.
pub(crate) trait EntryVisitor {
    /// A room begins.
    fn room(&mut self, room_id: &str);
    /// One entry of the room named last.
    fn entry(&mut self, session_id: &str, entry: RawEntry<'_>);
}

/// One entry, as far as the reader knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RawEntry<'a> {
    /// The JSON of the entry, whole.
    Json(&'a [u8]),
    /// Over [`MAX_ENTRY_BYTES`]; not kept.
    TooLarge,
    /// The session id or the room id is too long or no text; both are given cut or replaced.
    BadId,
}

/// Whether a body is one entry, sound or not: a JSON object with the part that counts.
pub(crate) fn is_entry(body: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Wire<'a> {
        #[serde(borrow)]
        #[allow(dead_code, reason = "that it is there is what counts")]
        session_data: &'a serde_json::value::RawValue,
    }
    serde_json::from_slice::<Wire<'_>>(body).is_ok()
}

/// Why a document cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadError {
    /// It is not the JSON that it should be: a captive portal's page, say.
    #[error("the body is not a key backup (at byte {at})")]
    NotABackup { at: u64 },
    /// It is whole and JSON, and not the document that was asked for. The entries that it has are reported all the same.
    #[error("the body has not the shape of a key backup (at byte {at})")]
    WrongShape { at: u64 },
    /// It ended early.
    #[error("the body ended early (at byte {at})")]
    CutShort { at: u64 },
    /// It goes on and on: too many bytes, with or without an entry, or too many entries.
    #[error("the body is more than a key backup can be (at byte {at})")]
    TooMuch { at: u64 },
}

/// The reader of one response.
#[derive(Debug)]
pub(crate) struct BackupReader {
    level: Level,
    expect: Expect,
    /// The key being read, raw, without its quotes.
    key: Vec<u8>,
    key_escaped: bool,
    key_too_long: bool,
    /// What is to happen with the value being read.
    purpose: Purpose,
    /// The part of a captured value that came in earlier chunks.
    captured: Vec<u8>,
    too_large: bool,
    value: ValueScanner,
    session_id: String,
    session_id_bad: bool,
    room_id_bad: bool,
    one_room: bool,
    /// The object that holds the entries of this document was there.
    has_container: bool,
    /// The room that is being read has had its sessions.
    has_sessions: bool,
    /// Where the document first was not what it should be.
    wrong_at: Option<u64>,
    offset: u64,
    after_entry: Option<u64>,
    /// Bytes since the last entry, to a chunk.
    barren: u64,
    entries: u64,
}

/// Which object the reader is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    /// `{"rooms": …}`
    Top,
    /// `{ROOM: …}`
    Rooms,
    /// `{"sessions": …}`
    Room,
    /// `{SESSION: …}`
    Sessions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Document,
    FirstKeyOrEnd,
    Key,
    InKey { escape: bool },
    Colon,
    Value,
    InValue,
    CommaOrEnd,
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Descend(Level),
    Capture,
    Skip,
}

impl BackupReader {
    /// A reader of `{"rooms":{ROOM:{"sessions":{SESSION:ENTRY}}}}`.
    pub(crate) fn all_rooms() -> Self {
        Self::new(Level::Top)
    }

    /// A reader of `{"sessions":{SESSION:ENTRY}}`.
    pub(crate) fn one_room() -> Self {
        Self::new(Level::Room)
    }

    fn new(level: Level) -> Self {
        Self {
            level,
            expect: Expect::Document,
            key: Vec::new(),
            key_escaped: false,
            key_too_long: false,
            purpose: Purpose::Skip,
            captured: Vec::new(),
            too_large: false,
            value: ValueScanner::default(),
            session_id: String::new(),
            session_id_bad: false,
            room_id_bad: false,
            one_room: level == Level::Room,
            has_container: false,
            has_sessions: false,
            wrong_at: None,
            offset: 0,
            after_entry: None,
            barren: 0,
            entries: 0,
        }
    }

    /// Goes on behind an entry: at a place that [`BackupReader::place`] gave, with the room that was named last.
    #[must_use]
    pub(crate) fn resumed_at(self, place: u64) -> Self {
        Self {
            level: Level::Sessions,
            expect: Expect::CommaOrEnd,
            has_container: true,
            has_sessions: true,
            offset: place,
            after_entry: Some(place),
            ..self
        }
    }

    /// The byte behind the last entry that was reported: from there on another reader can go on. `None` before the first.
    pub(crate) fn place(&self) -> Option<u64> {
        self.after_entry
    }

    /// Reads on. The visitor gets every entry that is complete by now.
    pub(crate) fn push(&mut self, chunk: &[u8], visitor: &mut impl EntryVisitor) -> Result<(), ReadError> {
        self.barren += chunk.len() as u64;
        if self.barren > MAX_BARREN_BYTES || self.entries > MAX_ANSWER_ENTRIES || self.offset > MAX_ANSWER_BYTES {
            return Err(ReadError::TooMuch { at: self.offset });
        }
        let mut at = 0;
        while at < chunk.len() {
            at = match self.expect {
                Expect::InKey { escape } => self.read_key(chunk, at, escape, visitor)?,
                Expect::InValue => self.read_value(chunk, at, visitor),
                _ => {
                    let position = self.offset + at as u64;
                    self.read_structure(chunk[at], position)
                        .map_err(|()| ReadError::NotABackup { at: position })?;
                    // A value is read from its first byte on, so that a capture begins there.
                    if self.expect == Expect::InValue { at } else { at + 1 }
                }
            };
        }
        self.offset += chunk.len() as u64;
        Ok(())
    }

    /// Says that the response has ended: an error if the document has not, or if it was another one.
    pub(crate) fn finish(&self) -> Result<(), ReadError> {
        match self.expect {
            Expect::Nothing => match self.wrong_at {
                Some(at) => Err(ReadError::WrongShape { at }),
                None if !self.has_container => Err(ReadError::WrongShape { at: self.offset }),
                None => Ok(()),
            },
            Expect::Document => Err(ReadError::NotABackup { at: self.offset }),
            _ => Err(ReadError::CutShort { at: self.offset }),
        }
    }

    fn is_wrong(&mut self, at: u64) {
        self.wrong_at.get_or_insert(at);
    }

    fn read_structure(&mut self, byte: u8, at: u64) -> Result<(), ()> {
        if byte.is_ascii_whitespace() {
            return Ok(());
        }
        self.expect = match (self.expect, byte) {
            (Expect::Document, b'{') => Expect::FirstKeyOrEnd,
            (Expect::FirstKeyOrEnd | Expect::Key, b'"') => {
                self.key.clear();
                self.key_escaped = false;
                self.key_too_long = false;
                Expect::InKey { escape: false }
            }
            (Expect::FirstKeyOrEnd | Expect::CommaOrEnd, b'}') => self.leave(at),
            (Expect::Colon, b':') => Expect::Value,
            (Expect::CommaOrEnd, b',') => Expect::Key,
            (Expect::Value, b'}' | b']' | b',' | b':') => return Err(()),
            (Expect::Value, b'{') => match self.purpose {
                Purpose::Descend(level) => {
                    self.enter(level);
                    Expect::FirstKeyOrEnd
                }
                Purpose::Capture | Purpose::Skip => self.begin_value(),
            },
            (Expect::Value, _) => {
                // Not the object that would be walked: there is nothing to find in it.
                if let Purpose::Descend(_) = self.purpose {
                    self.is_wrong(at);
                    self.purpose = Purpose::Skip;
                }
                self.begin_value()
            }
            _ => return Err(()),
        };
        Ok(())
    }

    fn begin_value(&mut self) -> Expect {
        self.value = ValueScanner::default();
        self.captured.clear();
        self.too_large = false;
        Expect::InValue
    }

    fn enter(&mut self, level: Level) {
        self.level = level;
        match level {
            Level::Rooms => self.has_container = true,
            Level::Room => self.has_sessions = false,
            Level::Sessions => {
                self.has_sessions = true;
                self.has_container |= self.one_room;
            }
            Level::Top => {}
        }
    }

    fn leave(&mut self, at: u64) -> Expect {
        if self.level == Level::Room && !self.has_sessions {
            self.is_wrong(at);
        }
        let (level, expect) = match self.level {
            Level::Top => (Level::Top, Expect::Nothing),
            Level::Rooms => (Level::Top, Expect::CommaOrEnd),
            Level::Room if self.one_room => (Level::Room, Expect::Nothing),
            Level::Room => (Level::Rooms, Expect::CommaOrEnd),
            Level::Sessions => (Level::Room, Expect::CommaOrEnd),
        };
        self.level = level;
        expect
    }

    fn read_key(
        &mut self,
        chunk: &[u8],
        mut at: usize,
        mut escape: bool,
        visitor: &mut impl EntryVisitor,
    ) -> Result<usize, ReadError> {
        let begin = at;
        let mut closed = false;
        while at < chunk.len() {
            if escape {
                escape = false;
                at += 1;
                continue;
            }
            match memchr2(b'"', b'\\', &chunk[at..]) {
                None => at = chunk.len(),
                Some(found) if chunk[at + found] == b'"' => {
                    at += found;
                    closed = true;
                    break;
                }
                Some(found) => {
                    at += found + 1;
                    escape = true;
                    self.key_escaped = true;
                }
            }
        }
        self.keep_key(&chunk[begin..at]);
        if !closed {
            self.expect = Expect::InKey { escape };
            return Ok(at);
        }
        self.expect = Expect::Colon;
        self.purpose = self.purpose_of_key(self.offset + at as u64, visitor);
        Ok(at + 1)
    }

    fn keep_key(&mut self, part: &[u8]) {
        // An escape may take six bytes for one.
        let room = (MAX_ID_BYTES * 6).saturating_sub(self.key.len());
        self.key_too_long |= part.len() > room;
        self.key.extend_from_slice(&part[..part.len().min(room)]);
    }

    fn purpose_of_key(&mut self, at: u64, visitor: &mut impl EntryVisitor) -> Purpose {
        match self.level {
            Level::Top if self.key == b"rooms" => Purpose::Descend(Level::Rooms),
            Level::Room if self.key == b"sessions" => Purpose::Descend(Level::Sessions),
            Level::Top | Level::Room => Purpose::Skip,
            Level::Rooms => {
                let (room_id, bad) = self.decoded_key();
                visitor.room(&room_id);
                self.room_id_bad = bad;
                Purpose::Descend(Level::Room)
            }
            Level::Sessions => {
                let (session_id, bad) = self.decoded_key();
                if session_id.starts_with('!') {
                    // A room id: entries stand one level higher than they belong.
                    self.is_wrong(at);
                    return Purpose::Skip;
                }
                self.session_id = session_id.into_owned();
                self.session_id_bad = bad;
                Purpose::Capture
            }
        }
    }

    /// The key as text, and whether it cannot be an id: then it is cut or has replacement characters.
    fn decoded_key(&self) -> (Cow<'static, str>, bool) {
        let text = if self.key_escaped {
            let quoted = [b"\"", self.key.as_slice(), b"\""].concat();
            serde_json::from_slice::<String>(&quoted).ok()
        } else {
            std::str::from_utf8(&self.key).ok().map(str::to_owned)
        };
        match text {
            Some(text) if !self.key_too_long && text.len() <= MAX_ID_BYTES && !text.contains('\0') => {
                (Cow::Owned(text), false)
            }
            Some(text) => (Cow::Owned(cut(&text)), true),
            None => (Cow::Owned(cut(&String::from_utf8_lossy(&self.key))), true),
        }
    }

    fn read_value(&mut self, chunk: &[u8], begin: usize, visitor: &mut impl EntryVisitor) -> usize {
        let (end, complete) = self.value.advance(chunk, begin);
        if self.purpose == Purpose::Capture {
            let part = &chunk[begin..end];
            if self.captured.len() + part.len() > MAX_ENTRY_BYTES {
                self.too_large = true;
                self.captured = Vec::new();
            }
            if complete {
                self.report(part, visitor);
                // What is wrong before a place would not be seen by a reader that goes on from there.
                if !self.room_id_bad && self.wrong_at.is_none() {
                    self.after_entry = Some(self.offset + end as u64);
                }
            } else if !self.too_large {
                self.captured.extend_from_slice(part);
            }
        }
        if complete {
            self.expect = Expect::CommaOrEnd;
        }
        end
    }

    fn report(&mut self, last_part: &[u8], visitor: &mut impl EntryVisitor) {
        let entry = if self.too_large {
            RawEntry::TooLarge
        } else if self.session_id_bad || self.room_id_bad {
            RawEntry::BadId
        } else if self.captured.is_empty() {
            RawEntry::Json(last_part)
        } else {
            self.captured.extend_from_slice(last_part);
            RawEntry::Json(&self.captured)
        };
        visitor.entry(&self.session_id, entry);
        self.captured.clear();
        self.barren = 0;
        self.entries += 1;
    }
}

/// The longest beginning of `text` within the limit that ends on a character.
fn cut(text: &str) -> String {
    let mut end = text.len().min(MAX_ID_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
