//! How many keys a batch may have, so that it is over in time whatever the device.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// How long a batch should take: with large batches, a store on a database writes less for each key.
const TARGET: Duration = Duration::from_millis(200);
/// Keys in the first batch, when nothing is known yet.
const FIRST_KEYS: u32 = 1_000;
const LEAST_KEYS: u32 = 250;
/// Batches of fewer keys than this show little of how long a large one takes.
const TELLING_KEYS: u32 = 100;

/// Follows how long batches take.
#[derive(Debug)]
pub(super) struct Pace {
    most: u32,
    batch_keys: AtomicU32,
}

impl Pace {
    /// Allows at most so many keys in a batch.
    pub(super) fn new(most: u32) -> Self {
        Self {
            most,
            batch_keys: AtomicU32::new(FIRST_KEYS),
        }
    }

    /// Returns the maximum number of keys in the next batch.
    pub(super) fn batch_keys(&self) -> u32 {
        self.batch_keys.load(Ordering::Relaxed)
    }

    /// Notes how long a batch of so many keys took. The next one may be twice as large at most.
    pub(super) fn note(&self, keys: usize, took: Duration) {
        let keys = u32::try_from(keys).unwrap_or(u32::MAX);
        if keys < TELLING_KEYS {
            return;
        }
        let in_time = f64::from(keys) * TARGET.as_secs_f64() / took.as_secs_f64().max(0.001);
        let twice = self.batch_keys().saturating_mul(2);
        let next = (in_time as u32).min(twice).clamp(LEAST_KEYS, self.most);
        self.batch_keys.store(next, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_grow_step_by_step_up_to_the_limit_and_shrink_at_once() {
        let pace = Pace::new(3_000);
        let after = |keys, ms| {
            pace.note(keys, Duration::from_millis(ms));
            pace.batch_keys()
        };
        assert_eq!(after(1_000, 10), 2_000);
        assert_eq!(after(2_000, 20), 3_000);
        assert_eq!(after(3_000, 20), 3_000);
        assert_eq!(after(3_000, 400), 1_500);
        assert_eq!(after(1_500, 60_000), LEAST_KEYS);
        assert_eq!(after(250, 0), 500);
        assert_eq!(after(5, 60_000), 500, "too few to tell");
    }
}
