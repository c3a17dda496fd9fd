//! One client that plays against the server, and what must hold after each run.

use std::{collections::BTreeMap, time::Duration};

use keyferry::{KeyBackupClient, RoomKey, RoomKeyLookup, RunBudget, RunOutcome, RunReport, UnlockSecret};
use keyferry_test_homeserver::{Homeserver, TrueKey};
use matrix_sdk_crypto::store::types::BackupDecryptionKey;
use serde_json::Value;

use super::{
    server::{Name, Version},
    transport::Server,
};
use crate::support::{
    Setup,
    backup_entry::{forged, from_index, plaintext, seal},
    homeserver,
};

pub(super) const KEYS: u64 = 12;
pub(super) const ROOMS: u64 = 4;
/// How many messages a late copy lacks at its beginning.
const LATER: u32 = 5;

/// The longest that a run may take, including retries. The server answers at once.
const LONGEST_RUN: Duration = Duration::from_secs(60 * 60);

/// A kind of copy of a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Copy {
    Early,
    Late,
    Forged,
    Garbage,
}

pub(super) struct Play {
    pub(super) server: Server,
    pub(super) keys: [BackupDecryptionKey; 2],
    homeserver: Homeserver,
    setup: Setup,
    client: std::sync::Arc<KeyBackupClient>,
    /// The honest keys that the app could find after an earlier run, with their first known index.
    had: BTreeMap<u64, u32>,
}

impl Play {
    pub(super) async fn new() -> Self {
        let homeserver = homeserver(KEYS, ROOMS);
        let setup = Setup::with_sink(&homeserver);
        let server = Server::default();
        let keys = [1_u8, 2].map(|byte| BackupDecryptionKey::from_bytes(&[byte; 32]));
        server.state().joined = (0..ROOMS).map(|room| homeserver.truth().room_id(room)).collect();
        server.state().new_version(&keys[0]);
        let client = open(&setup, &server).await;
        Self {
            server,
            keys,
            homeserver,
            setup,
            client,
            had: BTreeMap::new(),
        }
    }

    pub(super) fn truth(&self, key: u64) -> TrueKey {
        self.homeserver.truth().key(key)
    }

    pub(super) fn room_id(&self, room: u64) -> String {
        self.homeserver.truth().room_id(room)
    }

    pub(super) fn name(&self, key: u64) -> Name {
        let truth = self.truth(key);
        (truth.room_id, truth.session_id)
    }

    /// Returns a copy of a key as an entry of this version.
    pub(super) fn entry(&self, key: u64, copy: Copy, version: &Version) -> Value {
        let truth = self.truth(key);
        let late = from_index(&truth, truth.first_known_index + LATER);
        let plaintext = match copy {
            Copy::Garbage => return Value::Null,
            Copy::Early => plaintext(&truth),
            Copy::Late => plaintext(&late),
            Copy::Forged => forged(&plaintext(&truth)),
        };
        seal(&plaintext, 0, version.public_key)
    }

    pub(super) async fn restart(&mut self) {
        self.client.shutdown();
        self.client = open(&self.setup, &self.server).await;
    }

    pub(super) async fn fetch_session(&self, key: u64) {
        let (room, session) = self.name(key);
        // The answer does not matter: the checks follow the next run.
        let _ = self.client.fetch_session(room, session, None).await;
    }

    pub(super) async fn fetch_room(&self, room: u64) {
        // The answer does not matter here either.
        let _ = self.client.fetch_room(self.room_id(room)).await;
    }

    pub(super) async fn want_room(&self, room: u64) {
        let download = self.client.download();
        let wanted = download.prioritise_rooms(vec![self.room_id(room)]);
        wanted.await.expect("the vault can be written");
    }

