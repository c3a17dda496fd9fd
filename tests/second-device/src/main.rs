//! Devices of a user on matrix-sdk, for the tests with Synapse.
//!
//! ```text
//! keyferry-test-second-device repair HOMESERVER_URL USER PASSWORD RECOVERY_KEY
//! keyferry-test-second-device history HOMESERVER_URL USER PASSWORD
//! ```
//! `repair` signs in, recovers with the recovery key and repairs the backup, as Element does it, and prints whether that
//! succeeded. `history` proves that a device which never had a key reads a room's history after a run of keyferry.

#![allow(clippy::print_stdout, reason = "its output is its answer")]

mod history;
#[path = "../../support/token_host.rs"]
mod token_host;

use std::error::Error;

use matrix_sdk::{Client, config::SyncSettings};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["repair", url, user, password, recovery_key] => {
            repair(&sign_in(url, user, password).await?, recovery_key).await
        }
        ["history", url, user, password] => history::prove(url, user, password).await?,
        _ => return Err("usage: repair URL USER PASSWORD RECOVERY_KEY | history URL USER PASSWORD".into()),
    }
    Ok(())
}

/// Signs in as a new device, with its stores in memory.
async fn sign_in(url: &str, user: &str, password: &str) -> Result<Client, Box<dyn Error>> {
    let client = Client::builder().homeserver_url(url).build().await?;
    client.matrix_auth().login_username(user, password).send().await?;
    client.sync_once(SyncSettings::default()).await?;
    Ok(client)
}

async fn repair(client: &Client, recovery_key: &str) {
    let recovery = client.encryption().recovery();
    match recovery.recover_and_fix_backup(recovery_key).await {
        Ok(()) => println!("repaired"),
        Err(error) => println!("not repaired: {error}"),
    }
}
