//! Entry points for fuzzing everything that reads bytes from a server or a user. Each function takes arbitrary bytes
//! and panics if a promise is broken. The targets in `fuzz/` call these functions, and the tests below replay the
//! inputs that fuzzing has found.

use base64::Engine;
use serde_json::Value;

use crate::{
    backup::{
        BackupOrigin,
        base64::BASE64,
        entry,
        limits::{MAX_ENTRY_BYTES, MAX_ID_BYTES, MAX_VERSION_CHARS, MAX_VERSION_DETAIL_CHARS},
        plaintext::OpenedEntry,
        reader::{BackupReader, EntryVisitor, RawEntry, ReadError, is_entry},
        recovery_key::{parse_base58, parse_base64},
        session_id::SessionId,
        version::{VersionInfo, VersionMark, read_version_number},
    },
    preference::read_forms,
    unlock::read_secret_storage,
    upload::read_page,
};

/// Fuzzes the streaming reader. The first byte chooses what is read and the chunk size.
pub fn reader(data: &[u8]) {
    let Some((&how, document)) = data.split_first() else {
        return;
    };
    let new = if how & 1 == 0 {
        BackupReader::all_rooms
    } else {
        BackupReader::one_room
    };
    let whole = Reading::of(new(), document, usize::MAX);
    // The result must not depend on how the document is cut into chunks.
    assert_eq!(whole, Reading::of(new(), document, usize::from(how >> 1) + 1));
    if let Some(place) = whole.place {
        // A reader that resumes after an entry must find what followed that entry.
        let rest = Reading::of(new().resumed_at(place), &document[place as usize..], usize::MAX);
        assert_eq!(rest.end, whole.end);
        let behind = whole.entries.len() - rest.entries.len();
        let same = |(one, other): (&Entry, &Entry)| (&one.1, &one.2) == (&other.1, &other.2);
        assert!(whole.entries[behind..].iter().zip(&rest.entries).all(same));
    }
}

/// Fuzzes an entry, and the plaintext inside a decrypted entry.
pub fn entry(data: &[u8]) {
    let mut packed = Vec::new();
    entry::pack(RawEntry::Json(data), &mut packed);
    assert!(packed.len() <= data.len().min(MAX_ENTRY_BYTES) + 1);
    if let Ok(parts) = entry::unpack(&packed) {
        assert!(is_entry(data));
        assert_eq!((parts.ephemeral.len(), parts.mac.len()), (32, 8));
        assert!(!parts.ciphertext.is_empty());
    }
    plaintext(data);
}

/// Fuzzes a recovery key as typed, in both forms.
pub fn recovery_key(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(key) = parse_base58(text) {
        let again = matrix_sdk_crypto::store::types::BackupDecryptionKey::from_bytes(&key).to_base58();
        let typed: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        assert_eq!(typed, again, "another text is the same key");
    }
    if let Some(key) = parse_base64(text) {
        assert_eq!(parse_base64(&BASE64.encode(*key)), Some(key));
    }
}

/// Fuzzes account data: the backup version, secret storage and the preference.
pub fn account_data(data: &[u8]) {
    if let Some(info) = VersionInfo::parse(data) {
        assert!((1..=MAX_VERSION_CHARS).contains(&info.version.chars().count()));
        assert!(info.count.is_none_or(|count| i64::try_from(count).is_ok()));
    }
    if let Ok(content) = serde_json::from_slice::<Value>(data) {
        read_forms(&content);
        read_secret_storage(content);
    }
}

/// Fuzzes what uploads read: the answer to one, the number of a new version, and a page of the app's crypto.
pub fn upload(data: &[u8]) {
    if let Some(mark) = VersionMark::parse(data) {
        assert!(mark.count.is_none_or(|count| i64::try_from(count).is_ok()));
        assert!(mark.etag.chars().count() <= MAX_VERSION_DETAIL_CHARS);
    }
    if let Ok(answer) = serde_json::from_slice::<Value>(data)
        && let Some(number) = read_version_number(&answer["version"])
    {
        assert!((1..=MAX_VERSION_CHARS).contains(&number.chars().count()) && !matches!(number.as_str(), "." | ".."));
    }
    if let Ok(text) = std::str::from_utf8(data) {
        read_page(text);
    }
}

fn plaintext(data: &[u8]) {
    let listed_as = serde_json::from_slice::<Value>(data)
        .ok()
        .and_then(|fields| BASE64.decode(fields["session_key"].as_str()?).ok())
        .and_then(|session| session.last_chunk::<32>().copied());
    let session_id = SessionId::Key(listed_as.unwrap_or([0; 32]));
    if let Ok(opened) = OpenedEntry::parse(data, &session_id) {
        let origin = BackupOrigin {
            version: "1".to_owned(),
            public_key: String::new(),
            is_current: true,
        };
        let key = opened.room_key("!room", &origin);
        assert_eq!(SessionId::parse(&key.session_id), session_id);
        assert_eq!(key.shared_history, opened.shared_history());
        let session = BASE64
            .decode(key.session_key.expose())
            .expect("it is written in base64");
        assert_eq!(session[1..5], key.first_known_index.to_be_bytes());
    }
}

/// The room, the session, and the body of the entry if it has a usable one.
type Entry = (String, String, Option<Vec<u8>>);

/// Everything that a reader reports about a document.
#[derive(Debug, Default, PartialEq, Eq)]
struct Reading {
    room: String,
    entries: Vec<Entry>,
    /// The kind of error only: the position in it depends on the chunk.
    end: Option<std::mem::Discriminant<ReadError>>,
    place: Option<u64>,
}

impl Reading {
    fn of(mut reader: BackupReader, document: &[u8], chunk: usize) -> Self {
        let mut reading = Self::default();
        let mut end = Ok(());
        for part in document.chunks(chunk) {
            end = reader.push(part, &mut reading);
            if end.is_err() {
                break;
            }
        }
        let end = end.and_then(|()| reader.finish());
        reading.end = end.err().map(|error| std::mem::discriminant(&error));
        reading.place = reader.place();
        reading
    }
}

impl EntryVisitor for Reading {
    fn room(&mut self, room_id: &str) {
        assert!(room_id.len() <= MAX_ID_BYTES);
        self.room = room_id.to_owned();
    }

    fn entry(&mut self, session_id: &str, entry: RawEntry<'_>) {
        assert!(session_id.len() <= MAX_ID_BYTES);
        let body = match entry {
            RawEntry::Json(json) => {
                assert!((1..=MAX_ENTRY_BYTES).contains(&json.len()));
                Some(json.to_vec())
            }
            RawEntry::TooLarge | RawEntry::BadId => None,
        };
        self.entries.push((self.room.clone(), session_id.to_owned(), body));
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn replay(target: &str, run: fn(&[u8])) {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        let files: Vec<_> = fs::read_dir(&corpus).expect("the corpus is there").collect();
        assert!(files.len() > 10, "{} is nearly empty", corpus.display());
        for file in files {
            let file = file.expect("it can be listed").path();
            run(&fs::read(&file).expect("it can be read"));
        }
    }

    #[test]
    fn the_corpus_of_the_reader_does_not_panic() {
        replay("reader", reader);
    }

    #[test]
    fn the_corpus_of_the_entry_does_not_panic() {
        replay("entry", entry);
    }

    #[test]
    fn the_corpus_of_the_recovery_key_does_not_panic() {
        replay("recovery_key", recovery_key);
    }

    #[test]
    fn the_corpus_of_account_data_does_not_panic() {
        replay("account_data", account_data);
    }

    #[test]
    fn the_corpus_of_uploads_does_not_panic() {
        replay("upload", upload);
    }
}
