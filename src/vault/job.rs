//! Stores the state of the job as a whole: how far it is, what the user wants, and when the server may be asked
//! again.

use std::time::Duration;

use rusqlite::params;

use super::{Connection, VaultError, VaultTx, Writer, rests::wait_left};
use crate::ids::EntryId;
use crate::{backup::limits::MAX_ASKED_WAIT, clock::wall_ms};

/// What the user wants the download to do. Survives restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum UserIntent {
    #[default]
    Download,
    Pause,
    /// Neither download nor request wake-ups, until the user starts the download again.
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

/// Figures that increase when an answer brings something new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FetchProgress {
    last_entry: EntryId,
    complete_rooms: i64,
    names: i64,
}

impl FetchProgress {
    /// Whether anything new has arrived since these figures were `before`.
    pub(crate) fn has_come_since(&self, before: &Self) -> bool {
        self.last_entry > before.last_entry || self.complete_rooms > before.complete_rooms || self.names > before.names
    }
}

impl Connection {
    /// Returns the entry up to which no entry needs more work: each one has been opened or has failed and, if there
    /// is a sink, needs no more delivery.
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

    /// Stores what the user wants. A stopped download stays stopped unless `restarts_stopped`. Returns the intent
    /// that is then in force.
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

    /// Returns how much longer the server must not be asked, because it has asked for a wait; `None` if it may be
    /// asked.
    pub(crate) fn retry_after(&self) -> Result<Option<Duration>, VaultError> {
        let (asked_at, retry_at): (i64, i64) =
            self.inner
                .query_row("SELECT asked_at_ms, retry_at_ms FROM job", [], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?;
        Ok(wait_left(asked_at, retry_at, wall_ms(), MAX_ASKED_WAIT))
    }

    /// Returns how far fetching is, for all versions together.
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

    /// Returns the number of consecutive runs in which nothing arrived because of the server.
    pub(crate) fn outages(&self) -> Result<u32, VaultError> {
        Ok(self.inner.query_row("SELECT outages FROM job", [], |row| row.get(0))?)
    }
}

impl Writer {
    /// Counts a run in which nothing arrived because of the server, or resets the count if `is_one` is false.
    /// Returns the number of such runs in a row.
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
    /// Notes that the server has asked for no request during `wait`, of which at most [`MAX_ASKED_WAIT`] counts.
    pub(crate) fn keep_retry_after(&self, wait: Duration) -> Result<(), VaultError> {
        let now = wall_ms();
        let until = now + i64::try_from(wait.min(MAX_ASKED_WAIT).as_millis()).unwrap_or(0);
        // A longer wait that the server asked for earlier still counts.
        self.execute(
        "UPDATE job SET retry_at_ms = max(?2, CASE WHEN asked_at_ms <= ?1 AND retry_at_ms <= ?3 THEN retry_at_ms ELSE 0 END),
             asked_at_ms = ?1",
        [now, until, now + MAX_ASKED_WAIT.as_millis() as i64],
    )?;
        Ok(())
    }
}
