//! The homeserver as an object. It runs on its own thread, which ends when the object is dropped.

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::Value;

use crate::{
    AccountInfo, Config, Fault, RequestCounts, Truth, VersionAction,
    account::Account,
    connection,
    counts::Counters,
    limit::Limit,
    pace::Link,
    state::{Mutable, Shared},
    versions::Versions,
};

/// A running homeserver. It stops when it is dropped.
pub struct Homeserver {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Homeserver {
    /// Generates the backup and starts to serve it on 127.0.0.1.
    ///
    /// # Errors
    /// If the port is taken, or the temporary file cannot be written.
    pub fn start(config: Config) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, config.port))?;
        listener.set_nonblocking(true)?;
        let url = format!("http://{}", listener.local_addr()?);
        let account = Account::new(&config, &url);
        let truth = Truth::new(&config);
        let versions = Versions::new(account.backup_key, &truth, &config)?;
        let shared = Arc::new(Shared {
            joined_rooms: truth.rooms().saturating_sub(config.left_rooms),
            truth,
            kind: config.server,
            bad_room_id: config.bad_room_id,
            most_body: config.most_body.unwrap_or(config.server.most_body()),
            latency_ms: config.latency_ms,
            link: Link::new(config.bytes_per_second),
            limit: Limit::new(),
            counters: Counters::default(),
            stop: tokio::sync::Notify::new(),
            mutable: Mutex::new(Mutable {
                faults: Vec::new(),
                access_token: account.info.access_token.clone(),
                soft_logout: false,
                account_data: account.account_data,
                versions,
            }),
            info: account.info,
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new().name("homeserver".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || {
                // Without a listener there is nothing to do: clients see a refused connection.
                let _ = runtime.block_on(accept(listener, shared));
                runtime.shutdown_background();
            }
        })?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Returns the base URL, `http://127.0.0.1:PORT`, without a trailing slash.
    pub fn url(&self) -> &str {
        &self.shared.info.homeserver_url
    }

    /// Returns the account with its secrets.
    pub fn account(&self) -> &AccountInfo {
        &self.shared.info
    }

    /// Returns what is really in the backup, including the keys that are held back.
    pub fn truth(&self) -> &Truth {
        &self.shared.truth
    }

    /// Replaces the faults; an empty list ends all misbehaviour.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.shared.mutable().faults = faults;
    }

    /// Returns the requests that were counted so far.
    pub fn requests(&self) -> RequestCounts {
        self.shared.counters.snapshot()
    }

    /// Resets the request counts to zero.
    pub fn reset_requests(&self) {
        self.shared.counters.reset();
    }

    /// Returns the content of one type of account data.
    pub fn account_data(&self, kind: &str) -> Option<Value> {
        self.shared.mutable().account_data.get(kind).cloned()
    }

    /// Returns all types of account data that have content.
    pub fn account_data_types(&self) -> Vec<String> {
        self.shared.mutable().account_data.keys().cloned().collect()
    }

    /// Sets the content of one type of account data; `null` removes it.
    pub fn set_account_data(&self, kind: &str, content: Value) {
        let mut state = self.shared.mutable();
        if content.is_null() {
            state.account_data.remove(kind);
        } else {
            state.account_data.insert(kind.to_owned(), content);
        }
    }

    /// Does to the backup what another client would do.
    ///
    /// # Panics
    /// If the entries of a version with another key cannot be written to a temporary file.
    pub fn set_version_state(&self, action: VersionAction) {
        let done = self.shared.change_version(action);
        done.expect("there is room for a temporary file");
    }

    /// Returns the numbers of the backup versions, oldest first.
    pub fn versions(&self) -> Vec<String> {
        self.shared.mutable().versions.numbers()
    }

    /// Returns the number of the version that the server calls the current one.
    pub fn current_version(&self) -> Option<String> {
        Some(self.shared.mutable().versions.current()?.number())
    }

    /// Returns the `auth_data` of a backup version.
    pub fn auth_data_of(&self, version: &str) -> Option<Value> {
        Some(self.shared.mutable().versions.find(version)?.auth_data().clone())
    }

    /// Returns the decryption key of a backup version in base64, even if secret storage does not hold it.
    pub fn decryption_key_of(&self, version: &str) -> Option<String> {
        let version = self.shared.mutable().versions.find(version)?;
        Some(version.key?.base64())
    }

    /// Returns the same key as [`Self::decryption_key_of`], as a user types it: base58 in groups of four.
    pub fn recovery_key_of(&self, version: &str) -> Option<String> {
        let version = self.shared.mutable().versions.find(version)?;
        Some(version.key?.recovery_key())
    }

    /// Puts the keys of [`Config::held_back`] into every version that has entries.
    pub fn release_held_back(&self) {
        self.shared.release_held_back();
    }

    /// Makes this the only valid access token. The error for any other token reports whether it is a soft logout.
    pub fn set_access_token(&self, token: &str, soft_logout: bool) {
        let mut state = self.shared.mutable();
        state.access_token = token.to_owned();
        state.soft_logout = soft_logout;
    }

    /// Waits until the homeserver is stopped, as `/_control/stop` does.
    pub fn wait(mut self) {
        self.join();
    }

    pub(crate) fn stopper(&self) -> Stopper {
        Stopper(Arc::clone(&self.shared))
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic in the thread has been printed already; repeated here, it would hide a failing test.
            let _ = thread.join();
        }
    }
}

impl Drop for Homeserver {
    fn drop(&mut self) {
        self.stopper().stop();
        self.join();
    }
}

/// Stops a homeserver from another thread.
pub(crate) struct Stopper(Arc<Shared>);

impl Stopper {
    pub(crate) fn stop(&self) {
        self.0.stop.notify_one();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.stop.notified() => return Ok(()),
        };
        match accepted {
            Ok((stream, _)) => {
                let shared = Arc::clone(&shared);
                // A connection that fails concerns only its client.
                tokio::spawn(async move { connection::serve(stream, &shared).await });
            }
            // Most likely there are too many open files; some will be closed soon.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}
