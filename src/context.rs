//! The objects that the features and jobs of one client share.

use std::sync::Arc;

use crate::{
    crypto::RoomKeySink,
    decryption_keys::DecryptionKeys,
    homeserver::{AccountDownloads, Homeserver},
    vault::Vault,
    wake_up::WakeUps,
};

/// Everything that a client works with. It holds callbacks of the app, so it is dropped when the client is shut down.
pub(crate) struct Context {
    pub(crate) homeserver: Homeserver,
    pub(crate) wake_ups: Arc<dyn WakeUps>,
    pub(crate) sink: Option<Arc<dyn RoomKeySink>>,
    pub(crate) vault: Vault,
    pub(crate) keys: Arc<DecryptionKeys>,
    /// The name of this process that is reported when another process asks who is running.
    pub(crate) process_name: String,
    pub(crate) files: Option<AccountDownloads>,
}
