//! An `OlmMachine` as a source of room keys. Its `BackupMachine` makes the pages, a hundred keys each.

use std::sync::Arc;

use async_trait::async_trait;
use matrix_sdk_crypto::{OlmMachine, olm::InboundGroupSession, store::types::BackupDecryptionKey};
use ruma::{OwnedTransactionId, RoomId, UInt, api::client::backup::add_backup_keys::v3::Response};
use zeroize::Zeroizing;

use super::{MachineSource, backup_marks::UploadTarget, no_machine};
use crate::{
    backup::{RoomKey, ratchet::Ratchet},
    crypto::{BackupTarget, CryptoError, NewBackup, RoomKeySource, SourceCounts, SourcePage},
};

/// Gives out the keys of a machine that are not backed up, and makes it use a new backup. Feature `matrix-sdk-sink`.
///
/// Passing the new key on to the user's other devices is up to the app.
pub struct OlmMachineSource(Arc<MachineSource>);

impl OlmMachineSource {
    /// Creates a source over one machine.
    pub fn new(machine: OlmMachine) -> Self {
        Self::with_source(move || Some(machine.clone()))
    }

    /// Creates a source that asks for the machine each time, for apps that replace it.
    pub fn with_source(source: impl Fn() -> Option<OlmMachine> + Send + Sync + 'static) -> Self {
        Self(Arc::new(source))
    }

    fn machine(&self) -> Result<OlmMachine, CryptoError> {
        (self.0)().ok_or_else(no_machine)
    }
}

#[async_trait]
impl RoomKeySource for OlmMachineSource {
    async fn count_room_keys(&self) -> Result<SourceCounts, CryptoError> {
        let counts = self.machine()?.backup_machine().room_key_counts().await?;
        Ok(SourceCounts {
            total: counts.total as u64,
            backed_up: counts.backed_up as u64,
        })
    }

    async fn backup_in_use(&self) -> Result<Option<BackupTarget>, CryptoError> {
        Ok(UploadTarget::of(&self.machine()?).await.map(BackupTarget::from))
    }

    async fn next_page(&self, backup: BackupTarget) -> Result<Option<SourcePage>, CryptoError> {
        let machine = self.machine()?;
        if !is_target(&machine, &backup).await {
            return Ok(None);
        }
        let Some((id, request)) = machine.backup_machine().backup().await? else {
            return Ok(None);
        };
        let rooms_json = serde_json::to_string(&request.rooms).map_err(|_| CryptoError::Refused {
            reason: "the machine made a request that is no JSON".to_owned(),
        })?;
        Ok((request.version == backup.version).then(|| SourcePage {
            id: id.to_string(),
            rooms_json,
        }))
    }

    async fn mark_page(&self, page_id: String) -> Result<(), CryptoError> {
        // The machine looks at nothing in the answer.
        let answer = Response::new(String::new(), UInt::MIN);
        let marked = self
            .machine()?
            .mark_request_as_sent(&OwnedTransactionId::from(page_id), &answer)
            .await;
        marked.map_err(|_| CryptoError::Unavailable {
            detail: "the keys could not be marked".to_owned(),
        })
    }

    async fn use_backup(&self, backup: NewBackup) -> Result<(), CryptoError> {
        let machine = self.machine()?;
        if is_target(&machine, &backup.target).await {
            return Ok(());
        }
        let unreadable = || CryptoError::Refused {
            reason: "the new key cannot be read".to_owned(),
        };
        let key = BackupDecryptionKey::from_base64(backup.decryption_key.expose()).map_err(|_| unreadable())?;
        let public_key = key.megolm_v1_public_key();
        if public_key.to_base64() != backup.target.public_key {
            return Err(unreadable());
        }
        let backups = machine.backup_machine();
        // Forgets which keys the old backup has: none of them is in the new one.
        backups.disable_backup().await?;
        let version = backup.target.version;
        backups.save_decryption_key(Some(key), Some(version.clone())).await?;
        public_key.set_version(version);
        backups.enable_backup_v1(public_key).await?;
        Ok(())
    }

    async fn mark_read_back(&self, backup: BackupTarget, keys: Vec<RoomKey>) -> Result<(), CryptoError> {
        let machine = self.machine()?;
        if !is_target(&machine, &backup).await {
            return Ok(());
        }
        let store = machine.store();
        let mut names = Vec::new();
        for key in &keys {
            let Ok(room_id) = <&RoomId>::try_from(key.room_id.as_str()) else {
                continue;
            };
            let session = store.get_inbound_group_session(room_id, &key.session_id).await?;
            if let Some(session) = session
                && !session.backed_up()
                && is_as_good(key, &session).await
            {
                names.push((room_id, key.session_id.as_str()));
            }
        }
        if !names.is_empty() {
            store
                .mark_inbound_group_sessions_as_backed_up(&backup.version, &names)
                .await?;
        }
        Ok(())
    }
}

async fn is_target(machine: &OlmMachine, backup: &BackupTarget) -> bool {
    let target = UploadTarget::of(machine).await;
    target.is_some_and(|target| BackupTarget::from(target) == *backup)
}

/// Whether the backup's copy of a session has everything that the store's copy has.
async fn is_as_good(key: &RoomKey, local: &InboundGroupSession) -> bool {
    if local.shared_history() && !key.shared_history {
        return false;
    }
    let ours = Zeroizing::new(local.export().await.session_key.to_bytes());
    let advanced = Ratchet::of(key).and_then(|mut ratchet| ratchet.at(local.first_known_index()));
    advanced.is_some_and(|advanced| advanced == ours)
}
