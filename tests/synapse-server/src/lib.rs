//! Runs a Synapse on a free loopback port, with its data in a temporary directory that is deleted with it.
//!
//! Synapse comes from PyPI: `scripts/synapse-venv.sh` installs it and prints the Python to start it with. Every
//! failure here panics, and so ends the test.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long Synapse may take to start.
const STARTS_WITHIN: Duration = Duration::from_secs(120);

/// A running Synapse. It is killed when it is dropped.
pub struct Synapse {
    process: Child,
    url: String,
    _directory: TempDir,
}

/// A signed-in device of a user.
pub struct Device {
    client: Client,
    url: String,
    access_token: String,
    /// The full user id.
    pub user_id: String,
    /// The device id.
    pub id: String,
}

impl Synapse {
    /// Starts a Synapse with this Python, and waits until it answers.
    pub async fn start(python: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|socket| socket.local_addr())
            .expect("a port")
            .port();
        let place = |name: &str| directory.path().join(name);
        // JSON is valid YAML.
        std::fs::write(place("homeserver.yaml"), config(&directory, port).to_string()).expect("a file");
        let synapse = || {
            let mut command = Command::new(python);
            command
                .args(["-m", "synapse.app.homeserver", "-c"])
                .arg(place("homeserver.yaml"))
                .current_dir(directory.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            command
        };
        let keys = synapse().arg("--generate-keys").status().expect("Synapse runs");
        assert!(keys.success(), "Synapse could not generate its keys");
        let synapse = Self {
            process: synapse().spawn().expect("Synapse starts"),
            url: format!("http://127.0.0.1:{port}"),
            _directory: directory,
        };
        let began = Instant::now();
        while reqwest::get(format!("{}/_matrix/client/versions", synapse.url))
            .await
            .is_err()
        {
            assert!(began.elapsed() < STARTS_WITHIN, "Synapse did not start in time");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        synapse
    }

    /// Returns the base URL of its client API.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Registers a user with a first device.
    pub async fn register(&self, name: &str, device_id: &str) -> Device {
        let auth = json!({ "type": "m.login.dummy" });
        let body = json!({ "username": name, "password": name, "device_id": device_id, "auth": auth });
        self.sign_in("register", body).await
    }

    /// Signs a registered user in on another device.
    pub async fn login(&self, name: &str, device_id: &str) -> Device {
        let identifier = json!({ "type": "m.id.user", "user": name });
        let body = json!({
            "type": "m.login.password", "identifier": identifier, "password": name, "device_id": device_id,
        });
        self.sign_in("login", body).await
    }

    async fn sign_in(&self, path: &str, body: Value) -> Device {
        let mut device = Device {
            client: Client::new(),
            url: format!("{}/_matrix/client/v3", self.url),
            access_token: String::new(),
            user_id: String::new(),
            id: String::new(),
        };
        let answer = device.post(path, body).await;
        let text = |name: &str| answer[name].as_str().expect("a text").to_owned();
        device.access_token = text("access_token");
        device.user_id = text("user_id");
        device.id = text("device_id");
        device
    }
}

impl Drop for Synapse {
    fn drop(&mut self) {
        // Killing it is safe: it has nothing to save.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Device {
    /// Returns the access token.
    pub fn access_token(&self) -> &str {
        &self.access_token
    }

    /// Sends a GET request. The path is relative to `/_matrix/client/v3/`.
    pub async fn get(&self, path: &str) -> Value {
        self.send(Method::GET, path, None).await
    }

    /// Sends a POST request. The path is relative to `/_matrix/client/v3/`.
    pub async fn post(&self, path: &str, body: Value) -> Value {
        self.send(Method::POST, path, Some(body)).await
    }

    /// Sends a PUT request. The path is relative to `/_matrix/client/v3/`.
    pub async fn put(&self, path: &str, body: Value) -> Value {
        self.send(Method::PUT, path, Some(body)).await
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let mut request = self.client.request(method, format!("{}/{path}", self.url));
        if !self.access_token.is_empty() {
            request = request.bearer_auth(&self.access_token);
        }
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let response = request.send().await.expect("an answer");
        let status = response.status();
        let text = response.text().await.expect("a body");
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).expect("JSON")
    }
}

fn config(directory: &TempDir, port: u16) -> Value {
    let place = |name: &str| directory.path().join(name);
    let unlimited = json!({ "per_second": 100_000, "burst_count": 100_000 });
    json!({
        "server_name": "localhost",
        "pid_file": place("synapse.pid"),
        "signing_key_path": place("signing.key"),
        "media_store_path": place("media"),
        "database": { "name": "sqlite3", "args": { "database": place("synapse.db") } },
        "listeners": [{
            "port": port, "type": "http", "tls": false, "bind_addresses": ["127.0.0.1"],
            "resources": [{ "names": ["client"] }],
        }],
        "enable_registration": true,
        "enable_registration_without_verification": true,
        "report_stats": false,
        "trusted_key_servers": [],
        "suppress_key_server_warning": true,
        "rc_registration": unlimited,
        "rc_message": unlimited,
        "rc_room_creation": unlimited,
        "rc_login": { "address": unlimited, "account": unlimited, "failed_attempts": unlimited },
    })
}
