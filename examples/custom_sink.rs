//! A sink of your own: every delivered key becomes a line in a file. What an app does here is to call its crypto.
//!
//! ```text
//! custom_sink ACCOUNT.json DATA_DIR DELIVERIES.txt
//! ```
//! The account is what `keyferry-test-homeserver` prints. Exits with 0 when everything is delivered.

#![allow(clippy::print_stderr, reason = "a program for people")]

use std::{
    fs::{File, OpenOptions},
    io::Write,
    process::ExitCode,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use keyferry::{
    Account, ArrivedRoomKeys, ClientOptions, DownloadProgress, HostError, JobHost, KeyBackupClient, PreferenceConflict,
    PreferenceNotice, PreferenceResolution, ReqwestTransport, RoomKey, RoomKeySink, RunBudget, RunOutcome, SecretBytes,
    SecretString, SinkAnswer, SinkError, TokenRequest, UnlockSecret, VaultProtection, WakeUp, WakeUpPurpose,
};

struct FileSink(Mutex<File>);

#[async_trait]
impl RoomKeySink for FileSink {
    async fn deliver(&self, keys: Vec<RoomKey>) -> Result<Vec<SinkAnswer>, SinkError> {
        let lines: String = keys
            .iter()
            .map(|key| format!("{} {}\n", key.room_id, key.session_id))
            .collect();
        let unavailable = |detail: &str| SinkError::Unavailable {
            detail: detail.to_owned(),
        };
        let mut file = self.0.lock().map_err(|_| unavailable("lock"))?;
        // What is answered for must be durable.
        file.write_all(lines.as_bytes())
            .and_then(|()| file.sync_data())
            .map_err(|_| unavailable("file"))?;
        Ok(vec![SinkAnswer::Imported; keys.len()])
    }
}

struct Host(SecretString);

#[async_trait]
impl JobHost for Host {
    async fn access_token(&self, _request: TokenRequest) -> Result<SecretString, HostError> {
        Ok(self.0.clone())
    }

    async fn rooms_by_priority(&self) -> Result<Vec<String>, HostError> {
        Ok(Vec::new())
    }

    async fn on_progress(&self, _progress: DownloadProgress) -> Result<(), HostError> {
        Ok(())
    }

    async fn on_room_keys_arrived(&self, _arrived: Vec<ArrivedRoomKeys>) -> Result<(), HostError> {
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

#[tokio::main]
async fn main() -> ExitCode {
    match restore().await {
        Ok(RunOutcome::Completed) => ExitCode::SUCCESS,
        Ok(other) => {
            eprintln!("not finished: {other:?}");
            ExitCode::from(3)
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn restore() -> Result<RunOutcome, Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(account), Some(data_dir), Some(deliveries)) = (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err("usage: custom_sink ACCOUNT.json DATA_DIR DELIVERIES.txt".into());
    };
    let account: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(account)?)?;
    let text = |name: &str| account[name].as_str().unwrap_or_default().to_owned();
    let options = ClientOptions {
        account: Account {
            homeserver_url: text("homeserver_url"),
            user_id: text("user_id"),
            device_id: text("device_id"),
        },
        data_dir,
        // An app keeps a random key in the system's keyring instead.
        protection: VaultProtection::Key {
            key: SecretBytes::from(vec![7; 32]),
        },
        preference: None,
    };
    let mut deliveries = OpenOptions::new().create(true).append(true).open(deliveries)?;
    // A line that a kill has torn off ends here.
    writeln!(deliveries)?;
    let sink = FileSink(Mutex::new(deliveries));
    let transport = Arc::new(ReqwestTransport::new()?);
    let host = Arc::new(Host(text("access_token").into()));
    let client = KeyBackupClient::open(options, transport, host, Some(Arc::new(sink))).await?;
    if !client.download().status().await?.unlocked {
        client
            .unlock(UnlockSecret::RecoveryKey {
                text: text("recovery_key").into(),
            })
            .await?;
    }
    let report = client.download().run(RunBudget::default()).await;
    client.shutdown();
    Ok(report.outcome)
}
