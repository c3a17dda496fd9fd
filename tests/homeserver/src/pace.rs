//! Limits how fast bytes are sent.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A link of limited speed, shared by all that send over it.
pub(crate) struct Link {
    bytes_per_second: Option<u64>,
    /// When all bytes that were let through so far have been sent.
    free_at: Mutex<Instant>,
}

impl Link {
    pub(crate) fn new(bytes_per_second: Option<u64>) -> Self {
        Self {
            bytes_per_second: bytes_per_second.map(|rate| rate.max(1)),
            free_at: Mutex::new(Instant::now()),
        }
    }

    /// Returns how many bytes to send at a time, so that about fifty pieces are sent per second, up to `most`.
    pub(crate) fn piece(&self, most: usize) -> usize {
        match self.bytes_per_second {
            None => most,
            Some(rate) => usize::try_from(rate / 50).unwrap_or(most).clamp(1, most),
        }
    }

    /// Waits until the link has had the time to send this many bytes.
    pub(crate) async fn pass(&self, bytes: usize) {
        let Some(rate) = self.bytes_per_second else {
            return;
        };
        let takes = Duration::from_secs_f64(bytes as f64 / rate as f64);
        let until = {
            let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
            *free_at = (*free_at).max(Instant::now()) + takes;
            *free_at
        };
        tokio::time::sleep_until(until.into()).await;
    }
}
