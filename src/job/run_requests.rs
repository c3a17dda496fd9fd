//! Requests for a run of one job that come from outside its runs.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use super::waking::Occasion;
use crate::locked::locked;

/// Whether a run of a job was asked for while one was under way: the app is asked when that has ended.
#[derive(Default)]
pub(crate) struct RunRequests {
    under_way: AtomicUsize,
    /// The strongest reason among the requests that have come.
    requested: Mutex<Option<Occasion>>,
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
    pub(crate) fn note(&self, occasion: Occasion) -> Option<Occasion> {
        {
            let mut requested = locked(&self.requested);
            *requested = (*requested).max(Some(occasion));
        }
        self.take()
    }

    /// Takes the requests that have come, if no run is under way: whoever takes them asks the app. Returns the
    /// strongest reason.
    pub(crate) fn take(&self) -> Option<Occasion> {
        match self.under_way.load(Ordering::SeqCst) {
            0 => locked(&self.requested).take(),
            _ => None,
        }
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
        use Occasion::{ConditionsChanged, UserDecided};
        let requests = RunRequests::default();
        assert_eq!(requests.take(), None, "nobody has asked");
        assert_eq!(requests.note(ConditionsChanged), Some(ConditionsChanged));
        assert_eq!(requests.take(), None);
        let (first, refused) = (requests.begin_run(), requests.begin_run());
        assert_eq!(requests.note(UserDecided), None);
        assert_eq!(requests.note(ConditionsChanged), None);
        drop(refused);
        assert_eq!(requests.take(), None, "the first run is under way");
        drop(first);
        assert_eq!(requests.take(), Some(UserDecided), "the strongest reason counts");
        assert_eq!(requests.take(), None);
    }
}
