//! What may be shared of a room's history (MSC4268): counted from the flags that the backup carries.

use crate::{client::KeyBackupClient, lookup::LookupError};

/// The keys of a room, by whether they may be shared with people who are invited later (MSC4268).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, uniffi::Record)]
pub struct RoomHistoryShareability {
    /// Keys whose flag says that they may be shared.
    pub shareable: u64,
    /// Keys whose flag says no, or that have none; and keys in conflict.
    pub not_shareable: u64,
    /// Keys that are in the vault and have not been opened: their flag is not known yet.
    pub unopened: u64,
    /// Keys of the room that are not in the vault, at most: the server counts only the backup as a whole. 0 where the room is
    /// complete; `None` where the server has not been asked yet.
    pub not_fetched_at_most: Option<u64>,
}

#[uniffi::export(async_runtime = "tokio")]
impl KeyBackupClient {
    /// How many keys of a room may be shared with people who are invited later, how many may not, and how many are not known
    /// yet. From the vault, with no network; needs no unlock. Keys that can never be opened are left out.
    ///
    /// # Errors
    /// A [`LookupError`].
    pub async fn room_history_shareability(&self, room_id: String) -> Result<RoomHistoryShareability, LookupError> {
        self.may_look_up()?;
        let counts = self.download.read(move |vault| vault.sharing_counts(&room_id)).await?;
        Ok(RoomHistoryShareability {
            shareable: counts.shareable,
            not_shareable: counts.not_shareable,
            unopened: counts.unopened,
            not_fetched_at_most: counts.not_fetched_at_most,
        })
    }
}
