//! What the vault can list for an app: what arrived, what failed, what was refused, what stands under two rooms.

use crate::{
    backup::{FailureReason, session_id::SessionId},
    download::{
        ArrivalCursor, ArrivedPage, ArrivedRoomKeys, ConflictCause, ConflictPage, EntryPage, EntryRef, KeyConflict,
        KeyDownload, RefusedEntry, RefusedPage, StatusError,
    },
    vault::{Connection, HeldBackCause, VaultError},
};

/// Rows of a page, at most.
const MAX_PAGE: u32 = 10_000;
/// Conflicts of a page, at most: each is looked up.
const MAX_CONFLICTS: u32 = 1_000;

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
            .jobs
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
            .jobs
            .read(move |vault| vault.failures(reason, after.unwrap_or(0), limit))
            .await?;
        Ok(entry_page(rows, limit))
    }

    /// Copies of keys that are held back, each with the copy that counts, at most `limit` (1 to 1,000), from `after` on. The
    /// server, or somebody who can write to the backup, may be moving or forging keys.
    ///
    /// # Errors
    /// A [`StatusError`] if the vault cannot be read.
    pub async fn conflicts(&self, after: Option<i64>, limit: u32) -> Result<ConflictPage, StatusError> {
        let limit = limit.clamp(1, MAX_CONFLICTS) as usize;
        let read = move |vault: &mut Connection| conflict_page(vault, after.unwrap_or(0), limit);
        Ok(self.jobs.read(read).await?)
    }

    /// Keys that the sink refused, with its reasons, at most `limit` (1 to 10,000), from `after` on.
    ///
    /// # Errors
    /// A [`StatusError`] if the vault cannot be read.
    pub async fn refusals(&self, after: Option<i64>, limit: u32) -> Result<RefusedPage, StatusError> {
        let limit = limit.clamp(1, MAX_PAGE) as usize;
        let rows = self
            .jobs
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

fn conflict_page(vault: &Connection, after: i64, limit: usize) -> Result<ConflictPage, VaultError> {
    let rows = vault.held_back(after, limit)?;
    let next = (rows.len() == limit)
        .then(|| rows.last().map(|row| row.entry))
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
