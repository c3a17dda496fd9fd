//! Helpers for the tests: a host and a sink that record what they receive, and a client in its own directory.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use keyferry::{
    Account, ArrivedRoomKeys, ClientOptions, CompletionProof, ConflictNotice, DownloadProgress, HostError,
    HttpTransport, JobHost, KeyBackupClient, OpenError, PreferenceConflict, PreferenceNotice, PreferenceResolution,
    ReqwestTransport, RoomKey, RoomKeyLookup, RoomKeySink, RunOutcome, SecretBytes, SecretString, SinkAnswer,
    SinkError, TokenRequest, UnlockSecret, VaultProtection, WakeUp, WakeUpPurpose,
};
use keyferry_test_homeserver::{AccountInfo, Config, Homeserver, TrueKey};
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::secrets::keep_out_of_logs;

/// The outcome of a run that got all keys in one answer.
pub(crate) const WHOLE: RunOutcome = RunOutcome::Completed {
    proof: CompletionProof::Whole,
    accepted_shortfall: 0,
};

/// The outcome of a run that got all keys room by room, or only those that are new since the last run.
pub(crate) const COUNTED: RunOutcome = RunOutcome::Completed {
    proof: CompletionProof::Counted,
    accepted_shortfall: 0,
};

/// Returns the outcome of a run that has fetched everything while these versions are locked.
pub(crate) fn locked(versions: &[&str]) -> RunOutcome {
    RunOutcome::NeedsUnlock {
        versions: versions.iter().map(|version| (*version).to_owned()).collect(),
    }
}

pub(crate) fn homeserver(keys: u64, rooms: u64) -> Homeserver {
    start(Config {
        keys,
        rooms,
        ..Config::default()
    })
}

pub(crate) fn start(config: Config) -> Homeserver {
    Homeserver::start(config).expect("the small homeserver starts")
}

/// A host that has an access token and records what it is told.
#[derive(Default)]
pub(crate) struct Listener {
    pub(crate) token: Mutex<String>,
    pub(crate) refreshed_token: Mutex<Option<String>>,
    pub(crate) token_requests: Mutex<Vec<TokenRequest>>,
    pub(crate) rooms: Mutex<Vec<String>>,
    pub(crate) progress: Mutex<Vec<DownloadProgress>>,
    pub(crate) arrived: Mutex<u64>,
    pub(crate) notices: Mutex<Vec<PreferenceNotice>>,
    pub(crate) key_conflicts: Mutex<Vec<ConflictNotice>>,
    pub(crate) conflicts: Mutex<Vec<PreferenceConflict>>,
    /// The answer to a preference conflict.
    pub(crate) resolution: Mutex<Option<PreferenceResolution>>,
    /// An answer to the next preference conflict that may come late, like that of a user who takes their time.
    pub(crate) late_resolution: Mutex<Option<oneshot::Receiver<PreferenceResolution>>>,
    /// The wake-up that was last scheduled for the preference, if any.
    pub(crate) wake_up: Mutex<Option<WakeUp>>,
    /// The wake-up that was last scheduled for the download, if any.
    pub(crate) download_wake_up: Mutex<Option<WakeUp>>,
}

#[async_trait]
impl JobHost for Listener {
    async fn access_token(&self, request: TokenRequest) -> Result<SecretString, HostError> {
        self.token_requests.lock().expect("not poisoned").push(request);
        if request == TokenRequest::PreviousRejected
            && let Some(token) = self.refreshed_token.lock().expect("not poisoned").take()
        {
            *self.token.lock().expect("not poisoned") = token;
        }
        Ok(self.token.lock().expect("not poisoned").clone().into())
    }

    async fn rooms_by_priority(&self) -> Result<Vec<String>, HostError> {
        Ok(self.rooms.lock().expect("not poisoned").clone())
    }

