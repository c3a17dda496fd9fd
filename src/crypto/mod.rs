//! The app's crypto: the traits that it implements, and ready implementations over matrix-sdk-crypto's `OlmMachine`
//! (feature `matrix-sdk-sink`).
//!
//! `docs/clients.md` says how each client and each SDK joins.

mod error;
mod key_file;
#[cfg(feature = "matrix-sdk-sink")]
mod olm_machine;
mod secret_keeper;
mod signer;
mod sink;
mod source;

pub use error::CryptoError;
pub(crate) use key_file::KeyExportWriter;
pub use key_file::{KeyFile, KeyFileSink, exported_json, key_file};
#[cfg(feature = "matrix-sdk-sink")]
pub use olm_machine::{AccountData, OlmMachineBackupSigner, OlmMachineSecretKeeper, OlmMachineSink, OlmMachineSource};
pub use secret_keeper::SecretKeeper;
pub use signer::BackupSigner;
pub use sink::{RoomKeySink, SinkAnswer, SinkError, SinkLimits};
pub use source::{BackupTarget, NewBackup, RoomKeySource, SourceCounts, SourcePage};
