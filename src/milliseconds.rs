//! The one type of a length of time that crosses to Kotlin and Swift. Inside the crate, lengths are `Duration`.

use std::{fmt, time::Duration};

/// A length of time in whole milliseconds. In Kotlin and Swift it is their own `Duration`.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Milliseconds(pub u64);

impl fmt::Debug for Milliseconds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        Duration::from(*self).fmt(formatter)
    }
}

impl From<Duration> for Milliseconds {
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }
}

impl From<Milliseconds> for Duration {
    fn from(milliseconds: Milliseconds) -> Self {
        Self::from_millis(milliseconds.0)
    }
}

// What another language makes of it: `uniffi.toml`.
uniffi::custom_type!(Milliseconds, u64, {
    try_lift: |milliseconds| Ok(Milliseconds(milliseconds)),
    lower: |milliseconds| milliseconds.0,
});
