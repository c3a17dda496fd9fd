//! How far the job is as a whole, whether the user wants it, and when the server wants to be asked again.

use std::time::Duration;

use rusqlite::params;

use super::{Connection, VaultError, VaultTx, Writer, rests::wait_left};
use crate::ids::EntryId;
use crate::{backup::limits::MAX_ASKED_WAIT, clock::wall_ms};

/// What the user wants of the download; it stays over restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum UserIntent {
    #[default]
    Download,
    Pause,
    /// No wake-ups either, until it is started anew.
    Stop,
}

impl UserIntent {
    fn code(self) -> i64 {
        match self {
            Self::Download => 0,
            Self::Pause => 1,
            Self::Stop => 2,
        }
    }

    fn from_code(code: i64) -> Self {
        match code {
            1 => Self::Pause,
            2 => Self::Stop,
            _ => Self::Download,
        }
    }
}

/// Figures that rise when an answer brings something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FetchProgress {
    last_entry: EntryId,
    complete_rooms: i64,
    names: i64,
}

impl FetchProgress {
    /// Whether anything has come since.
    pub(crate) fn has_come_since(&self, before: &Self) -> bool {
        self.last_entry > before.last_entry || self.complete_rooms > before.complete_rooms || self.names > before.names
    }
}

impl Connection {
    /// Every entry up to this id needs no more work: opened or failed, and with a sink delivered too.
    pub(crate) fn settled_through(&self, with_sink: bool) -> Result<EntryId, VaultError> {
        let sql = if with_sink {
            "SELECT min(opened_through, delivered_through) FROM job"
        } else {
            "SELECT opened_through FROM job"
        };
        Ok(self.inner.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    pub(crate) fn user_intent(&self) -> Result<UserIntent, VaultError> {
        let code = self.inner.query_row("SELECT intent FROM job", [], |row| row.get(0))?;
        Ok(UserIntent::from_code(code))
    }

    /// Keeps what the user wants; what was given up stays so unless `restarts_stopped`. Gives what holds then.
    pub(crate) fn keep_user_intent(
        &mut self,
        intent: UserIntent,
        restarts_stopped: bool,
    ) -> Result<UserIntent, VaultError> {
        self.write(|transaction| {
            transaction.execute(
                "UPDATE job SET intent = ?1 WHERE ?3 OR intent <> ?2",
                params![intent.code(), UserIntent::Stop.code(), restarts_stopped],
            )?;
            let code = transaction.query_row("SELECT intent FROM job", [], |row| row.get(0))?;
            Ok(UserIntent::from_code(code))
        })
    }

    /// How long the server is still to be left in peace.
    pub(crate) fn retry_after(&self) -> Result<Option<Duration>, VaultError> {
        let (asked_at, retry_at): (i64, i64) =
            self.inner
                .query_row("SELECT asked_at_ms, retry_at_ms FROM job", [], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?;
        Ok(wait_left(asked_at, retry_at, wall_ms(), MAX_ASKED_WAIT))
    }

    /// How far fetching is, for all versions together.
    pub(crate) fn fetch_progress(&self) -> Result<FetchProgress, VaultError> {
        let sql = "SELECT (SELECT max(coalesce(max(id), 0), last_forgotten) FROM entry),
                (SELECT count(*) FROM room WHERE complete <> 0), (SELECT coalesce(sum(names), 0) FROM backup_version)
             FROM job";
        Ok(self.inner.query_row(sql, [], |row| {
            Ok(FetchProgress {
                last_entry: row.get(0)?,
                complete_rooms: row.get(1)?,
                names: row.get(2)?,
            })
        })?)
    }

    /// Runs in a row that the server kept from getting anywhere.
    pub(crate) fn outages(&self) -> Result<u32, VaultError> {
        Ok(self.inner.query_row("SELECT outages FROM job", [], |row| row.get(0))?)
    }
}

impl Writer {
    /// Counts a run that the server kept from getting anywhere, or ends the row of them. Gives their number.
    pub(crate) fn note_outage(&mut self, is_one: bool) -> Result<u32, VaultError> {
        if !is_one && self.reader().outages()? == 0 {
            return Ok(0);
        }
        self.write(|transaction| {
            transaction.execute(
                "UPDATE job SET outages = CASE WHEN ?1 THEN outages + 1 ELSE 0 END",
                [is_one],
            )?;
            Ok(transaction.query_row("SELECT outages FROM job", [], |row| row.get(0))?)
        })
    }
}

impl VaultTx<'_> {
    /// Notes that the server wants no request for so long.
    pub(crate) fn keep_retry_after(&self, wait: Duration) -> Result<(), VaultError> {
        let now = wall_ms();
        let until = now + i64::try_from(wait.min(MAX_ASKED_WAIT).as_millis()).unwrap_or(0);
        // A longer wait that was asked for before still counts.
        self.execute(
        "UPDATE job SET retry_at_ms = max(?2, CASE WHEN asked_at_ms <= ?1 AND retry_at_ms <= ?3 THEN retry_at_ms ELSE 0 END),
             asked_at_ms = ?1",
        [now, until, now + MAX_ASKED_WAIT.as_millis() as i64],
    )?;
        Ok(())
    }
}
