//! The app's crypto as a source of room keys, and as the one who uses a new backup.

use async_trait::async_trait;

use super::CryptoError;
use crate::{backup::RoomKey, secret::SecretString};

/// Gives out the room keys that the app's crypto has and the backup has not, and takes over a new backup. Implemented
/// by the app.
///
/// In Rust, `OlmMachineSource` is a ready implementation over an `OlmMachine`. On matrix-sdk-crypto-ffi, a page is the request
/// of `OlmMachine.backup_room_keys`, and `mark_page` is `mark_request_as_sent`.
#[uniffi::export(foreign)]
#[async_trait]
pub trait RoomKeySource: Send + Sync {
    /// Returns how many room keys the crypto has, and how many of them it takes to be in the backup that it uploads
    /// to.
    ///
    /// # Errors
    /// Any `CryptoError`.
    async fn count_room_keys(&self) -> Result<SourceCounts, CryptoError>;

    /// Returns the backup that the crypto uploads to; `None` (null, nil) if it uploads to none.
    ///
    /// # Errors
    /// Any `CryptoError`.
    async fn backup_in_use(&self) -> Result<Option<BackupTarget>, CryptoError>;

    /// Returns keys that are not backed up, about a hundred of them. Returns `None` (null, nil) if none is left, or if
    /// the crypto does not upload to this backup. Returns the same page until `mark_page` is called.
    ///
    /// # Errors
    /// Any `CryptoError`.
    async fn next_page(&self, backup: BackupTarget) -> Result<Option<SourcePage>, CryptoError>;

    /// Takes note that the keys of a page are in the backup. It must be durable when this returns. May be called again
    /// after a kill.
    ///
    /// # Errors
    /// Any `CryptoError`; the keys are uploaded again then.
    async fn mark_page(&self, page_id: String) -> Result<(), CryptoError>;

    /// Takes over a new backup: stores its decryption key, uploads to it from now on, and passes the key on to the
    /// user's other devices as this crypto does it. Called until it succeeds, and again after a kill.
    ///
    /// # Errors
    /// Any `CryptoError`.
    async fn use_backup(&self, backup: NewBackup) -> Result<(), CryptoError>;

    /// Takes note that these keys are in the backup, as they were read back from the server: at most 500. Marks those
    /// that the crypto has, and imports none. A key that the crypto has from an earlier index, with another ratchet,
    /// or with the flag `shared_history` that the backup's copy lacks, must not be marked: the backup has a worse copy.
    ///
    /// # Errors
    /// Any `CryptoError`; the keys are passed again then.
    async fn mark_read_back(&self, backup: BackupTarget, keys: Vec<RoomKey>) -> Result<(), CryptoError>;
}

/// How many room keys the app's crypto has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, uniffi::Record)]
pub struct SourceCounts {
    /// All room keys.
    pub total: u64,
    /// Those that are in the backup, as far as the crypto knows.
    pub backed_up: u64,
}

/// A backup version that keys are uploaded to. Version numbers can repeat; the public key tells two backups apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, uniffi::Record)]
pub struct BackupTarget {
    /// The version, as the server names it.
    pub version: String,
    /// The public key of that version, unpadded base64.
    pub public_key: String,
}

/// A page of room keys to upload, encrypted to the backup's public key.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct SourcePage {
    /// Names the page for `RoomKeySource.mark_page`.
    pub id: String,
    /// The JSON object `rooms` of `PUT /room_keys/keys`: from room id to `{"sessions": {session id: entry}}`.
    pub rooms_json: String,
}

/// A backup that keyferry has created.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
#[uniffi::export(Debug)]
pub struct NewBackup {
    /// The version and its public key.
    pub target: BackupTarget,
    /// The decryption key: base64 of 32 bytes, as `m.megolm_backup.v1` holds it.
    pub decryption_key: SecretString,
}
