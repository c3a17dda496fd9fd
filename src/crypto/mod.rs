//! The app's crypto: the traits that it implements, and ready implementations over matrix-sdk-crypto's `OlmMachine`
//! (feature `matrix-sdk-sink`).
//!
//! Apps on matrix-sdk-crypto or on matrix-sdk-crypto-ffi can implement all of them today. matrix-sdk's `Client` keeps
//! its `OlmMachine` private, and matrix-sdk-ffi cannot import room keys: such apps use look-ups or the export file
//! instead of a sink, or add one function to their bindings.

mod error;
#[cfg(feature = "matrix-sdk-sink")]
mod olm_machine;
mod secret_keeper;
mod signer;
mod sink;
mod source;

pub use error::CryptoError;
#[cfg(feature = "matrix-sdk-sink")]
pub use olm_machine::{AccountData, OlmMachineBackupSigner, OlmMachineSecretKeeper, OlmMachineSink, OlmMachineSource};
pub use secret_keeper::SecretKeeper;
pub use signer::BackupSigner;
pub use sink::{RoomKeySink, SinkAnswer, SinkError, SinkLimits};
pub use source::{BackupTarget, NewBackup, RoomKeySource, SourceCounts, SourcePage};
