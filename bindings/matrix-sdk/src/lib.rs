//! Takes room keys into matrix-sdk's [`Client`], which keeps its `OlmMachine` private: by the import of key export files,
//! which is public.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use keyferry::{ClientOptions, HttpTransport, JobHost, KeyBackupClient, OpenError, RunBudget};
//! # use keyferry_matrix_sdk::ClientSink;
//! # async fn restore(
//! #     client: matrix_sdk::Client, options: ClientOptions, transport: Arc<dyn HttpTransport>, host: Arc<dyn JobHost>,
//! # ) -> Result<(), OpenError> {
//! let sink = Arc::new(ClientSink::new(client));
//! let backup = KeyBackupClient::open(options, transport, host, Some(sink)).await?;
//! let report = backup.download().run(RunBudget::default()).await;
//! # Ok(())
//! # }
//! ```

use std::{collections::BTreeSet, io::Write, path::Path};

use async_trait::async_trait;
use keyferry::{KeyFile, RoomKey, RoomKeySink, SinkAnswer, SinkError, SinkLimits, key_file};
use matrix_sdk::{Client, encryption::RoomKeyImportError};
use tempfile::NamedTempFile;

/// Delivers into the crypto store of a [`Client`], by `encryption().import_room_keys`.
///
/// Each batch passes through a temporary file, which only this user can read and which is encrypted with a random
/// passphrase. A copy that connects to one in the store is merged with it, by the rules of matrix-sdk.
///
/// The client does not learn which keys are in a backup already: if it uploads to one, it uploads these keys again. An
/// app that has the `OlmMachine` itself uses `keyferry::OlmMachineSink`, which tells the store.
///
/// Runs inside a tokio runtime only, because the import of matrix-sdk does.
pub struct ClientSink {
    client: Client,
}

impl ClientSink {
    /// Creates a sink for a client that is signed in.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Imports a file, and returns the rooms and sessions that are new to the store or better than its copies.
    async fn import(&self, path: &Path, file: &KeyFile) -> Result<BTreeSet<(String, String)>, SinkError> {
        let encryption = self.client.encryption();
        let result = encryption
            .import_room_keys(path.to_owned(), file.passphrase.expose())
            .await
            .map_err(|error| match error {
                RoomKeyImportError::StoreClosed => unavailable("the client is not signed in"),
                _ => unavailable("the crypto store does not take the keys"),
            })?;
        let sessions = result.keys.iter().flat_map(|(room, senders)| {
            let of_room = senders.values().flatten();
            of_room.map(|session| (room.to_string(), session.clone()))
        });
        Ok(sessions.collect())
    }
}

#[async_trait]
impl RoomKeySink for ClientSink {
    async fn deliver(&self, keys: Vec<RoomKey>) -> Result<Vec<SinkAnswer>, SinkError> {
        let file = key_file(&keys);
        let on_disk = write(&file).map_err(|_| unavailable("no temporary file can be written"))?;
        let imported = self.import(on_disk.path(), &file).await?;
        let answer = |key: RoomKey| match imported.contains(&(key.room_id, key.session_id)) {
            true => SinkAnswer::Imported,
            // The store has as good a copy, or one that does not connect: the import does not tell which.
            false => SinkAnswer::Known,
        };
        Ok(keys.into_iter().map(answer).collect())
    }

    fn limits(&self) -> Result<SinkLimits, SinkError> {
        Ok(SinkLimits::default())
    }
}

fn write(file: &KeyFile) -> std::io::Result<NamedTempFile> {
    let mut on_disk = NamedTempFile::new()?;
    on_disk.write_all(file.content.as_bytes())?;
    on_disk.flush()?;
    Ok(on_disk)
}

fn unavailable(detail: &str) -> SinkError {
    SinkError::Unavailable {
        detail: detail.to_owned(),
    }
}
