//! The streaming reader of `GET /room_keys/keys` and `GET /room_keys/keys/{room}`.
//!
//! Takes chunks that are split anywhere, and reports entries. It walks the few levels of the document that matter,
//! holds at most one entry, and does not look inside entries. It never recurses, so depth costs nothing. A single
//! entry never makes it fail: one that is too large or badly named is reported as such and skipped.
//!
//! A document counts only if it has the right shape: if `rooms` or `sessions` is missing or not an object, reading
//! ends with [`ReadError::WrongShape`]. An error body with status 200, or `{}`, says nothing about what the backup
//! holds.

use std::borrow::Cow;

use memchr::memchr2;

use super::{
    limits::{MAX_ANSWER_BYTES, MAX_ANSWER_ENTRIES, MAX_BARREN_BYTES, MAX_ENTRY_BYTES, MAX_ID_BYTES},
    value::ValueScanner,
};

/// Receives what a reader finds in a document.
pub(crate) trait EntryVisitor {
    /// A room begins.
    fn room(&mut self, room_id: &str);
    /// Called for each entry of the room that was named last.
    fn entry(&mut self, session_id: &str, entry: RawEntry<'_>);
}

/// One entry, as the reader reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RawEntry<'a> {
    /// The complete JSON of the entry.
    Json(&'a [u8]),
    /// The entry is larger than [`MAX_ENTRY_BYTES`], and was not kept.
    TooLarge,
    /// The session id or the room id is too long or not valid text. Both are reported, cut or with replacement
    /// characters.
    BadId,
}

/// Whether a body is one entry, sound or not: a JSON object that has `session_data`.
pub(crate) fn is_entry(body: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Wire<'a> {
        #[serde(borrow)]
        #[allow(dead_code, reason = "only its presence counts")]
        session_data: &'a serde_json::value::RawValue,
    }
    serde_json::from_slice::<Wire<'_>>(body).is_ok()
}

/// Why a document cannot be read further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadError {
    /// The document is not the expected JSON, but for example a captive portal's page.
    #[error("the body is not a key backup (at byte {at})")]
    NotABackup { at: u64 },
    /// The document is complete JSON, but not the one that was requested. Its entries are reported all the same.
    #[error("the body has not the shape of a key backup (at byte {at})")]
    WrongShape { at: u64 },
    /// The document ended early.
    #[error("the body ended early (at byte {at})")]
    CutShort { at: u64 },
    /// The document does not end within bounds: it has too many bytes, with or without an entry, or too many entries.
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
    /// What to do with the value being read.
    purpose: Purpose,
    /// The part of a captured value that arrived in earlier chunks.
    captured: Vec<u8>,
    too_large: bool,
    value: ValueScanner,
    session_id: String,
    session_id_bad: bool,
    room_id_bad: bool,
    one_room: bool,
    /// Whether the object that holds the entries of this document has begun.
    has_container: bool,
    /// Whether `sessions` has begun in the room being read.
    has_sessions: bool,
    /// Where the document first deviated from its expected shape.
    wrong_at: Option<u64>,
    offset: u64,
    after_entry: Option<u64>,
    /// Bytes since the last entry, accurate to one chunk.
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
    /// Returns a reader of `{"rooms":{ROOM:{"sessions":{SESSION:ENTRY}}}}`.
    pub(crate) fn all_rooms() -> Self {
        Self::new(Level::Top)
    }

    /// Returns a reader of `{"sessions":{SESSION:ENTRY}}`.
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

    /// Continues after an entry: at a place that [`BackupReader::place`] returned, in the room that was named last.
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

    /// Returns the offset of the byte after the last reported entry, from which another reader can continue. `None`
    /// before the first entry.
    pub(crate) fn place(&self) -> Option<u64> {
        self.after_entry
    }

    /// Reads the next chunk. The visitor receives every entry that is complete by now.
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
                    // Reading of a value starts at its first byte, so that a capture includes it.
                    if self.expect == Expect::InValue { at } else { at + 1 }
                }
            };
        }
        self.offset += chunk.len() as u64;
        Ok(())
    }

    /// Ends the reading. Returns an error if the document has not ended, or is not the requested one.
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
                // Not the expected object, so it holds no entries.
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
                    // A room id where a session id belongs: this document has another shape.
                    self.is_wrong(at);
                    return Purpose::Skip;
                }
                self.session_id = session_id.into_owned();
                self.session_id_bad = bad;
                Purpose::Capture
            }
        }
    }

    /// Returns the key as text, and whether it is unusable as an id. An unusable one is cut or has replacement
    /// characters.
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
                // A reader that continues from a later place would not see what is wrong before it.
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

/// Returns the longest prefix of `text` within [`MAX_ID_BYTES`] that ends on a character boundary.
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
