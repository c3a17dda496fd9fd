//! Counts the keys of a room that may be shared with later members (MSC4268), from the flags in the backup.

use crate::job::{AccessError, Jobs};

/// The number of keys of a room, by whether they may be shared with people who are invited later (MSC4268).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, uniffi::Record)]
pub struct RoomHistoryShareability {
    /// Keys whose flag allows sharing.
    pub shareable: u64,
    /// Keys whose flag forbids sharing or is missing, and keys in conflict.
    pub not_shareable: u64,
    /// Keys in the vault that have not been opened, so that their flag is not known yet.
    pub unopened: u64,
    /// Upper bound on the keys of the room that are not in the vault; the server counts only the backup as a whole. 0
    /// if the room is complete; `None` if the server has not been asked yet.
    pub not_fetched_at_most: Option<u64>,
}

/// Counts the keys of a room by whether they may be shared.
pub(crate) async fn room_history_shareability(
    jobs: &Jobs,
    room_id: String,
) -> Result<RoomHistoryShareability, AccessError> {
    let counts = jobs.read(move |vault| vault.sharing_counts(&room_id)).await?;
    Ok(RoomHistoryShareability {
        shareable: counts.shareable,
        not_shareable: counts.not_shareable,
        unopened: counts.unopened,
        not_fetched_at_most: counts.not_fetched_at_most,
    })
}
