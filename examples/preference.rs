//! Shows, decides or changes the backup preference that an account's clients share (MSC4287).
//!
//! ```text
//! preference ACCOUNT.json DATA_DIR [sign-in | on | off | flush]
//! ```
//! The account file has what `keyferry-test-homeserver` prints: JSON with `homeserver_url`, `user_id`, `device_id`
//! and `access_token`. Exits with 0 when it is done, with 1 on a failure, and with 2 if a choice is stored but not
//! yet written.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

use std::{process::ExitCode, sync::Arc};

use keyferry::{
    Account, ClientOptions, KeyBackupClient, PreferenceWrite, ReqwestTransport, RunBudget, SecretBytes, VaultProtection,
};
use token_host::TokenHost;

#[path = "../tests/support/token_host.rs"]
mod token_host;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<ExitCode, Box<dyn std::error::Error>> {
    const USAGE: &str = "usage: preference ACCOUNT.json DATA_DIR [sign-in | on | off | flush]";
    let mut arguments = std::env::args().skip(1);
    let (Some(account), Some(data_dir)) = (arguments.next(), arguments.next()) else {
        return Err(USAGE.into());
    };
    let account: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(account)?)?;
    let text = |name: &str| account[name].as_str().unwrap_or_default().to_owned();
    let options = ClientOptions::new(
        Account {
            homeserver_url: text("homeserver_url"),
            user_id: text("user_id"),
            device_id: text("device_id"),
        },
        data_dir,
        // An app keeps a random key in the system's keyring instead.
        VaultProtection::Key {
            key: SecretBytes::from(vec![7; 32]),
        },
    );
    let host = TokenHost::new(text("access_token"))
        .on_preference_changed(|notice| println!("another device has changed the preference: {:?}", notice.now.value))
        .on_conflict(|conflict| println!("meanwhile another device has chosen {:?}", conflict.theirs.value))
        .on_wake_up(|wake_up| match wake_up {
            Some(wake_up) => println!("asks for a wake-up in {} ms", wake_up.not_before.0),
            None => println!("cancels the wake-up"),
        });
    let host = Arc::new(host);
    let client = KeyBackupClient::open(options, Arc::new(ReqwestTransport::new()?), host, None).await?;
    let preference = client.preference();
    let write = match arguments.next().as_deref() {
        None => {
            println!("{:?}", preference.refresh().await?);
            println!("pending: {:?}", preference.pending().await?);
            None
        }
        Some("sign-in") => {
            let decision = preference.decide_at_sign_in().await?;
            println!("{decision:?}");
            decision.write
        }
        Some("on") => Some(preference.set_enabled(true).await?),
        Some("off") => Some(preference.set_enabled(false).await?),
        Some("flush") => preference.flush(RunBudget::default()).await?,
        Some(_) => return Err(USAGE.into()),
    };
    client.shutdown();
    if let Some(write) = &write {
        println!("{write:?}");
    }
    Ok(match write {
        Some(PreferenceWrite::Pending { .. }) => ExitCode::from(2),
        _ => ExitCode::SUCCESS,
    })
}
