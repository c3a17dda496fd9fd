//! What look-ups answer.

use crate::{
    backup::{FailureReason, RoomKey},
    job::NoAccess,
    vault::{VaultError, VaultMeaning},
};

/// What the vault says of a session in a room.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
#[uniffi::export(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "bindings have no boxes, and it is made once for a call"
)]
pub enum RoomKeyLookup {
    /// Here it is. Of several copies that connect, the one that begins earliest; of several that do not, the one that an event
    /// has proved, else the one that came first.
    Found {
        /// The key.
        key: RoomKey,
        /// Other rooms that the same session stands under, none as a rule: the server may be moving keys. Whether the key is
        /// this room's shows when it decrypts, as the plaintext of an event names its room.
        other_rooms: Vec<String>,
    },
    /// It is not in the vault. It may be in the backup: see whether the download is complete.
    NotFound,
    /// The app's crypto has taken it, and by the app's policy it has left the vault: `fetch_session` gets it again.
    Trimmed,
    /// The entry is there, and can never be used.
    Unusable {
        /// Why.
        reason: FailureReason,
    },
}

/// Keys of a room.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct RoomKeyPage {
    /// The keys, each once: as `find_room_key` has it. Those that cannot be opened are left out.
    pub keys: Vec<RoomKey>,
    /// Pass it as `after` to go on; `None` at the end.
    pub next: Option<i64>,
}

/// A key could not be looked up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, uniffi::Error)]
#[uniffi::export(Display)]
#[non_exhaustive]
pub enum LookupError {
    /// The backup has not been unlocked: call `unlock`.
    #[error("the backup is not unlocked")]
    Locked,
    /// Another process writes for longer than five seconds, or the phone is locked. Passes by itself.
    #[error("the vault cannot be accessed")]
    Inaccessible,
    /// The vault was deleted, set aside or replaced since this client was opened: shut it down, and open another one.
    #[error("the vault is gone")]
    Gone,
    /// The vault is damaged: shut the client down, `set_vault_aside`, and open another one.
    #[error("the vault is damaged")]
    Damaged,
    /// A bug in the crate: the log says more.
    #[error("a bug in the crate")]
    Internal,
    /// The client is shut down.
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

/// Whether an event shows that a key is genuine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
#[non_exhaustive]
pub enum KeyProof {
    /// It does. From now on this key ranks before every other copy of its session, everywhere and over restarts.
    Proved,
    /// No copy in the vault decrypts the event, or its plaintext names another room. That proves nothing: the event may be
    /// forged, or from before the key begins. `fetch_room` may bring another copy.
    NotProved,
    /// The vault has no key that this could be about.
    NotFound,
}
