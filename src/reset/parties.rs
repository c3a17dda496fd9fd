//! What a reset works with.

use std::sync::Arc;

use super::telling::ResetListener;
use crate::{
    context::Context,
    crypto::{BackupSigner, RoomKeySource, SecretKeeper},
    download::KeyDownload,
    job::{Jobs, Work, WorkSet},
    preference::KeyBackupPreference,
};

/// The kinds of work that a reset does between downloads: requests, and opening keys to encrypt them again.
pub(super) const WORKS: WorkSet = WorkSet::of(&[Work::Fetch, Work::Open]);

/// The app's crypto, as far as a reset needs it.
#[derive(Clone)]
pub(crate) struct ResetCrypto {
    pub(crate) secrets: Arc<dyn SecretKeeper>,
    pub(crate) signer: Arc<dyn BackupSigner>,
    pub(crate) source: Arc<dyn RoomKeySource>,
}

/// Everything outside the reset that it calls, until the client is shut down.
#[derive(Clone)]
pub(super) struct Parties {
    pub(super) jobs: Arc<Jobs>,
    pub(super) context: Arc<Context>,
    pub(super) download: Arc<KeyDownload>,
    pub(super) preference: Arc<KeyBackupPreference>,
    pub(super) listener: Arc<dyn ResetListener>,
    /// `None` if the app gave no access to its crypto.
    pub(super) crypto: Option<ResetCrypto>,
}
