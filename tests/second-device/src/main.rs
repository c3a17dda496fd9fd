//! A second device of a user, on matrix-sdk: signs in, recovers with the recovery key and repairs the backup, as Element
//! does it.
//!
//! ```text
//! keyferry-test-second-device HOMESERVER_URL USER PASSWORD RECOVERY_KEY
//! ```
//! Prints whether the repair succeeded.

#![allow(clippy::print_stdout, reason = "its output is its answer")]

use std::error::Error;

use matrix_sdk::{Client, config::SyncSettings};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, user, password, recovery_key] = arguments.as_slice() else {
        return Err("usage: keyferry-test-second-device HOMESERVER_URL USER PASSWORD RECOVERY_KEY".into());
    };
    let client = Client::builder().homeserver_url(url).build().await?;
    client.matrix_auth().login_username(user, password).send().await?;
    client.sync_once(SyncSettings::default()).await?;
    let repaired = client
        .encryption()
        .recovery()
        .recover_and_fix_backup(recovery_key)
        .await;
    match repaired {
        Ok(()) => println!("repaired"),
        Err(error) => println!("not repaired: {error}"),
    }
    Ok(())
}
