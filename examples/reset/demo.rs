//! The demonstration: a small homeserver, a process that kills itself while it moves the backup, a second one that
//! completes the move, and a new device that proves the result.

use std::{
    error::Error,
    path::Path,
    process::{Command, ExitStatus},
    sync::Arc,
};

use keyferry::{
    Account, ClientOptions, KeyBackupClient, ReqwestTransport, RoomKeyLookup, RunBudget, UnlockSecret, VaultProtection,
};
use keyferry_test_homeserver::{Config, Homeserver};

use crate::token_host::TokenHost;

const KEYS: u64 = 5_000;

pub(crate) async fn run() -> Result<bool, Box<dyn Error>> {
    println!("Starting a small homeserver with {KEYS} keys in 40 rooms …");
    let homeserver = Homeserver::start(Config {
        keys: KEYS,
        rooms: 40,
        ..Config::default()
    })?;
    let directory = tempfile::tempdir()?;
    let account = directory.path().join("account.json");
    std::fs::write(&account, serde_json::to_vec(homeserver.account())?)?;
    println!("Moving its backup to a new key, in a process that kills itself half-way …");
    let killed = work(&account, directory.path(), &["--die-after", "2000"])?;
    println!(
        "It ended with {killed}. The versions are now {:?}.",
        homeserver.versions()
    );
    println!("Starting it again …");
    let completed = work(&account, directory.path(), &[])?;
    println!(
        "It ended with {completed}. The versions are now {:?}.",
        homeserver.versions()
    );
    let (restored, wrong) = restore(&homeserver, directory.path()).await?;
    println!(
        "A new device, with nothing but the recovery key, restored {restored} keys as they were; {wrong} are wrong."
    );
    Ok(completed.success() && (restored, wrong) == (KEYS, 0) && homeserver.versions() == ["2"])
}

fn work(account: &Path, directory: &Path, more: &[&str]) -> std::io::Result<ExitStatus> {
    Command::new(std::env::current_exe()?)
        .arg(account)
        .arg(directory)
        .arg("--yes")
        .args(more)
        .status()
}

/// Restores the backup on a new device. Returns how many keys are as they were, and how many are not.
async fn restore(homeserver: &Homeserver, directory: &Path) -> Result<(u64, u64), Box<dyn Error>> {
    let account = homeserver.account();
    let options = ClientOptions::new(
        Account {
            homeserver_url: account.homeserver_url.clone(),
            user_id: account.user_id.clone(),
            device_id: "NEWDEVICE".to_owned(),
        },
        directory.join("new-device").display().to_string(),
        VaultProtection::NoProtection,
    );
    let host = Arc::new(TokenHost::new(account.access_token.as_str()));
    let client = KeyBackupClient::open(options, Arc::new(ReqwestTransport::new()?), host, None).await?;
    let text = account.recovery_key.as_str().into();
    client.unlock(UnlockSecret::RecoveryKey { text }).await?;
    client.download().run(RunBudget::default()).await;
    let mut restored = 0;
    for index in 0..KEYS {
        let truth = homeserver.truth().key(index);
        let found = client.find_room_key(truth.room_id, truth.session_id).await?;
        let is_as_it_was = matches!(found, RoomKeyLookup::Found { key, .. }
            if key.session_key.expose() == truth.session_key && key.shared_history == truth.shared_history);
        restored += u64::from(is_as_it_was);
    }
    client.shutdown();
    Ok((restored, KEYS - restored))
}
