//! A backup of 50,000 keys moves to a new key while the moving device is killed again and again, and another device
//! repairs the backup in the worst moment.

#![allow(clippy::print_stderr, reason = "the seed is printed")]

use std::{
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use keyferry::{KeyBackupClient, RoomKeyLookup, RunBudget, UnlockError, UnlockSecret};
use keyferry_test_homeserver::{Config, Homeserver};
use keyferry_test_synapse::{Device, Synapse};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::common::{host, options, synapse, transport};

const KEYS: u64 = 50_000;
const ROOMS: u64 = 200;
const KILLS: u32 = 50;
/// The account data that makes up secret storage.
const STORAGE: [&str; 2] = ["m.secret_storage.default_key", "m.megolm_backup.v1"];

/// An account on Synapse with the backup of a small homeserver, which knows what is in it.
struct Account {
    synapse: Synapse,
    device: Device,
    small: Homeserver,
    directory: tempfile::TempDir,
}

impl Account {
    async fn new() -> Self {
        let small = Homeserver::start(Config {
            keys: KEYS,
            rooms: ROOMS,
            ..Config::default()
        });
        let small = small.expect("it starts");
        let synapse = synapse().await;
        let device = synapse.register("alice", "FIRST").await;
        let account = Self {
            synapse,
            device,
            small,
            directory: tempfile::tempdir().expect("a directory"),
        };
        account.copy_backup().await;
        account
    }

    /// Copies the backup and its secret storage to Synapse.
    async fn copy_backup(&self) {
        let auth_data = self.small.auth_data_of("1").expect("it is there");
        let info = json!({ "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2", "auth_data": auth_data });
        self.device.post("room_keys/version", info).await;
        let url = format!("{}/_matrix/client/v3/room_keys/keys?version=1", self.small.url());
        let request = reqwest::Client::new()
            .get(url)
            .bearer_auth(&self.small.account().access_token);
        let body = request.send().await.expect("an answer").bytes().await.expect("a body");
        let mut keys: Value = serde_json::from_slice(&body).expect("JSON");
        let rooms = keys["rooms"].as_object_mut().expect("rooms");
        for (room, sessions) in std::mem::take(rooms) {
            let upload = json!({ "rooms": { room: sessions } });
            self.device.put("room_keys/keys?version=1", upload).await;
        }
        let id = self.small.account_data(STORAGE[0]).expect("it is there")["key"].clone();
        let description = format!("m.secret_storage.key.{}", id.as_str().expect("an id"));
        for kind in [description.as_str(), STORAGE[0], STORAGE[1]] {
            let content = self.small.account_data(kind).expect("it is there");
            self.device.put(&self.account_data(kind), content).await;
        }
        // A secret of somebody else's.
        let other = json!({ "encrypted": { "x": { "ciphertext": "theirs" } } });
        self.device.put(&self.account_data("org.example.secret"), other).await;
    }

    fn account_data(&self, kind: &str) -> String {
        format!("user/{}/account_data/{kind}", self.device.user_id)
    }

    /// Returns the recovery key of the secret storage that the account has at first.
    fn first_recovery_key(&self) -> &str {
        &self.small.account().recovery_key
    }

    /// Returns the number of the current version.
    async fn current(&self) -> String {
        let info = self.device.get("room_keys/version").await;
        info["version"].as_str().expect("a version").to_owned()
    }

    async fn assert_old_version_is_whole(&self) {
        let old = self.device.get("room_keys/version/1").await;
        assert_eq!(old["count"], KEYS);
    }

    /// Lets another device sign in and repair the backup, as Element does.
    fn repair(&self) -> String {
        let program = std::env::var("KEYFERRY_SECOND_DEVICE").expect("KEYFERRY_SECOND_DEVICE, see scripts/test.sh");
        let output = Command::new(program)
            .args([
                "repair",
                self.synapse.url(),
                "alice",
                "alice",
                self.first_recovery_key(),
            ])
            .output()
            .expect("it runs");
        String::from_utf8(output.stdout).expect("text")
    }
}

/// The device that moves the backup: the example `reset` as a process, again and again.
struct Mover<'a> {
    account: &'a Account,
    /// The recovery key of the secret storage that the account has.
    recovery_key: String,
    /// Whether the moves renew secret storage.
    renews_storage: bool,
    /// The recovery key of the new storage, as the example has printed it.
    new_recovery_key: Option<String>,
}

impl<'a> Mover<'a> {
    fn new(account: &'a Account) -> Self {
        Self {
            account,
            recovery_key: account.first_recovery_key().to_owned(),
            renews_storage: false,
            new_recovery_key: None,
        }
    }

    /// Starts a process that begins a move, or goes on with it.
    fn spawn(&self) -> Child {
        let directory = self.account.directory.path();
        let file = directory.join("account.json");
        let account = json!({
            "homeserver_url": self.account.synapse.url(),
            "user_id": self.account.device.user_id,
            "device_id": self.account.device.id,
            "access_token": self.account.device.access_token(),
            "recovery_key": self.recovery_key,
        });
        std::fs::write(&file, account.to_string()).expect("it is written");
        let mut command = Command::new(example());
        command.args([&file, &self.directory()]).args(["--yes", "--keep-old"]);
        if self.renews_storage {
            command.arg("--new-storage");
        }
        if let Some(key) = &self.new_recovery_key {
            command.args(["--new-recovery-key", key]);
        }
        let child = command.stdout(Stdio::piped()).spawn();
        child.expect("the example is built beside this program")
    }

