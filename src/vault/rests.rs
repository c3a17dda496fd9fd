//! Keeps the rests of failing requests: how often a request has failed in a row, and when it may be tried again. A
//! rest is bounded, and ends if the clock is put back to before its beginning, so that no jump of the clock can
//! make it last for ever.

use std::time::Duration;

use rusqlite::Row;

use crate::{backup::limits::MAX_REST, clock::wall_ms};

/// The failures of a request, and the wait until it may be tried again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rest {
    /// Failures in a row.
    pub(crate) failures: u32,
    /// Whether the last answer did not have the shape of a key backup.
    pub(crate) has_wrong_shape: bool,
    failed_at_ms: i64,
    retry_at_ms: i64,
}

/// The kind of a failure, as the vault stores it.
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
    /// Reads a rest from its columns, which the tables of rooms and of versions both have.
    pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            failures: row.get("failures")?,
            has_wrong_shape: row.get::<_, i64>("fault")? == Fault::WrongShape.code(),
            failed_at_ms: row.get("failed_at_ms")?,
            retry_at_ms: row.get("retry_at_ms")?,
        })
    }

    /// Returns the remaining wait; `None` if it is over.
    pub(crate) fn left(&self) -> Option<Duration> {
        wait_left(self.failed_at_ms, self.retry_at_ms, wall_ms(), MAX_REST)
    }
}

/// Returns how much is left at `now` of a wait from `began` to `until`, but at most `most`; `None` if it is over.
/// The times are in milliseconds since 1970.
pub(super) fn wait_left(began: i64, until: i64, now: i64, most: Duration) -> Option<Duration> {
    // If the clock was put back to before the wait began, it cannot measure the wait, so the wait ends.
    let left = if now < began { 0 } else { until.saturating_sub(now) };
    let left = Duration::from_millis(u64::try_from(left).unwrap_or(0)).min(most);
    (!left.is_zero()).then_some(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumps_neither_extends_a_wait_nor_causes_one() {
        let most = Duration::from_secs(3_600);
        let seconds = |left| Some(Duration::from_secs(left));
        let (began, until) = (1_000_000, 1_600_000);
        let table = [
            (1_000_000, seconds(600)),
            (1_599_000, seconds(1)),
            (1_600_000, None),
            (i64::MAX, None),
            // The clock was put back, so the wait ends.
            (999_999, None),
            (0, None),
        ];
        for (now, left) in table {
            assert_eq!(wait_left(began, until, now, most), left, "{now}");
        }
        // Values that are out of range for any real wait.
        assert_eq!(wait_left(0, i64::MAX, 1, most), Some(most));
        assert_eq!(wait_left(i64::MIN, i64::MIN, 1, most), None);
    }
}
