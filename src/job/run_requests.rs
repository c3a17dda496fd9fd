//! Requests for a run of one job that come from outside its runs.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Whether a run of a job was asked for while one was under way: the app is asked when that has ended.
#[derive(Default)]
pub(crate) struct RunRequests {
    under_way: AtomicUsize,
    is_requested: AtomicBool,
}

/// Counts a run as under way until it is dropped.
pub(crate) struct RunUnderWay<'a>(&'a RunRequests);

impl RunRequests {
    /// Counts a run as under way, also one that is refused, because it asks for the next one, too.
    pub(crate) fn begin_run(&self) -> RunUnderWay<'_> {
        self.under_way.fetch_add(1, Ordering::SeqCst);
        RunUnderWay(self)
    }

    /// Notes a request, and takes it if no run is under way.
    pub(crate) fn note(&self) -> bool {
        self.is_requested.store(true, Ordering::SeqCst);
        self.take()
    }

    /// Takes the request that has come, if no run is under way: whoever takes it asks the app.
    pub(crate) fn take(&self) -> bool {
        self.under_way.load(Ordering::SeqCst) == 0 && self.is_requested.swap(false, Ordering::SeqCst)
    }
}

impl Drop for RunUnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_taken_once_and_not_before_the_last_run_has_ended() {
        let requests = RunRequests::default();
        assert!(!requests.take(), "nobody has asked");
        assert!(requests.note() && !requests.take());
        let (first, refused) = (requests.begin_run(), requests.begin_run());
        assert!(!requests.note());
        drop(refused);
        assert!(!requests.take(), "the first run is under way");
        drop(first);
        assert!(requests.take() && !requests.take());
    }
}
