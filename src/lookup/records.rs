//! The results and errors of look-ups.

use crate::{
    backup::{FailureReason, RoomKey},
    job::NoAccess,
    vault::{VaultError, VaultMeaning},
};

/// The result of looking for the key of a session in a room.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
#[uniffi::export(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "bindings have no boxes, and it is made once for a call"
)]
pub enum RoomKeyLookup {
    /// The key was found. If the session has several copies whose ratchets connect, this is the one that begins
    /// earliest. If they do not connect, it is the one that an event has proved (`prove_room_key`), or else the one
    /// that came first.
    Found {
        /// The key.
        key: RoomKey,
        /// Other rooms that the backup has the same session under. Usually empty; if not, the server may be moving
        /// keys. Decrypting an event shows whether the key belongs to this room, because the plaintext names its
        /// room.
        other_rooms: Vec<String>,
    },
    /// The key is not in the vault. It may be in the backup: check whether the download is complete.
    NotFound,
    /// The app's crypto has taken the key, and the app's policy has removed it from the vault. `fetch_session`
    /// fetches it again.
    Trimmed,
    /// The backup has an entry for the key, but it can never be used.
    Unusable {
        /// Why the entry cannot be used.
        reason: FailureReason,
    },
}

/// A page of the keys of one room.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct RoomKeyPage {
    /// The keys, each once, as `find_room_key` returns them. Keys that cannot be opened are left out.
    pub keys: Vec<RoomKey>,
    /// Pass this as `after` to get the next page; `None` on the last page.
    pub next: Option<i64>,
}

/// A key could not be looked up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, uniffi::Error)]
#[uniffi::export(Display)]
#[non_exhaustive]
pub enum LookupError {
    /// The entry is in the vault, but its backup version has not been unlocked: call `unlock`.
    #[error("the backup is not unlocked")]
    Locked,
    /// Another process has been writing for more than five seconds, the disk is full, or the phone is locked. Passes
    /// by itself.
    #[error("the vault cannot be accessed")]
    Inaccessible,
    /// The vault was deleted, set aside or replaced after this client was opened: shut the client down, and open
    /// another one.
    #[error("the vault is gone")]
    Gone,
    /// The vault is damaged: shut the client down, call `set_vault_aside`, and open another client.
    #[error("the vault is damaged")]
    Damaged,
    /// A bug in this crate. The log has details.
    #[error("a bug in the crate")]
    Internal,
    /// The client has been shut down.
    #[error("the client is shut down")]
    ShutDown,
}

impl From<NoAccess> for LookupError {
    fn from(reason: NoAccess) -> Self {
        match reason {
            NoAccess::ShutDown => Self::ShutDown,
            NoAccess::Vault(
                VaultMeaning::Busy | VaultMeaning::Overtaken | VaultMeaning::Inaccessible | VaultMeaning::DiskFull,
            ) => Self::Inaccessible,
            NoAccess::Vault(VaultMeaning::Gone) => Self::Gone,
            NoAccess::Vault(VaultMeaning::Damaged) => Self::Damaged,
            NoAccess::Vault(VaultMeaning::Bug) => Self::Internal,
        }
    }
}

impl From<VaultError> for LookupError {
    fn from(error: VaultError) -> Self {
        NoAccess::from(error).into()
    }
}

/// The result of `prove_room_key`: whether an event shows that a key is genuine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
#[non_exhaustive]
pub enum KeyProof {
    /// The event proves the key. From now on this key ranks before every other copy of its session, everywhere and
    /// across restarts.
    Proved,
    /// No copy in the vault decrypts the event, its plaintext names another room, or it cannot be parsed or names
    /// another session. This does not show that the key is forged: the event may be forged, or be from before the key
    /// begins. `fetch_room` may bring another copy.
    NotProved,
    /// The vault has no usable key for this session in this room.
    NotFound,
}
