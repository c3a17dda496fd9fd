//! What does not come through rests: until when, and how often it has failed in a row. A clock that jumps neither keeps it for
//! ever nor lets it go at once.

use std::time::Duration;

use rusqlite::Row;

use crate::{backup::limits::MAX_REST, clock::wall_ms};

/// How a request fares that can be tried again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rest {
    /// Failures in a row.
    pub(crate) failures: u32,
    /// The last answer had not the shape of a key backup.
    pub(crate) has_wrong_shape: bool,
    failed_at_ms: i64,
    retry_at_ms: i64,
}

/// How a failure is noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The answer does not have the shape of a key backup.
    WrongShape,
    Other,
}

impl Fault {
    pub(super) fn code(self) -> i64 {
        match self {
            Self::WrongShape => 1,
            Self::Other => 2,
        }
    }
}

impl Rest {
    /// Reads the columns that rooms and versions have for it.
    pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            failures: row.get("failures")?,
            has_wrong_shape: row.get::<_, i64>("fault")? == Fault::WrongShape.code(),
            failed_at_ms: row.get("failed_at_ms")?,
            retry_at_ms: row.get("retry_at_ms")?,
        })
    }

    /// What is left of the wait now.
    pub(crate) fn left(&self) -> Option<Duration> {
        wait_left(self.failed_at_ms, self.retry_at_ms, wall_ms(), MAX_REST)
    }
}

/// What is left at `now` of a wait that was begun at `began`, all in milliseconds since 1970; never more than `most`.
pub(super) fn wait_left(began: i64, until: i64, now: i64, most: Duration) -> Option<Duration> {
    // A clock that has been put back says nothing about the wait.
    let left = if now < began { 0 } else { until.saturating_sub(now) };
    let left = Duration::from_millis(u64::try_from(left).unwrap_or(0)).min(most);
    (!left.is_zero()).then_some(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumps_neither_waits_for_ever_nor_for_nothing() {
        let most = Duration::from_secs(3_600);
        let seconds = |left| Some(Duration::from_secs(left));
        let (began, until) = (1_000_000, 1_600_000);
        let table = [
            (1_000_000, seconds(600)),
            (1_599_000, seconds(1)),
            (1_600_000, None),
            (i64::MAX, None),
            // Put back: it is tried.
            (999_999, None),
            (0, None),
        ];
        for (now, left) in table {
            assert_eq!(wait_left(began, until, now, most), left, "{now}");
        }
        // A figure that nobody can have asked for.
        assert_eq!(wait_left(0, i64::MAX, 1, most), Some(most));
        assert_eq!(wait_left(i64::MIN, i64::MIN, 1, most), None);
    }
}
