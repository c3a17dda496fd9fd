//! A machine that uploads keys to a backup.

use std::{collections::BTreeMap, path::Path};

use keyferry::{BackupOrigin, OlmMachineSink, RoomKey, RoomKeySink, SinkAnswer};
use matrix_sdk_crypto::{OlmMachine, store::types::BackupDecryptionKey};
use ruma::api::client::backup::EncryptedSessionData;
use serde_json::Value;

use crate::support::{sessions::machines, sinks::Kind};

/// The first index of a copy, and its flag for shared history.
pub(super) type Copied = (u32, bool);

/// A machine with a database, and the private key of the backup that it uploads to.
pub(super) struct Uploader {
    pub(super) machine: OlmMachine,
    key: BackupDecryptionKey,
    /// The kind of sink that it delivers through.
    kind: Kind,
}

impl Uploader {
    /// Creates a machine that uploads to version 1.
    pub(super) async fn new(directory: &Path, kind: Kind) -> Self {
        let [machine, _] = machines(directory).await;
        let key = BackupDecryptionKey::new();
        let uploader = Self { machine, key, kind };
        uploader.switch_on("1").await;
        uploader
    }

    /// Switches backups on for this version.
    pub(super) async fn switch_on(&self, version: &str) {
        let backups = self.machine.backup_machine();
        let saved = backups.save_decryption_key(Some(self.key.clone()), Some(version.to_owned()));
        saved.await.expect("the key is saved");
        enable(&self.machine, &self.key, version).await;
    }

    /// Returns the origin of keys in version 1.
    pub(super) fn origin(&self) -> BackupOrigin {
        BackupOrigin {
            version: "1".to_owned(),
            public_key: self.key.megolm_v1_public_key().to_base64(),
            is_current: true,
        }
    }

    /// Delivers keys through a new sink.
    pub(super) async fn deliver(&self, keys: Vec<RoomKey>) -> Vec<SinkAnswer> {
        let sink = self.kind.of(OlmMachineSink::new(self.machine.clone()));
        sink.deliver(keys).await.expect("the keys are taken")
    }

    /// Returns the keys that wait for upload, decrypted with the key of the backup.
    pub(super) async fn waiting(&self) -> BTreeMap<String, Copied> {
        let backups = self.machine.backup_machine();
        let request = backups.backup().await.expect("a request");
        let rooms = request.map(|(_, request)| request.rooms).unwrap_or_default();
        let mut waiting = BTreeMap::new();
        for (session_id, entry) in rooms.into_values().flat_map(|room| room.sessions) {
            let entry = entry.deserialize_as_unchecked::<Value>().expect("JSON");
            let data: EncryptedSessionData = serde_json::from_value(entry["session_data"].clone()).expect("data");
            let key = self.key.decrypt_session_data(data).expect("a key");
            let index = entry["first_message_index"].as_u64().expect("an index");
            waiting.insert(session_id, (index.try_into().expect("a small one"), key.shared_history));
        }
        let counts = backups.room_key_counts().await.expect("counts");
        assert_eq!(counts.total - counts.backed_up, waiting.len());
        assert!(waiting.len() < 100, "one request does not hold all keys");
        waiting
    }
}

/// Makes a machine upload to this version.
pub(super) async fn enable(machine: &OlmMachine, key: &BackupDecryptionKey, version: &str) {
    let public_key = key.megolm_v1_public_key();
    public_key.set_version(version.to_owned());
    let enabled = machine.backup_machine().enable_backup_v1(public_key);
    enabled.await.expect("backups are on");
}

/// Whether and how a machine uploads to the backup.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Backups {
    On,
    NeverOn,
    OnWithoutPrivateKey,
    OnForAnotherVersion,
    OnWithTheKeyOfAnotherVersion,
    SwitchedOff,
}

impl Backups {
    /// Creates a machine that uploads in this way.
    pub(super) async fn uploader(self, directory: &Path, kind: Kind) -> Uploader {
        let [machine, _] = machines(directory).await;
        let key = BackupDecryptionKey::new();
        let uploader = Uploader { machine, key, kind };
        match self {
            Self::On => uploader.switch_on("1").await,
            Self::NeverOn => {}
            Self::OnWithoutPrivateKey => enable(&uploader.machine, &uploader.key, "1").await,
            Self::OnForAnotherVersion => uploader.switch_on("2").await,
            Self::OnWithTheKeyOfAnotherVersion => {
                uploader.switch_on("2").await;
                enable(&uploader.machine, &uploader.key, "1").await;
            }
            Self::SwitchedOff => {
                uploader.switch_on("1").await;
                let disabled = uploader.machine.backup_machine().disable_backup().await;
                disabled.expect("backups are off");
            }
        }
        uploader
    }
}
