//! The demonstration: starts a small homeserver in a child process, and restores from it into a temporary directory.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use crate::{arguments::Options, exit, restore};

/// The argument that makes this program the homeserver.
pub(crate) const SERVE_FLAG: &str = "--serve-demo";
const KEYS: &str = "20000";
const ROOMS: &str = "150";
const LEFT_ROOMS: &str = "10";

pub(crate) async fn run(options: Options) -> u8 {
    eprintln!("Starting a small homeserver with {KEYS} keys in {ROOMS} rooms …");
    let Some((_homeserver, account)) = start_homeserver() else {
        eprintln!("The small homeserver could not be started.");
        return exit::FAILED;
    };
    let Ok(directory) = tempfile::tempdir() else {
        eprintln!("A temporary directory could not be created.");
        return exit::FAILED;
    };
    let text = |name: &str| account[name].as_str().unwrap_or_default().to_owned();
    restore::run(Options {
        homeserver: text("homeserver_url"),
        user_id: text("user_id"),
        device_id: text("device_id"),
        data_dir: directory.path().display().to_string(),
        access_token: text("access_token"),
        recovery_key: Some(text("recovery_key")),
        vault_passphrase: Some("a passphrase for the demonstration".to_owned()),
        is_demo: true,
        ..options
    })
    .await
}

/// A child process that ends with its parent, because it serves only until its standard input closes.
struct Homeserver(Child);

impl Drop for Homeserver {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // The child ends by itself; a failure to wait for it does not matter.
        let _ = self.0.wait();
    }
}

fn start_homeserver() -> Option<(Homeserver, serde_json::Value)> {
    let mut child = Command::new(std::env::current_exe().ok()?)
        .args([SERVE_FLAG, "--keys", KEYS, "--rooms", ROOMS, "--left-rooms", LEFT_ROOMS])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take()?).read_line(&mut line).ok()?;
    Some((Homeserver(child), serde_json::from_str(&line).ok()?))
}
