//! Signs a new backup version with the keys of an `OlmMachine`.

use std::sync::Arc;

use async_trait::async_trait;
use matrix_sdk_crypto::{OlmMachine, types::RoomKeyBackupInfo};
use serde_json::{Value, json};

use super::{MachineSource, no_machine};
use crate::crypto::{BackupSigner, CryptoError};

const ALGORITHM: &str = "m.megolm_backup.v1.curve25519-aes-sha2";

/// Signs with the device's key and, if the machine has its private half, with the user's master key. Refuses what the
/// machine itself would not trust. Feature `matrix-sdk-sink`.
pub struct OlmMachineBackupSigner(Arc<MachineSource>);

impl OlmMachineBackupSigner {
    /// Creates a signer over one machine.
    pub fn new(machine: OlmMachine) -> Self {
        Self::with_source(move || Some(machine.clone()))
    }

    /// Creates a signer that asks for the machine each time, for apps that replace it.
    pub fn with_source(source: impl Fn() -> Option<OlmMachine> + Send + Sync + 'static) -> Self {
        Self(Arc::new(source))
    }
}

#[async_trait]
impl BackupSigner for OlmMachineBackupSigner {
    async fn sign_auth_data(&self, auth_data_json: String) -> Result<String, CryptoError> {
        let machine = (self.0)().ok_or_else(no_machine)?;
        let refused = |reason: &str| CryptoError::Refused {
            reason: reason.to_owned(),
        };
        let not_a_backup = || refused("this is no description of a backup");
        let auth_data: Value = serde_json::from_str(&auth_data_json).map_err(|_| not_a_backup())?;
        let info = json!({ "algorithm": ALGORITHM, "auth_data": auth_data });
        let mut info: RoomKeyBackupInfo = serde_json::from_value(info).map_err(|_| not_a_backup())?;
        let backups = machine.backup_machine();
        let signed = backups.sign_backup(&mut info).await;
        signed.map_err(|_| refused("the machine cannot sign"))?;
        if !backups.verify_backup(info.clone(), false).await?.trusted() {
            return Err(refused("the machine does not trust its own signature"));
        }
        let info = serde_json::to_value(&info).map_err(|_| not_a_backup())?;
        Ok(info["auth_data"].to_string())
    }
}