    async fn on_progress(&self, progress: DownloadProgress) -> Result<(), HostError> {
        self.progress.lock().expect("not poisoned").push(progress);
        Ok(())
    }

    async fn on_room_keys_arrived(&self, arrived: Vec<ArrivedRoomKeys>) -> Result<(), HostError> {
        *self.arrived.lock().expect("not poisoned") +=
            arrived.iter().map(|room| room.session_ids.len() as u64).sum::<u64>();
        Ok(())
    }

    async fn on_conflicts(&self, notice: ConflictNotice) -> Result<(), HostError> {
        self.key_conflicts.lock().expect("not poisoned").push(notice);
        Ok(())
    }

    async fn on_preference_changed(&self, notice: PreferenceNotice) -> Result<(), HostError> {
        self.notices.lock().expect("not poisoned").push(notice);
        Ok(())
    }

    async fn resolve_preference_conflict(
        &self,
        conflict: PreferenceConflict,
    ) -> Result<PreferenceResolution, HostError> {
        self.conflicts.lock().expect("not poisoned").push(conflict);
        let late = self.late_resolution.lock().expect("not poisoned").take();
        let resolution = match late {
            Some(late) => late.await.ok(),
            None => *self.resolution.lock().expect("not poisoned"),
        };
        resolution.ok_or(HostError::Failed {
            detail: "nobody to ask".to_owned(),
        })
    }

    async fn schedule_wake_up(&self, purpose: WakeUpPurpose, wake_up: Option<WakeUp>) -> Result<(), HostError> {
        let kept = match purpose {
            WakeUpPurpose::PreferenceWrite => &self.wake_up,
            _ => &self.download_wake_up,
        };
        *kept.lock().expect("not poisoned") = wake_up;
        Ok(())
    }
}

/// A sink that records its keys, and can be slow, refuse or fail.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) keys: Mutex<Vec<RoomKey>>,
    pub(crate) batches: Mutex<Vec<usize>>,
    pub(crate) delay: Mutex<Duration>,
    /// The number of batches to take before failing.
    pub(crate) fails_after: Mutex<Option<usize>>,
    /// The session to refuse.
    pub(crate) refuses: Mutex<Option<String>>,
}

#[async_trait]
impl RoomKeySink for Recorder {
    async fn deliver(&self, keys: Vec<RoomKey>) -> Result<Vec<SinkAnswer>, SinkError> {
        let delay = *self.delay.lock().expect("not poisoned");
        tokio::time::sleep(delay).await;
        if let Some(left) = self.fails_after.lock().expect("not poisoned").as_mut() {
            if *left == 0 {
                return Err(SinkError::Unavailable {
                    detail: "on purpose".to_owned(),
                });
            }
            *left -= 1;
        }
        let refuses = self.refuses.lock().expect("not poisoned").clone();
        self.batches.lock().expect("not poisoned").push(keys.len());
        let answers = keys
            .iter()
            .map(|key| match &refuses {
                Some(session) if *session == key.session_id => SinkAnswer::Refused {
                    reason: "not this one".to_owned(),
                },
                _ => SinkAnswer::Imported,
            })
            .collect();
        self.keys.lock().expect("not poisoned").extend(keys);
        Ok(answers)
    }
}

/// What a client needs: a directory, a host, a sink and an account.
pub(crate) struct Setup {
    pub(crate) directory: TempDir,
    pub(crate) host: Arc<Listener>,
    pub(crate) sink: Option<Arc<Recorder>>,
    pub(crate) account: AccountInfo,
}

impl Setup {
    pub(crate) fn new(homeserver: &Homeserver) -> Self {
        let account = homeserver.account().clone();
        keep_out_of_logs(&account);
        let host = Arc::new(Listener {
            token: Mutex::new(account.access_token.clone()),
            ..Listener::default()
        });
        Self {
            directory: tempfile::tempdir().expect("a directory"),
            host,
            sink: None,
            account,
        }
    }

