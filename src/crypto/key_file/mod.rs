//! Room keys in the forms that every Matrix SDK imports: the encrypted key export file, and the JSON that is in it.
//!
//! - `writer`: the format of the file, as a stream
//! - `sink`: a sink that hands each batch to the app as a file

mod sink;
mod writer;

use std::{io, num::NonZeroU32};

use base64::Engine;
pub use sink::KeyFileSink;
use writer::ExportedKey;
pub(crate) use writer::KeyExportWriter;

use crate::{
    backup::{RoomKey, base64::BASE64},
    random::random,
    secret::SecretString,
};

/// A passphrase of 256 random bits needs no rounds to slow a guess down. More than one, as every other file has.
const ROUNDS: NonZeroU32 = NonZeroU32::new(10).expect("not zero");

/// Room keys as an encrypted key export file, which every Matrix SDK imports (client-server API, "Key export format").
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
#[uniffi::export(Debug)]
pub struct KeyFile {
    /// The content of the file: ASCII text.
    pub content: String,
    /// The passphrase that it opens with: base64 of 256 random bits, made for this file.
    pub passphrase: SecretString,
    /// Number of keys in the file.
    pub keys: u64,
}

/// Returns room keys as an encrypted key export file with a random passphrase. For a sink whose SDK imports such files:
/// the file goes from one function to the next, and need not be written anywhere.
#[uniffi::export]
pub fn key_file(keys: &[RoomKey]) -> KeyFile {
    let passphrase = SecretString::from(BASE64.encode(random::<32>().as_slice()));
    let write = || -> io::Result<Vec<u8>> {
        let mut writer = KeyExportWriter::new(Vec::new(), passphrase.expose(), ROUNDS)?;
        keys.iter().try_for_each(|key| writer.key(key))?;
        writer.finish()
    };
    // Nothing is written but memory, by sound keys of the right length.
    let content = write().expect("memory takes the file");
    KeyFile {
        content: String::from_utf8(content).expect("the file is base64"),
        passphrase,
        keys: keys.len() as u64,
    }
}

/// Returns room keys as JSON: the array that an encrypted key export file has in it. Secret.
///
/// For `OlmMachine.importRoomKeysFromBackup` of matrix-sdk-crypto-ffi, which marks the keys as backed up. Pass only keys of
/// the version that the machine itself uploads to (`RoomKey.origin`), with that version: others would never be uploaded to
/// it. For all other keys pass a `key_file` to `OlmMachine.importRoomKeys`, which marks nothing.
#[uniffi::export]
pub fn exported_json(keys: &[RoomKey]) -> SecretString {
    let keys: Vec<_> = keys.iter().map(ExportedKey::from).collect();
    serde_json::to_string(&keys).expect("strings and numbers").into()
}

#[cfg(test)]
mod tests {
    use matrix_sdk_crypto::{decrypt_room_key_export, olm::ExportedRoomKey};

    use super::*;
    use crate::backup::example_room_key;

    #[test]
    fn a_key_file_opens_with_its_passphrase_only() {
        let key = example_room_key();
        let (file, other) = (key_file(std::slice::from_ref(&key)), key_file(&[]));
        let open = |passphrase: &SecretString| decrypt_room_key_export(file.content.as_bytes(), passphrase.expose());
        let keys = open(&file.passphrase).expect("a sound file");
        assert_eq!((keys.len(), file.keys), (1, 1));
        assert_eq!(keys[0].session_key.to_base64(), key.session_key.expose());
        assert!(keys[0].shared_history);
        assert!(open(&other.passphrase).is_err());
    }

    #[test]
    fn the_json_is_what_a_key_file_has_in_it() {
        let key = example_room_key();
        let read =
            |json: SecretString| serde_json::from_str::<Vec<ExportedRoomKey>>(json.expose()).expect("exported keys");
        let keys = read(exported_json(std::slice::from_ref(&key)));
        assert_eq!(keys.len(), 1);
        assert_eq!((&keys[0].session_id, keys[0].shared_history), (&key.session_id, true));
        assert!(read(exported_json(&[])).is_empty());
    }
}
