//! Moves the backup of one account, as an app would do it.

use std::{error::Error, io::Write, sync::Arc};

use keyferry::{
    Account, ClientOptions, KeyBackupClient, LogLevel, ReqwestTransport, ResetCause, ResetOutcome, ResetProgress,
    ResetReadiness, RunBudget, UnlockSecret, VaultProtection, init_logging,
};
use rustix::process::{Signal, getpid, kill_process};
use serde_json::json;

use crate::{arguments::Options, crypto::with_crypto, new_storage::new_storage_key, token_host::TokenHost};

/// Takes the account as far as it gets. Returns whether everything is done.
pub(crate) async fn run(options: &Options) -> Result<bool, Box<dyn Error>> {
    init_logging(LogLevel::Error);
    let client = open(options).await?;
    let (download, reset) = (client.download(), client.reset());
    let before = reset.status().await?;
    if before.is_none() {
        let text = options.recovery_key.as_str().into();
        client.unlock(UnlockSecret::RecoveryKey { text }).await?;
    }
    if before.is_none_or(|status| status.stopped.is_some()) {
        let report = download.run(RunBudget::default()).await;
        tell("downloaded", report.summary.fetched);
        let cause = match options.renews_storage {
            true => ResetCause::KeyCompromised,
            false => ResetCause::BackupDamaged,
        };
        let readiness = reset.prepare_reset(cause).await?;
        if !options.is_confirmed && !confirm(&readiness)? {
            return Ok(false);
        }
        reset.move_backup(cause, Vec::new()).await?;
    }
    let report = reset.run(RunBudget::default()).await;
    let status = report.status.ok_or("There is no reset.")?;
    println!(
        "{}",
        json!({ "outcome": format!("{:?}", report.outcome), "sent": status.sent, "version": status.new_version })
    );
    let is_done = match report.outcome {
        ResetOutcome::Completed => true,
        ResetOutcome::NothingToDo => status.stopped.is_none(),
        _ => false,
    };
    if let (true, false, Some(old)) = (is_done, options.keeps_old, status.old_version) {
        reset.delete_version(old.clone(), Vec::new()).await?;
        tell("deleted", old);
    }
    client.shutdown();
    Ok(is_done)
}

async fn open(options: &Options) -> Result<Arc<KeyBackupClient>, Box<dyn Error>> {
    let transport = Arc::new(ReqwestTransport::new()?);
    let die_after = options.die_after;
    let host = TokenHost::new(options.access_token.as_str()).on_reset_progress(move |progress| {
        if die_after.is_some_and(|keys| progress.sent >= keys) {
            die(progress);
        }
    });
    let host = Arc::new(host);
    let client_options = ClientOptions::new(
        Account {
            homeserver_url: options.homeserver.clone(),
            user_id: options.user_id.clone(),
            device_id: options.device_id.clone(),
        },
        options.data_dir.join("vault").display().to_string(),
        // A real app keeps this key in its keyring.
        VaultProtection::Passphrase {
            passphrase: options.recovery_key.as_str().into(),
        },
    );
    let crypto_store = options.data_dir.join("crypto-store");
    let new_storage = match options.renews_storage {
        true => Some(new_storage_key(&options.data_dir, &options.new_recovery_key)?),
        false => None,
    };
    let client_options = with_crypto(
        client_options,
        &crypto_store,
        &options.recovery_key,
        new_storage,
        transport.clone(),
        host.clone(),
    );
    Ok(KeyBackupClient::open(client_options.await?, transport, host, None).await?)
}

/// Kills this process as an OS does: without notice.
fn die(progress: ResetProgress) {
    tell("killed_after", progress.sent);
    // If it cannot be killed, it goes on.
    let _ = kill_process(getpid(), Signal::KILL);
}

/// Asks the user to type a word.
fn confirm(readiness: &ResetReadiness) -> std::io::Result<bool> {
    println!(
        "{} keys move: about {} MB up, and down again to prove it. Losses: {:?}.",
        readiness.keys,
        readiness.upload_bytes / 1_000_000,
        readiness.losses
    );
    print!("Type \"move\" to begin: ");
    std::io::stdout().flush()?;
    let mut word = String::new();
    std::io::stdin().read_line(&mut word)?;
    Ok(word.trim() == "move")
}

/// Prints a line of JSON.
pub(crate) fn tell(name: &str, value: impl serde::Serialize) {
    println!("{}", json!({ name: value }));
}
