//! What may be shared of a room's history (MSC4268): counted from the flags that the backup carries.

use crate::{job::Jobs, lookup::LookupError};

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

/// Counts the keys of a room by whether they may be shared.
pub(crate) async fn room_history_shareability(
    jobs: &Jobs,
    room_id: String,
) -> Result<RoomHistoryShareability, LookupError> {
    let counts = jobs.read(move |vault| vault.sharing_counts(&room_id)).await?;
    Ok(RoomHistoryShareability {
        shareable: counts.shareable,
        not_shareable: counts.not_shareable,
        unopened: counts.unopened,
        not_fetched_at_most: counts.not_fetched_at_most,
    })
}
