//! What the vault can list for an app: keys that arrived, failed, were refused, or are held back.

use crate::{
    backup::{FailureReason, session_id::SessionId},
    download::{
        ArrivalCursor, ArrivedPage, ArrivedRoomKeys, ConflictCause, ConflictPage, EntryPage, EntryRef, KeyConflict,
        KeyDownload, RefusedEntry, RefusedPage,
    },
    ids::{BatchId, EntryId},
    job::AccessError,
    vault::{Connection, HeldBackCause, VaultError},
};

/// Maximum number of rows per page.
const MAX_PAGE: u32 = 10_000;
/// Maximum number of conflicts per page, because each one needs look-ups.
const MAX_CONFLICTS: u32 = 1_000;

#[uniffi::export(async_runtime = "tokio")]
impl KeyDownload {
    /// Returns keys that were opened after `cursor`, in the order of arrival, at most `limit` (1 to 10,000) of them.
    /// Every key comes, and none comes twice unless the backup got a better copy of it.
    ///
    /// Example: begin with the default cursor. While a page has `more`, call again with its `next`. Store the last
    /// `next` where the app keeps its own state, and continue there next time.
    ///
    /// # Errors
    /// Fails with an `AccessError` if the vault cannot be read.
    pub async fn arrived_since(&self, cursor: ArrivalCursor, limit: u32) -> Result<ArrivedPage, AccessError> {
        let limit = limit.clamp(1, MAX_PAGE) as usize;
        let rows = self
            .jobs
            .read(move |vault| vault.arrived_since(BatchId(cursor.batch), EntryId(cursor.entry), limit + 1))
            .await?;
        let more = rows.len() > limit;
        let mut page = ArrivedPage {
            arrived: Vec::new(),
            next: cursor,
            more,
        };
        for row in rows.into_iter().take(limit) {
            page.next = ArrivalCursor {
                batch: row.batch.0,
                entry: row.entry.0,
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

    /// Returns entries that failed for `reason`, at most `limit` (1 to 10,000) of them. Pass `None` as `after` for
    /// the first page, then the `next` of the page before.
    ///
    /// # Errors
    /// Fails with an `AccessError` if the vault cannot be read.
    pub async fn failures(
        &self,
        reason: FailureReason,
        after: Option<i64>,
        limit: u32,
    ) -> Result<EntryPage, AccessError> {
        let limit = limit.clamp(1, MAX_PAGE) as usize;
        let rows = self
            .jobs
            .read(move |vault| vault.failures(reason, EntryId(after.unwrap_or(0)), limit))
            .await?;
        Ok(entry_page(rows, limit))
    }

    /// Returns copies of keys that are held back, each with the copy that counts, at most `limit` (1 to 1,000) of
    /// them. Pass `None` as `after` for the first page, then the `next` of the page before. A conflict can mean that
    /// the server, or someone else who can write to the backup, is moving or forging keys.
    ///
    /// # Errors
    /// Fails with an `AccessError` if the vault cannot be read.
    pub async fn conflicts(&self, after: Option<i64>, limit: u32) -> Result<ConflictPage, AccessError> {
        let limit = limit.clamp(1, MAX_CONFLICTS) as usize;
        let read = move |vault: &mut Connection| conflict_page(vault, EntryId(after.unwrap_or(0)), limit);
        self.jobs.read(read).await
    }

    /// Returns keys that the sink refused, each with the reason, at most `limit` (1 to 10,000) of them. Pass `None`
    /// as `after` for the first page, then the `next` of the page before.
    ///
    /// # Errors
    /// Fails with an `AccessError` if the vault cannot be read.
    pub async fn refusals(&self, after: Option<i64>, limit: u32) -> Result<RefusedPage, AccessError> {
        let limit = limit.clamp(1, MAX_PAGE) as usize;
        let rows = self
            .jobs
            .read(move |vault| vault.refusals(EntryId(after.unwrap_or(0)), limit))
            .await?;
        let next = (rows.len() == limit).then(|| rows.last().map(|row| row.0.0)).flatten();
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

fn conflict_page(vault: &Connection, after: EntryId, limit: usize) -> Result<ConflictPage, VaultError> {
    let rows = vault.held_back(after, limit)?;
    let next = (rows.len() == limit)
        .then(|| rows.last().map(|row| row.entry.0))
        .flatten();
    let mut conflicts = Vec::with_capacity(rows.len());
    for row in rows {
        let version = |id| Ok::<_, VaultError>(vault.version_by_id(id)?.map(|version| version.version));
        let counts = vault
            .copies_of_entry(row.entry)?
            .into_iter()
            .find(|copy| match row.cause {
                HeldBackCause::OtherRoom => copy.counts() && copy.entry != row.entry,
                HeldBackCause::Unconnected => copy.is_rival_of(row.entry, &row.room_id, vault),
            });
        let session_id = row.session.to_string();
        let (counts, counts_version) = match counts {
            Some(copy) => {
                let room_id = vault.room_of_copy(&copy)?;
                let session_id = session_id.clone();
                (Some(EntryRef { room_id, session_id }), version(copy.version)?)
            }
            None => (None, None),
        };
        conflicts.push(KeyConflict {
            held_back: EntryRef {
                room_id: row.room_id,
                session_id,
            },
            version: version(row.version)?.unwrap_or_default(),
            counts,
            counts_version,
            cause: row.cause.into(),
        });
    }
    Ok(ConflictPage { conflicts, next })
}

impl From<HeldBackCause> for ConflictCause {
    fn from(cause: HeldBackCause) -> Self {
        match cause {
            HeldBackCause::OtherRoom => Self::TwoRooms,
            HeldBackCause::Unconnected => Self::Unconnected,
        }
    }
}

fn entry_page(rows: Vec<(EntryId, String, SessionId)>, limit: usize) -> EntryPage {
    let next = (rows.len() == limit).then(|| rows.last().map(|row| row.0.0)).flatten();
    let entries = rows
        .into_iter()
        .map(|(_, room_id, session)| EntryRef {
            room_id,
            session_id: session.to_string(),
        })
        .collect();
    EntryPage { entries, next }
}
