//! A backup of 50,000 keys moves to a new key while the moving device is killed again and again, and another device
//! repairs the backup in the worst moment.

#![allow(clippy::print_stderr, reason = "the seed is printed")]

use std::{
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use keyferry::{KeyBackupClient, RoomKeyLookup, RunBudget, UnlockSecret};
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

    fn recovery_key(&self) -> &str {
        &self.small.account().recovery_key
    }

    /// Writes the file that the example reads.
    fn write(&self) -> PathBuf {
        let path = self.directory.path().join("account.json");
        let account = json!({
            "homeserver_url": self.synapse.url(),
            "user_id": self.device.user_id,
            "device_id": self.device.id,
            "access_token": self.device.access_token(),
            "recovery_key": self.recovery_key(),
        });
        std::fs::write(&path, account.to_string()).expect("it is written");
        path
    }

    /// Starts the example, which goes on with the move.
    fn spawn(&self, account: &Path) -> Child {
        Command::new(example())
            .args([account, &self.directory.path().join("data")])
            .args(["--yes", "--keep-old"])
            .stdout(Stdio::null())
            .spawn()
            .expect("the example is built beside this program")
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
            .args([self.synapse.url(), "alice", "alice", self.recovery_key()])
            .output()
            .expect("it runs");
        String::from_utf8(output.stdout).expect("text")
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
    let file = account.write();

    // The other device repairs the backup when the new version exists and its key is not published yet.
    let mut child = account.spawn(&file);
    while account.current().await == "1" {
        assert!(child.try_wait().expect("a status").is_none(), "it moves");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    signal(&child, Signal::STOP);
    let repaired = account.repair();
    account.assert_old_version_is_whole().await;
    signal(&child, Signal::CONT);
    child.wait().expect("it ends");
    let after_repair = account.current().await;
    eprintln!(
        "the other device has {}; version {after_repair} is the current one",
        repaired.trim()
    );
    account.assert_old_version_is_whole().await;

    strike(&account, &file).await;
    account.assert_old_version_is_whole().await;
    let mut tries = 0;
    while !account.spawn(&file).wait().expect("it ends").success() {
        tries += 1;
        assert!(tries < 5, "it completes");
    }
    account.assert_old_version_is_whole().await;
    let theirs = account.device.get(&account.account_data("org.example.secret")).await;
    assert_eq!(theirs["encrypted"]["x"]["ciphertext"], "theirs");
    assert_restores(&account).await;
}

/// Kills processes that move the backup, each at a random moment.
///
/// When one completes the move before it is killed, the next moves the backup again, from an empty vault, so that every
/// kill meets work however fast the machine is.
async fn strike(account: &Account, file: &Path) {
    let mut seed = u64::from(std::process::id());
    eprintln!("the kills come at moments of seed {seed}");
    let (mut kills, mut moves) = (0, 0);
    let began = Instant::now();
    for _ in 0..4 * KILLS {
        let mut child = account.spawn(file);
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        tokio::time::sleep(Duration::from_millis(50 + (seed >> 33) % 1_200)).await;
        signal(&child, Signal::KILL);
        let status = child.wait().expect("it ends");
        kills += u32::from(status.signal() == Some(Signal::KILL.as_raw()));
        if status.success() {
            moves += 1;
            std::fs::remove_dir_all(account.directory.path().join("data/vault")).expect("it is removed");
        }
        if kills == KILLS {
            break;
        }
    }
    eprintln!(
        "{kills} processes were killed, and {moves} completed a move before, in {:?}",
        began.elapsed()
    );
    assert_eq!(kills, KILLS, "the kills come while there is work");
}

/// Asserts that a new device restores every key from the new version, with nothing but the recovery key.
async fn assert_restores(account: &Account) {
    let device = account.synapse.login("alice", "NEW").await;
    let options = options(&account.synapse, &device, account.directory.path().join("new"));
    let client = KeyBackupClient::open(options, transport(), host(&device), None).await;
    let client: Arc<KeyBackupClient> = client.expect("the client opens");
    let text = account.recovery_key().into();
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
