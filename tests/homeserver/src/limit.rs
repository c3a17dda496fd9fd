//! Limits how many requests a client may send.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

const PER_SECOND: f64 = 10.0;
const BURST: f64 = 50.0;

/// A token bucket: every request takes a token, and the bucket refills over time.
pub(crate) struct Limit(Mutex<Bucket>);

struct Bucket {
    tokens: f64,
    filled_at: Instant,
}

impl Limit {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Bucket {
            tokens: BURST,
            filled_at: Instant::now(),
        }))
    }

    /// Takes a token if there is one, and returns whether the request may pass.
    pub(crate) fn pass(&self) -> bool {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.take(Instant::now())
    }
}

impl Bucket {
    fn take(&mut self, now: Instant) -> bool {
        let seconds = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.filled_at = now;
        self.tokens = (self.tokens + seconds * PER_SECOND).min(BURST);
        let passes = self.tokens >= 1.0;
        if passes {
            self.tokens -= 1.0;
        }
        passes
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{BURST, Bucket};

    #[test]
    fn after_a_burst_of_fifty_ten_pass_a_second() {
        let start = Instant::now();
        let mut bucket = Bucket {
            tokens: BURST,
            filled_at: start,
        };
        let mut passed = |milliseconds| {
            let now = start + Duration::from_millis(milliseconds);
            (0..100).filter(|_| bucket.take(now)).count()
        };
        assert_eq!(passed(0), 50);
        assert_eq!(passed(50), 0);
        assert_eq!(passed(1_070), 10);
        assert_eq!(passed(3_600_000), 50, "it never holds more than a burst");
    }
}
