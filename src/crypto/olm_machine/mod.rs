//! The app's crypto over a live `OlmMachine` of matrix-sdk-crypto, whose rules of merging and trust it keeps.

mod backup_marks;
mod delivery;
mod export;
mod import;
mod local_copy;
mod local_sessions;
mod new_sessions;
mod pace;
mod secret_keeper;
mod signer;
mod sink;
mod source;

use matrix_sdk_crypto::{OlmMachine, store::CryptoStoreError};

pub use secret_keeper::{AccountData, OlmMachineSecretKeeper};
pub use signer::OlmMachineBackupSigner;
pub use sink::OlmMachineSink;
pub use source::OlmMachineSource;

use super::CryptoError;

/// Returns the machine that the app has now, if any: apps replace it.
type MachineSource = dyn Fn() -> Option<OlmMachine> + Send + Sync;

fn no_machine() -> CryptoError {
    CryptoError::Unavailable {
        detail: "no machine".to_owned(),
    }
}

impl From<CryptoStoreError> for CryptoError {
    fn from(_: CryptoStoreError) -> Self {
        Self::Unavailable {
            detail: "the crypto store".to_owned(),
        }
    }
}