    fn directory(&self) -> PathBuf {
        self.account.directory.path().join("data")
    }

    /// Waits for the end of a process, and notes what it has printed. When it has completed a move, the next process
    /// begins another, from an empty vault and into new secret storage.
    fn end(&mut self, child: Child) -> ExitStatus {
        let output = child.wait_with_output().expect("it ends");
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let said: Value = serde_json::from_str(line).unwrap_or_default();
            if let Some(key) = said["new_recovery_key"].as_str() {
                self.new_recovery_key = Some(key.to_owned());
            }
        }
        if output.status.success() {
            if let Some(key) = self.new_recovery_key.take() {
                self.recovery_key = key;
            }
            self.renews_storage = true;
            std::fs::remove_dir_all(self.directory()).expect("it is removed");
        }
        output.status
    }

    /// Completes a move.
    fn complete(&mut self) {
        for _ in 0..5 {
            let child = self.spawn();
            if self.end(child).success() {
                return;
            }
        }
        panic!("the move does not complete");
    }

    /// Kills processes, each at a random moment, and returns how many moves were completed before. However fast the
    /// machine is, there is always a move under way.
    async fn strike(&mut self) -> u32 {
        let mut seed = u64::from(std::process::id());
        eprintln!("the kills come at moments of seed {seed}");
        let (mut kills, mut moves) = (0, 0);
        for _ in 0..4 * KILLS {
            let child = self.spawn();
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            tokio::time::sleep(Duration::from_millis(50 + (seed >> 33) % 1_200)).await;
            signal(&child, Signal::KILL);
            let status = self.end(child);
            moves += u32::from(status.success());
            kills += u32::from(status.signal() == Some(Signal::KILL.as_raw()));
            if kills == KILLS {
                return moves;
            }
        }
        panic!("{kills} of {KILLS} processes were killed with work under way");
    }
}

/// Returns the path of the example `reset`, which is built beside this program.
fn example() -> PathBuf {
    let own = std::env::current_exe().expect("a path");
    let profile = own.parent().and_then(Path::parent).expect("below the profile's folder");
    profile.join("examples/reset")
}

fn signal(child: &Child, signal: Signal) {
    // It may have ended.
    let _ = kill_process(Pid::from_child(child), signal);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Synapse: run scripts/test.sh synapse"]
async fn a_backup_moves_under_kills_and_amid_another_devices_repair() {
    let account = Account::new().await;
    let mut mover = Mover::new(&account);

    // The other device repairs the backup when the new version exists and its key is not published yet.
    let mut child = mover.spawn();
    while account.current().await == "1" {
        assert!(child.try_wait().expect("a status").is_none(), "it moves");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    signal(&child, Signal::STOP);
    let repaired = account.repair();
    account.assert_old_version_is_whole().await;
    signal(&child, Signal::CONT);
    mover.end(child);
    let after_repair = account.current().await;
    eprintln!(
        "the other device has {}; version {after_repair} is the current one",
        repaired.trim()
    );
    account.assert_old_version_is_whole().await;

    let began = Instant::now();
    let moves = mover.strike().await;
    account.assert_old_version_is_whole().await;
    eprintln!(
        "{KILLS} processes were killed, and {moves} completed a move before, in {:?}",
        began.elapsed()
    );
    mover.complete();
    if mover.recovery_key == account.first_recovery_key() {
        // That was the first move.
        mover.complete();
    }
    account.assert_old_version_is_whole().await;
    let theirs = account.device.get(&account.account_data("org.example.secret")).await;
    assert_eq!(theirs["encrypted"]["x"]["ciphertext"], "theirs");
    assert_restores(&account, &mover.recovery_key).await;
}

/// Asserts that a new device restores every key from the new version, with nothing but the new recovery key.
async fn assert_restores(account: &Account, recovery_key: &str) {
    let device = account.synapse.login("alice", "NEW").await;
    let options = options(&account.synapse, &device, account.directory.path().join("new"));
    let client = KeyBackupClient::open(options, transport(), host(&device), None).await;
    let client: Arc<KeyBackupClient> = client.expect("the client opens");
    let text = account.first_recovery_key().into();
    let refused = client.unlock(UnlockSecret::RecoveryKey { text }).await;
    assert!(matches!(refused, Err(UnlockError::WrongKey)), "{refused:?}");
    let text = recovery_key.into();
    let unlocked = client.unlock(UnlockSecret::RecoveryKey { text }).await;
    assert_ne!(unlocked.expect("the recovery key fits").version, "1");
    let report = client.download().run(RunBudget::default()).await;
    assert!(report.every_key_is_here, "{report:?}");
    assert_eq!(report.summary.total, KEYS);
    for index in 0..KEYS {
        let truth = account.small.truth().key(index);
        let found = client
            .find_room_key(truth.room_id.clone(), truth.session_id.clone())
            .await;
        let Ok(RoomKeyLookup::Found { key, .. }) = found else {
            panic!("{found:?}")
        };
        assert_eq!(key.session_key.expose(), truth.session_key);
        assert_eq!(key.first_known_index, truth.first_known_index);
        assert_eq!(key.shared_history, truth.shared_history);
        assert_eq!(
            key.sender_claimed_keys.get("ed25519"),
            truth.sender_claimed_ed25519.as_ref()
        );
    }
}
