//! What a client does with single keys: looks them up, gets them, proves them, unlocks the backup, exports them.

use super::KeyBackupClient;
use crate::{
    blocking::blocking,
    export::{ExportError, ExportSummary},
    lookup::{KeyProof, LookupError, RoomKeyLookup, RoomKeyPage},
    on_demand::{OnDemandError, RoomFetch, ServerNews},
    secret::SecretString,
    sharing::{self, RoomHistoryShareability},
    unlock::{self, UnlockError, UnlockSecret, UnlockedBackup},
};

#[uniffi::export(async_runtime = "tokio")]
impl KeyBackupClient {
    /// Finds the decryption key of a backup version and keeps it, sealed, so that a restart goes on without asking the user:
    /// for the current version, and for every older one that the vault has entries of and that the key opens. May be called at
    /// any time, also while a run is under way, which then opens what it has.
    ///
    /// A decryption key, and a recovery key that is one, needs no network where the vault knows the version. A key or passphrase
    /// of secret storage is looked up on the server.
    ///
    /// # Errors
    /// An [`UnlockError`]. A wrong key never replaces a good one.
    pub async fn unlock(&self, secret: UnlockSecret) -> Result<UnlockedBackup, UnlockError> {
        let unlocked = unlock::unlock(&self.jobs, secret).await?;
        self.download.keys_have_changed().await;
        Ok(unlocked)
    }

    /// Looks for a key in the vault, offline. Costs about one decryption; the first call after opening or
    /// `close_lookups` a little more.
    ///
    /// # Errors
    /// A [`LookupError`]; [`LookupError::Locked`] only if the entry is there.
    pub async fn find_room_key(&self, room_id: String, session_id: String) -> Result<RoomKeyLookup, LookupError> {
        self.lookup.find_room_key(room_id, session_id).await
    }

    /// The keys of a room, at most `limit` (1 to 1,000), from `after` on (`None`: from the first).
    ///
    /// # Errors
    /// A [`LookupError`].
    pub async fn room_keys(&self, room_id: String, after: Option<i64>, limit: u32) -> Result<RoomKeyPage, LookupError> {
        self.lookup.page(room_id, after, limit).await
    }

    /// Takes an event that was encrypted with a session as proof that the vault's key of it is genuine: the event's JSON, or that
    /// of its content, as it came from the server (`m.room.encrypted`; at most 256 KiB). It proves the key if it decrypts with it
    /// and names the room in its plaintext; then look-ups, sinks and exports have that key, whatever came first. Nothing else
    /// proves a key: entries of a backup are not signed. Call it where a message does not decrypt with the key that the app has,
    /// or where a session stands under two rooms.
    ///
    /// # Errors
    /// A [`LookupError`].
    pub async fn prove_room_key(
        &self,
        room_id: String,
        session_id: String,
        event_json: String,
    ) -> Result<KeyProof, LookupError> {
        let proof = self.lookup.prove_room_key(room_id, session_id, event_json).await?;
        if proof == KeyProof::Proved {
            self.download.ask_for_a_run().await;
        }
        Ok(proof)
    }

    /// Closes the connection that look-ups keep open, and wipes the keys that it holds. Call it before the app is
    /// suspended; the next look-up opens it again.
    pub async fn close_lookups(&self) {
        let lookup = self.lookup.clone();
        blocking(move || lookup.close()).await;
    }

    /// The key of a message that cannot be decrypted right now: from the vault, else from the server. Costs one request;
    /// two or three where the server does not have it, as that may mean that the backup has changed. Asked for by many at once
    /// it is requested once. `NotFound` is remembered for ten minutes, or until the backup changes.
    ///
    /// `better_than` is for a message from before the first index that the app's copy of the key begins with (matrix-sdk says
    /// `UnknownMegolmMessageIndex`): that index. Then a key that begins no earlier counts as `NotFound`, in the vault and on the
    /// server. `None` where the app has no copy.
    ///
    /// Name the room that the message is in. Whether the key is that room's shows when the message is decrypted, as its plaintext
    /// names the room; `prove_room_key` then keeps that.
    ///
    /// # Errors
    /// An [`OnDemandError`].
    pub async fn fetch_session(
        &self,
        room_id: String,
        session_id: String,
        better_than: Option<u32>,
    ) -> Result<RoomKeyLookup, OnDemandError> {
        self.on_demand.fetch_session(room_id, session_id, better_than).await
    }

    /// All keys of a room, for messages that cannot be decrypted right now: what the vault has not is fetched from the
    /// server, once for all who ask at the same time. They can be looked up when this returns; the sink gets them in a run. A
    /// large room that takes the vault past [`DownloadPolicy::max_vault_bytes`](crate::DownloadPolicy) is on hold there, for
    /// `DiskLimit`.
    ///
    /// # Errors
    /// An [`OnDemandError`]; every whole entry that arrived before is kept.
    pub async fn fetch_room(&self, room_id: String) -> Result<RoomFetch, OnDemandError> {
        self.on_demand.fetch_room(room_id).await
    }

    /// Asks, with one small request, whether there is anything new on the server, and asks the host for a run if there is.
    ///
    /// # Errors
    /// An [`OnDemandError`].
    pub async fn refresh(&self) -> Result<ServerNews, OnDemandError> {
        self.on_demand.refresh().await
    }

    /// How many keys of a room may be shared with people who are invited later, how many may not, and how many are not known
    /// yet. From the vault, with no network; needs no unlock. Keys that can never be opened are left out.
    ///
    /// # Errors
    /// A [`LookupError`].
    pub async fn room_history_shareability(&self, room_id: String) -> Result<RoomHistoryShareability, LookupError> {
        self.lookup.may_look_up()?;
        sharing::room_history_shareability(&self.jobs, room_id).await
    }

    /// Writes every key of the vault to an encrypted key export file at `path` (client-server API, "Key export format"),
    /// 500,000 rounds of key derivation. What has been fetched and not opened is opened for it. The file appears whole,
    /// or not at all; memory does not grow with the number of keys. One export at a time: another one waits.
    ///
    /// # Errors
    /// An [`ExportError`].
    pub async fn export_room_keys(&self, passphrase: SecretString, path: String) -> Result<ExportSummary, ExportError> {
        self.export.run(&self.jobs, passphrase, path).await
    }

    /// Ends an export that is under way; it answers `Cancelled` and leaves no file.
    pub fn cancel_export(&self) {
        self.export.stop();
    }
}
