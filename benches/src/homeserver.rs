//! The homeserver with the backup: the small one, or Synapse with a copy of the small one's backup.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use keyferry_test_homeserver::{Config, Fault, RequestCounts};
use keyferry_test_synapse::Synapse;
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

use crate::{Failure, account::Account};

/// The argument that makes this program the small homeserver.
pub(crate) const FLAG: &str = "--homeserver";

/// Maximum number of rooms that are copied to Synapse in one request.
const ROOMS_AT_ONCE: usize = 10;

/// A homeserver with a backup. It ends when this is dropped.
pub(crate) struct Homeserver {
    _running: Running,
    pub(crate) account: Account,
}

#[expect(dead_code, reason = "held for what it does when it is dropped")]
enum Running {
    Small(Ended),
    Synapse(Synapse),
}

/// A process that is killed when this is dropped.
struct Ended(Child);

impl Homeserver {
    /// Starts the small homeserver. Only the settings listed here are passed on. It ends when its standard input
    /// closes, so it does not outlive this program.
    pub(crate) fn small(config: &Config) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(FLAG);
        let figures = [
            ("--keys", Some(config.keys)),
            ("--rooms", Some(config.rooms)),
            ("--left-rooms", Some(config.left_rooms)),
            ("--latency-ms", Some(config.latency_ms)),
            ("--bytes-per-second", config.bytes_per_second),
        ];
        for (name, figure) in figures {
            if let Some(figure) = figure {
                command.args([name, &figure.to_string()]);
            }
        }
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        Ok(Self {
            _running: Running::Small(Ended(process)),
            account: serde_json::from_str(&line)?,
        })
    }

    /// Starts Synapse with this Python, and copies the backup of a small homeserver to it.
    pub(crate) async fn synapse(python: &str, keys: u64, rooms: u64) -> Result<Self, Failure> {
        let small = Self::small(&Config {
            keys,
            rooms,
            ..Config::default()
        })?;
        let synapse = Synapse::start(python).await;
        let device = synapse.register("alice", "DEVICE").await;
        let version = small.get("version").await?;
        let version = json!({ "algorithm": version["algorithm"], "auth_data": version["auth_data"] });
        let version = device.post("room_keys/version", version).await;
        let version = version["version"].as_str().ok_or("no version")?;
        let mut everything = small
            .get(&format!("keys?version={}", small.account.backup_version))
            .await?;
        let rooms = everything["rooms"].as_object_mut().ok_or("no rooms")?;
        while !rooms.is_empty() {
            let next: Vec<String> = rooms.keys().take(ROOMS_AT_ONCE).cloned().collect();
            let part: Map<String, Value> = next.iter().filter_map(|room| rooms.remove_entry(room)).collect();
            device
                .put(&format!("room_keys/keys?version={version}"), json!({ "rooms": part }))
                .await;
        }
        let account = Account {
            homeserver_url: synapse.url().to_owned(),
            user_id: device.user_id.clone(),
            device_id: device.id.clone(),
            access_token: device.access_token().to_owned(),
            backup_version: version.to_owned(),
            ..small.account.clone()
        };
        Ok(Self {
            _running: Running::Synapse(synapse),
            account,
        })
    }

    /// Returns the number of body bytes that the small homeserver has sent, including bodies that were not read to
    /// the end.
    pub(crate) fn body_bytes(&self) -> Result<u64, Failure> {
        let url = format!("{}/_control/requests", self.account.homeserver_url);
        Runtime::new()?.block_on(async {
            let response = reqwest::Client::new().get(url).send().await?.error_for_status()?;
            let counts: RequestCounts = serde_json::from_slice(&response.bytes().await?)?;
            Ok(counts.body_bytes)
        })
    }

    /// Makes the small homeserver misbehave from now on, with these faults and no others.
    pub(crate) fn set_faults(&self, faults: &[Fault]) -> Result<(), Failure> {
        let url = format!("{}/_control/faults", self.account.homeserver_url);
        let request = reqwest::Client::new().post(url).body(serde_json::to_string(faults)?);
        Runtime::new()?.block_on(async {
            request.send().await?.error_for_status()?;
            Ok(())
        })
    }

    async fn get(&self, path: &str) -> Result<Value, Failure> {
        let url = format!("{}/_matrix/client/v3/room_keys/{path}", self.account.homeserver_url);
        let request = reqwest::Client::new().get(url).bearer_auth(&self.account.access_token);
        Ok(serde_json::from_slice(&request.send().await?.bytes().await?)?)
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        // It has nothing to save.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