    pub(crate) fn with_sink(homeserver: &Homeserver) -> Self {
        Self {
            sink: Some(Arc::default()),
            ..Self::new(homeserver)
        }
    }

    pub(crate) fn options(&self) -> ClientOptions {
        ClientOptions {
            account: Account {
                homeserver_url: self.account.homeserver_url.clone(),
                user_id: self.account.user_id.clone(),
                device_id: self.account.device_id.clone(),
            },
            data_dir: self.directory.path().join("vault").display().to_string(),
            protection: VaultProtection::Key {
                key: SecretBytes::from(vec![7; 32]),
            },
            preference: None,
            download: None,
            process_name: None,
            file_downloads: None,
        }
    }

    pub(crate) async fn open(&self) -> Arc<KeyBackupClient> {
        self.open_with(self.options()).await.expect("the client opens")
    }

    pub(crate) async fn open_with(&self, options: ClientOptions) -> Result<Arc<KeyBackupClient>, OpenError> {
        let transport: Arc<dyn HttpTransport> = Arc::new(ReqwestTransport::new().expect("a transport"));
        self.open_over(options, transport).await
    }

    pub(crate) async fn open_over(
        &self,
        options: ClientOptions,
        transport: Arc<dyn HttpTransport>,
    ) -> Result<Arc<KeyBackupClient>, OpenError> {
        let sink = self.sink.clone().map(|sink| sink as Arc<dyn RoomKeySink>);
        KeyBackupClient::open(options, transport, self.host.clone(), sink).await
    }

    pub(crate) async fn open_unlocked(&self) -> Arc<KeyBackupClient> {
        let client = self.open().await;
        client.unlock(self.recovery_key()).await.expect("the recovery key fits");
        client
    }

    pub(crate) fn recovery_key(&self) -> UnlockSecret {
        UnlockSecret::RecoveryKey {
            text: self.account.recovery_key.as_str().into(),
        }
    }
}

/// Asserts that a key equals the truth.
pub(crate) fn assert_true(key: &RoomKey, truth: &TrueKey) {
    assert_eq!(key.room_id, truth.room_id);
    assert_eq!(key.session_id, truth.session_id);
    assert_eq!(key.session_key.expose(), truth.session_key);
    assert_eq!(key.sender_key, truth.sender_key);
    assert_eq!(key.first_known_index, truth.first_known_index);
    assert_eq!(key.shared_history, truth.shared_history);
}

/// Asserts that each usable key was delivered once, as it is in the truth, and nothing else.
pub(crate) fn assert_all_once(delivered: &[RoomKey], homeserver: &Homeserver) {
    let mut by_name: HashMap<(&str, &str), &RoomKey> = HashMap::new();
    for key in delivered {
        let before = by_name.insert((&key.room_id, &key.session_id), key);
        assert!(before.is_none(), "delivered twice: {}", key.session_id);
    }
    let mut usable = 0;
    for index in 0..homeserver.truth().len() {
        let truth = homeserver.truth().key(index);
        if truth.usable {
            usable += 1;
            let key = by_name.get(&(truth.room_id.as_str(), truth.session_id.as_str()));
            assert_true(key.expect("every usable key is delivered"), &truth);
        }
    }
    assert_eq!(by_name.len(), usable);
}

/// Asserts that the vault equals the truth, key by key.
pub(crate) async fn assert_vault_complete(client: &KeyBackupClient, homeserver: &Homeserver) {
    for index in 0..homeserver.truth().len() {
        let truth = homeserver.truth().key(index);
        let found = client
            .find_room_key(truth.room_id.clone(), truth.session_id.clone())
            .await
            .expect("a look-up");
        match found {
            RoomKeyLookup::Found { key, .. } => assert_true(&key, &truth),
            RoomKeyLookup::Unusable { .. } if !truth.usable => {}
            other => panic!("key {index}: {other:?}"),
        }
    }
}
