//! keyferry brings every room key of a Matrix key backup onto the device, in the background, and lets a user's
//! clients agree on whether to back up at all. Matrix apps on Android (Kotlin), iOS (Swift) and desktops (Rust) embed
//! it.
//!
//! Begin with [`KeyBackupClient`]: open it once per signed-in account, [unlock](KeyBackupClient::unlock) the backup
//! with the recovery key or passphrase that the user types, and [run](KeyDownload::run) the
//! [download](KeyBackupClient::download) whenever the OS gives the app an opportunity. The app implements
//! [`HttpTransport`] and [`JobHost`], and optionally a [`Keyring`] and a [`RoomKeySink`]. When the backup has to be reset,
//! [`KeyBackupClient::reset`] moves it without losing a key.
//!
//! | module | contents |
//! |---|---|
//! | `client` | the client that an app opens, and the traits that it implements |
//! | `unlock` | finding the backup decryption key from what the user has |
//! | `download` | the job: plan, fetch, open, deliver |
//! | `upload` | from the vault, and from the app's crypto, to the backup |
//! | `reset` | creating a backup, moving it to a new key, deleting old versions |
//! | `preference` | whether to back up at all, as shared by the user's clients |
//! | `compare` | whether copies of a session connect |
//! | `lookup` | one key, or the keys of a room, from the vault |
//! | `on_demand` | single keys and rooms from the server, and whether it has anything new |
//! | `sharing` | how many keys of a room may be shared |
//! | `export` | the encrypted key export file |
//! | `backup` | a key backup as data: no I/O |
//! | `homeserver` | typed endpoints over the app's transport |
//! | `vault` | the SQLite file |
//! | `job` | the machinery that every long job shares |
//! | `crypto` | the traits that the app's crypto implements |
//! | `logging` | where log lines go |
//!
#![doc = include_str!("examples.md")]

mod backup;
mod blocking;
mod client;
mod clock;
mod compare;
mod context;
mod crypto;
mod decryption_keys;
mod download;
mod export;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
#[allow(missing_docs, reason = "for the fuzz targets only")]
pub mod fuzzing;
mod homeserver;
mod ids;
mod job;
mod locked;
mod logging;
mod lookup;
mod milliseconds;
mod on_demand;
mod preference;
mod random;
mod remedy;
mod reset;
mod secret;
mod sharing;
mod unlock;
mod until_shut_down;
mod upload;
mod vault;
mod wake_up;

pub use backup::{BackupOrigin, FailureReason, RoomKey};
#[cfg(feature = "matrix-sdk-sink")]
pub use client::HomeserverAccountData;
pub use client::{
    Account, ClientOptions, HostError, JobHost, KeyBackupClient, Keyring, OpenError, VaultProtection, set_vault_aside,
};
#[cfg(feature = "matrix-sdk-sink")]
pub use crypto::{AccountData, OlmMachineBackupSigner, OlmMachineSecretKeeper, OlmMachineSink, OlmMachineSource};
pub use crypto::{
    BackupSigner, BackupTarget, CryptoError, KeyFile, KeyFileSink, NewBackup, RoomKeySink, RoomKeySource, SecretKeeper,
    SinkAnswer, SinkError, SinkLimits, SourceCounts, SourcePage, exported_json, key_file,
};
pub use download::*;
pub use export::{ExportError, ExportSummary};
#[cfg(feature = "reqwest-transport")]
pub use homeserver::ReqwestTransport;
pub use homeserver::{
    FileDownload, FileDownloads, HttpExchange, HttpHead, HttpHeader, HttpMethod, HttpRequest, HttpTransport,
    TokenRequest, TransportError,
};
pub use job::{AccessError, BlockedReason, PauseCause, RunBudget, RunFailure, RunHolder};
pub use logging::{LogLevel, init_logging};
pub use lookup::{KeyProof, RoomKeyLookup, RoomKeyPage};
pub use milliseconds::Milliseconds;
pub use on_demand::{RoomFetch, ServerNews};
pub use preference::*;
pub use remedy::Remedy;
pub use reset::*;
pub use secret::{SecretBytes, SecretString};
pub use sharing::RoomHistoryShareability;
pub use unlock::{UnlockError, UnlockSecret, UnlockedBackup};
pub use upload::{KeyUpload, PendingUpload, UploadHindrance, UploadOutcome, UploadReport, UploadStatus};
pub use wake_up::{WakeUp, WakeUpPurpose};

uniffi::setup_scaffolding!();
