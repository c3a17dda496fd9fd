//! What the vault can list for an app: what arrived, what failed, what was refused, what stands under two rooms.

use super::{
    ArrivalCursor, ArrivedPage, ArrivedRoomKeys, EntryPage, EntryRef, KeyDownload, RefusedEntry, RefusedPage,
    StatusError,
};
use crate::backup::{FailureReason, session_id::SessionId};

/// Rows of a page, at most.
const MAX_PAGE: u32 = 10_000;

#[uniffi::export(async_runtime = "tokio")]
impl KeyDownload {
    /// Keys that were opened after `cursor`, at most `limit` (1 to 10,000), in the order of arrival: none is left out,
    /// and none comes twice, unless the backup has got a better copy of it. Keep `next` where the app keeps its own state.
    ///
    /// # Errors
    /// A [`StatusError`] if the vault cannot be read.
    pub async fn arrived_since(&self, cursor: ArrivalCursor, limit: u32) -> Result<ArrivedPage, StatusError> {
        let limit = limit.clamp(1, MAX_PAGE) as usize;
        let rows = self
            .read(move |vault| vault.arrived_since(cursor.batch, cursor.entry, limit + 1))
            .await?;
        let more = rows.len() > limit;
        let mut page = ArrivedPage {
            arrived: Vec::new(),
            next: cursor,
            more,
        };
        for row in rows.into_iter().take(limit) {
            page.next = ArrivalCursor {
                batch: row.batch,
                entry: row.entry,
            };
            let session_id = row.session.to_string();
            match page.arrived.last_mut() {
                Some(last) if last.room_id == row.room_id => last.session_ids.push(session_id),
                _ => page.arrived.push(ArrivedRoomKeys {
                    room_id: row.room_id,
                    session_ids: vec![session_id],
                }),
            }
        }
        Ok(page)
    }

    /// Entries that failed for `reason`, at most `limit` (1 to 10,000), from `after` on (`None`: from the first).
    ///
    /// # Errors
    /// A [`StatusError`] if the vault cannot be read.
    pub async fn failures(
        &self,
        reason: FailureReason,
        after: Option<i64>,
        limit: u32,
    ) -> Result<EntryPage, StatusError> {
        let limit = limit.clamp(1, MAX_PAGE) as usize;
        let rows = self
            .read(move |vault| vault.failures(reason, after.unwrap_or(0), limit))
            .await?;
        Ok(entry_page(rows, limit))
    }

    /// Keys that stand under two rooms, at most `limit` (1 to 10,000), from `after` on. The server may be moving keys: they
    /// are not delivered, and look-ups say so.
    ///
    /// # Errors
    /// A [`StatusError`] if the vault cannot be read.
    pub async fn conflicts(&self, after: Option<i64>, limit: u32) -> Result<EntryPage, StatusError> {
        let limit = limit.clamp(1, MAX_PAGE) as usize;
        let rows = self
            .read(move |vault| vault.conflicts(after.unwrap_or(0), limit))
            .await?;
        Ok(entry_page(rows, limit))
    }

    /// Keys that the sink refused, with its reasons, at most `limit` (1 to 10,000), from `after` on.
    ///
    /// # Errors
    /// A [`StatusError`] if the vault cannot be read.
    pub async fn refusals(&self, after: Option<i64>, limit: u32) -> Result<RefusedPage, StatusError> {
        let limit = limit.clamp(1, MAX_PAGE) as usize;
        let rows = self
            .read(move |vault| vault.refusals(after.unwrap_or(0), limit))
            .await?;
        let next = (rows.len() == limit).then(|| rows.last().map(|row| row.0)).flatten();
        let entries = rows
            .into_iter()
            .map(|(_, room_id, session, reason)| RefusedEntry {
                entry: EntryRef {
                    room_id,
                    session_id: session.to_string(),
                },
                reason,
            })
            .collect();
        Ok(RefusedPage { entries, next })
    }
}

fn entry_page(rows: Vec<(i64, String, SessionId)>, limit: usize) -> EntryPage {
    let next = (rows.len() == limit).then(|| rows.last().map(|row| row.0)).flatten();
    let entries = rows
        .into_iter()
        .map(|(_, room_id, session)| EntryRef {
            room_id,
            session_id: session.to_string(),
        })
        .collect();
    EntryPage { entries, next }
}