    /// Does one run and checks what must hold after each run.
    pub(super) async fn run(&mut self) -> RunReport {
        for key in self.keys.clone() {
            let base64 = key.to_base64().into();
            // The key may be known already, or fit no version.
            let _ = self.client.unlock(UnlockSecret::DecryptionKey { base64 }).await;
        }
        let download = self.client.download();
        let run = tokio::time::timeout(LONGEST_RUN, download.run(RunBudget::default()));
        let report = run.await.expect("the run ends");
        let is_end = matches!(
            report.outcome,
            RunOutcome::Completed { .. } | RunOutcome::Failed { .. } | RunOutcome::NeedsUnlock { .. }
        );
        assert!(is_end || report.wake_up.is_some(), "no end and no wake-up: {report:?}");
        self.complete_is_shown(&report);
        self.assert_nothing_found_is_lost().await;
        self.assert_no_forgery_after_a_genuine_key();
        report
    }

    fn complete_is_shown(&self, report: &RunReport) {
        let mut state = self.server.state();
        let Some(version) = state.current() else { return };
        let reported = version.reported_count.unwrap_or(0);
        let lacks = reported.saturating_sub(version.served.len() as u64);
        if let RunOutcome::Completed { .. } = report.outcome {
            assert_eq!(lacks, 0, "{report:?}");
        }
        assert!(!report.every_key_is_here || lacks == 0, "{report:?}");
    }

    async fn assert_nothing_found_is_lost(&mut self) {
        for key in 0..KEYS {
            let found = self.honest(key).await;
            let first = match (self.had.get(&key), found) {
                (Some(before), Some(now)) => {
                    assert!(now <= *before, "key {key} begins later than it did");
                    now
                }
                (Some(_), None) => panic!("key {key} was here and is gone"),
                (None, Some(now)) => now,
                (None, None) => continue,
            };
            self.had.insert(key, first);
        }
    }

    /// Returns the first known index of the honest key, or `None` if a look-up does not find it.
    pub(super) async fn honest(&self, key: u64) -> Option<u32> {
        let (room, session) = self.name(key);
        match self.client.find_room_key(room, session).await {
            Ok(RoomKeyLookup::Found { key: found, .. }) => {
                is_honest(&found, &self.truth(key)).then_some(found.first_known_index)
            }
            _ => None,
        }
    }

    /// Whether there is an entry of this name, usable or not.
    pub(super) async fn is_here(&self, (room, session): &Name) -> bool {
        let found = self.client.find_room_key(room.clone(), session.clone()).await;
        !matches!(found, Ok(RoomKeyLookup::NotFound))
    }

    fn assert_no_forgery_after_a_genuine_key(&self) {
        let delivered = self.setup.delivered();
        for key in 0..KEYS {
            let truth = self.truth(key);
            let of_session = delivered.iter().filter(|key| key.session_id == truth.session_id);
            let honest: Vec<bool> = of_session.map(|key| is_honest(key, &truth)).collect();
            assert!(honest.is_sorted(), "key {key}: a forgery followed: {honest:?}");
        }
    }

    /// Makes the vault believe that this much time has passed.
    pub(super) fn let_pass(&self, time: Duration) {
        let vault = rusqlite::Connection::open(self.setup.vault_file()).expect("the vault");
        let columns = [
            ("job", &["asked_at_ms", "retry_at_ms"][..]),
            (
                "backup_version",
                &["rooms_listed_ms", "looked_at_ms", "failed_at_ms", "retry_at_ms"],
            ),
            ("room", &["failed_at_ms", "retry_at_ms"]),
        ];
        for (table, columns) in columns {
            for column in columns {
                let sql = format!("UPDATE {table} SET {column} = {column} - ?1");
                vault.execute(&sql, [time.as_millis() as i64]).expect("time passes");
            }
        }
    }
}

async fn open(setup: &Setup, server: &Server) -> std::sync::Arc<KeyBackupClient> {
    let transport = std::sync::Arc::new(server.clone());
    setup.open_over(setup.options(), transport).await.expect("it opens")
}

fn is_honest(key: &RoomKey, truth: &TrueKey) -> bool {
    key.first_known_index >= truth.first_known_index
        && from_index(truth, key.first_known_index).session_key == key.session_key.expose()
}
