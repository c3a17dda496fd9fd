//! Restores the backup of an account, as a new app on the crate does: `release-consumer ACCOUNT.json DATA_DIR`.

use std::{error::Error, sync::Arc};

use async_trait::async_trait;
use keyferry::{
    Account, ArrivedRoomKeys, ClientOptions, ConflictNotice, DownloadProgress, HostError, JobHost, KeyBackupClient,
    PreferenceConflict, PreferenceNotice, PreferenceResolution, ReqwestTransport, ResetProgress, RoomKey, RoomKeySink,
    RunBudget, SecretString, SinkAnswer, SinkError, SinkLimits, TokenRequest, UnlockSecret, VaultProtection, WakeUp,
    WakeUpPurpose,
};

struct App {
    access_token: String,
}

#[async_trait]
impl JobHost for App {
    async fn access_token(&self, _request: TokenRequest) -> Result<SecretString, HostError> {
        Ok(self.access_token.clone().into())
    }

    async fn rooms_by_priority(&self) -> Result<Vec<String>, HostError> {
        Ok(Vec::new())
    }

    async fn on_progress(&self, _progress: DownloadProgress) -> Result<(), HostError> {
        Ok(())
    }

    async fn on_reset_progress(&self, _progress: ResetProgress) -> Result<(), HostError> {
        Ok(())
    }

    async fn on_room_keys_arrived(&self, _arrived: Vec<ArrivedRoomKeys>) -> Result<(), HostError> {
        Ok(())
    }

    async fn on_conflicts(&self, _notice: ConflictNotice) -> Result<(), HostError> {
        Ok(())
    }

    async fn on_preference_changed(&self, _notice: PreferenceNotice) -> Result<(), HostError> {
        Ok(())
    }

    async fn resolve_preference_conflict(
        &self,
        _conflict: PreferenceConflict,
    ) -> Result<PreferenceResolution, HostError> {
        Ok(PreferenceResolution::AskLater)
    }

    async fn schedule_wake_up(&self, _purpose: WakeUpPurpose, _wake_up: Option<WakeUp>) -> Result<(), HostError> {
        Ok(())
    }
}

struct Crypto;

#[async_trait]
impl RoomKeySink for Crypto {
    async fn deliver(&self, keys: Vec<RoomKey>) -> Result<Vec<SinkAnswer>, SinkError> {
        Ok(keys.iter().map(|_| SinkAnswer::Imported).collect())
    }

    fn limits(&self) -> Result<SinkLimits, SinkError> {
        Ok(SinkLimits::default())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, account, data_dir] = arguments.as_slice() else {
        return Err("usage: release-consumer ACCOUNT.json DATA_DIR".into());
    };
    let details: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(account)?)?;
    let text = |name: &str| details[name].as_str().unwrap_or_default().to_owned();
    let account = Account {
        homeserver_url: text("homeserver_url"),
        user_id: text("user_id"),
        device_id: text("device_id"),
    };
    let protection = VaultProtection::Key { key: vec![7; 32].into() };
    let app = Arc::new(App { access_token: text("access_token") });
    let options = ClientOptions::new(account, data_dir.clone(), protection);
    let client = KeyBackupClient::open(options, Arc::new(ReqwestTransport::new()?), app, Some(Arc::new(Crypto))).await?;
    client.unlock(UnlockSecret::RecoveryKey { text: text("recovery_key").into() }).await?;
    let report = client.download().run(RunBudget::default()).await;
    println!("Rust: {} keys, {:?}", report.summary.delivered, report.outcome);
    if report.every_key_is_here { Ok(()) } else { Err("keys are missing".into()) }
}
