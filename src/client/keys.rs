//! Operations on single keys and rooms: look-up, on-demand fetch, proof, unlocking and export.

use super::KeyBackupClient;
use crate::{
    blocking::blocking,
    export::{ExportError, ExportSummary},
    job::AccessError,
    lookup::{KeyProof, RoomKeyLookup, RoomKeyPage},
    on_demand::{RoomFetch, ServerNews},
    secret::SecretString,
    sharing::{self, RoomHistoryShareability},
    unlock::{self, UnlockError, UnlockSecret, UnlockedBackup},
};

#[uniffi::export(async_runtime = "tokio")]
impl KeyBackupClient {
    /// Finds the decryption key of the backup and keeps it sealed in the vault, so that a restart does not have to
    /// ask the user again. The key is kept for the current version, and for every older version that the vault has
    /// entries of and that the key opens. May be called at any time; a run under way then opens the entries that it
    /// already has.
    ///
    /// A decryption key, or a recovery key that is itself the decryption key, needs no network if the vault knows the
    /// version. A key or passphrase of secret storage is looked up on the server.
    ///
    /// # Errors
    /// An `UnlockError`. A wrong key never replaces a good one.
    pub async fn unlock(&self, secret: UnlockSecret) -> Result<UnlockedBackup, UnlockError> {
        let unlocked = unlock::unlock(&self.jobs, secret).await?;
        self.download.keys_have_changed().await;
        Ok(unlocked)
    }

    /// Looks up a key in the vault, offline. Takes about one decryption; the first call after opening or after
    /// `close_lookups` takes a little longer.
    ///
    /// # Errors
    /// An `AccessError`; `AccessError.Locked` only if the vault has the entry.
    pub async fn find_room_key(&self, room_id: String, session_id: String) -> Result<RoomKeyLookup, AccessError> {
        self.lookup.find_room_key(room_id, session_id).await
    }

    /// Returns a page of the keys of a room: at most `limit` keys (1 to 1,000). Pass `None` as `after` for the first
    /// page, then the `next` of the previous page.
    ///
    /// # Errors
    /// An `AccessError`.
    pub async fn room_keys(&self, room_id: String, after: Option<i64>, limit: u32) -> Result<RoomKeyPage, AccessError> {
        self.lookup.page(room_id, after, limit).await
    }

    /// Tries to prove that the vault's key of a session is genuine, with an event that was encrypted with that
    /// session. Pass the JSON of the event, or of its content, as it came from the server (`m.room.encrypted`; at
    /// most 256 KiB). The event proves the key if the key decrypts it and the plaintext names the room. From then on
    /// look-ups, sinks and exports use that key, even if another copy came first. Nothing else proves a key: the
    /// entries of a backup are not signed.
    ///
    /// Call it where a message does not decrypt with the key that the app has, or where a session is listed under two
    /// rooms.
    ///
    /// # Errors
    /// An `AccessError`.
    pub async fn prove_room_key(
        &self,
        room_id: String,
        session_id: String,
        event_json: String,
    ) -> Result<KeyProof, AccessError> {
        let proof = self.lookup.prove_room_key(room_id, session_id, event_json).await?;
        if proof == KeyProof::Proved {
            self.download.ask_for_a_run().await;
        }
        Ok(proof)
    }

    /// Closes the connection that look-ups keep open, and wipes the keys that it holds. Call it before the app is
    /// suspended; the next look-up opens a new connection.
    pub async fn close_lookups(&self) {
        let lookup = self.lookup.clone();
        blocking(move || lookup.close()).await;
    }

    /// Returns the key of a message that cannot be decrypted right now: from the vault, or else from the server.
    /// Costs one request; usually two or three if the server does not have the key, because that may mean that the
    /// backup has changed. Calls for the same key at the same time share one request. `NotFound` is remembered for
    /// ten minutes, or until the backup changes.
    ///
    /// `better_than` is for a message that is older than the first index of the app's copy of the key (matrix-sdk
    /// reports `UnknownMegolmMessageIndex`): pass that first index. A key that begins no earlier then counts as
    /// `NotFound`, in the vault and on the server. Pass `None` if the app has no copy.
    ///
    /// Pass the room that the message is in. Whether the key really belongs to that room shows only when the message
    /// is decrypted, because its plaintext names the room; `prove_room_key` records that proof.
    ///
    /// # Errors
    /// An `AccessError`.
    pub async fn fetch_session(
        &self,
        room_id: String,
        session_id: String,
        better_than: Option<u32>,
    ) -> Result<RoomKeyLookup, AccessError> {
        self.on_demand.fetch_session(room_id, session_id, better_than).await
    }

    /// Fetches all keys of a room, for messages that cannot be decrypted right now. The server is asked unless the
    /// vault is known to have them all; calls for the same room at the same time share one download. When this
    /// returns, the keys can be looked up; the sink gets them in a run. A large room that takes the vault past
    /// `DownloadPolicy.max_vault_bytes` stops there with `AccessError.OnHold` for `PauseCause.DiskLimit`.
    ///
    /// # Errors
    /// An `AccessError`; every whole entry that arrived before it is kept.
    pub async fn fetch_room(&self, room_id: String) -> Result<RoomFetch, AccessError> {
        self.on_demand.fetch_room(room_id).await
    }

    /// Asks the server, with one small request, whether it has anything new, and asks the host for a run if it does.
    ///
    /// # Errors
    /// An `AccessError`.
    pub async fn refresh(&self) -> Result<ServerNews, AccessError> {
        self.on_demand.refresh().await
    }

    /// Counts the keys of a room that may be shared with people who are invited later, those that may not, and those
    /// for which this is not known yet (MSC4268). Reads the vault only: needs no network and no unlock. Keys that can
    /// never be opened are left out.
    ///
    /// # Errors
    /// An `AccessError`.
    pub async fn room_history_shareability(&self, room_id: String) -> Result<RoomHistoryShareability, AccessError> {
        self.lookup.may_look_up()?;
        sharing::room_history_shareability(&self.jobs, room_id).await
    }

    /// Writes every key of the vault to an encrypted key export file at `path` (client-server API, "Key export
    /// format"), with 500,000 rounds of key derivation. Entries that are fetched but not yet opened are opened for
    /// the export. The file appears whole or not at all, and memory does not grow with the number of keys. Only one
    /// export runs at a time: another one waits.
    ///
    /// # Errors
    /// An `ExportError`.
    pub async fn export_room_keys(&self, passphrase: SecretString, path: String) -> Result<ExportSummary, ExportError> {
        self.export.run(&self.jobs, passphrase, path).await
    }

    /// Cancels the export that is under way: it fails with `ExportError.Cancelled` and leaves no file.
    pub fn cancel_export(&self) {
        self.export.stop();
    }
}
