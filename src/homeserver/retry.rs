//! Which failures pass by themselves, and how long to wait for that. `Backoff` decides, and is pure; [`Retry`] waits.

use std::time::Duration;

use super::{HomeserverError, TransportError};
use crate::{
    backup::limits::{MAX_ASKED_WAIT, MAX_REST},
    random::dice,
};

/// Tries of one request within a run. After that, the run gives up and reports when to come back.
const MAX_TRIES: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The same where a user waits for the answer.
const LONGEST_WAIT_OF_A_USER: Duration = Duration::from_secs(2);

/// Silence after a 429 that does not say how long.
const USUAL_SILENCE: Duration = Duration::from_secs(5);

const FIRST_REST: Duration = Duration::from_secs(60);
/// How many times longer each rest is than the one before.
const REST_GROWTH: u32 = 4;
const FIRST_OUTAGE: Duration = Duration::from_secs(30);
const LONGEST_OUTAGE: Duration = Duration::from_secs(6 * 60 * 60);

/// Returns how long a single request rests that has failed `failures` times in a row before, over all runs: from a
/// minute to a week, spread by `dice`.
pub(crate) fn rest_after(failures: u32, dice: f64) -> Duration {
    let grown = FIRST_REST.saturating_mul(REST_GROWTH.saturating_pow(failures.min(12)));
    spread(grown.min(MAX_REST), dice)
}

/// Returns how long to wait before the next run, after the `number`th run in a row that made no progress because of
/// the server: from 30 seconds to six hours, spread by `dice`.
pub(crate) fn outage_wait(number: u32, dice: f64) -> Duration {
    let grown = FIRST_OUTAGE.saturating_mul(1 << number.saturating_sub(1).min(16));
    spread(grown.min(LONGEST_OUTAGE), dice)
}

/// Returns how long nothing may be requested after this failure of a request that is not tried again. `None` unless
/// the server limits the rate (HTTP 429).
pub(crate) fn silence_after(error: &HomeserverError) -> Option<Duration> {
    match error {
        HomeserverError::RateLimited { retry_after } => Some(retry_after.unwrap_or(USUAL_SILENCE).min(MAX_ASKED_WAIT)),
        _ => None,
    }
}

/// Spreads a wait between half and all of its length, so that many clients do not come back at the same moment.
fn spread(wait: Duration, dice: f64) -> Duration {
    wait.mul_f64(0.5 + 0.5 * dice.clamp(0.0, 1.0))
}

/// What to do about a failed request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Ask again after this long.
    Retry(Duration),
    /// The failure passes by itself, but not within this run: come back after this long.
    Later(Duration),
    /// The failure does not pass by itself.
    GiveUp,
}

/// Counts the tries of one request, and decides how long to wait between them.
#[derive(Clone, Debug, Default)]
struct Backoff {
    tries: u32,
}

impl Backoff {
    /// Decides about the next try. `dice` is a fresh random number from 0 to 1: it spreads each wait between half and
    /// all of its length, so that many clients do not come back at the same moment.
    fn after(&mut self, error: &HomeserverError, dice: f64) -> Verdict {
        let asked = match error {
            HomeserverError::RateLimited { retry_after } | HomeserverError::ServerFault { retry_after, .. } => {
                *retry_after
            }
            HomeserverError::Transport(
                TransportError::Offline | TransportError::Timeout | TransportError::Interrupted,
            )
            | HomeserverError::NotTheHomeserver
            | HomeserverError::NoTokenNow => None,
            _ => return Verdict::GiveUp,
        };
        self.tries += 1;
        let grown = FIRST_WAIT.saturating_mul(1 << self.tries.min(10)).min(LONGEST_WAIT);
        let own = spread(grown, dice);
        let wait = match asked {
            Some(asked) => asked.min(MAX_ASKED_WAIT) + own / 10,
            None => own,
        };
        // A run does not wait for the network to come back: the OS knows when it does. Nor for the app's token.
        let comes_from_elsewhere = matches!(
            error,
            HomeserverError::Transport(TransportError::Offline) | HomeserverError::NoTokenNow
        );
        if self.tries >= MAX_TRIES || wait > LONGEST_WAIT * 2 || (comes_from_elsewhere && self.tries >= 2) {
            Verdict::Later(wait)
        } else {
            Verdict::Retry(wait)
        }
    }

    /// Starts over after progress: the next failure counts as the first.
    fn reset(&mut self) {
        self.tries = 0;
    }
}

/// Tries a request again while its failures pass by themselves, within limits that the caller sets.
#[derive(Debug, Default)]
pub(crate) struct Retry {
    backoff: Backoff,
    /// `None`: as long as any wait may be.
    longest_wait: Option<Duration>,
    /// Tries after which no other one follows; `None`: as many as `Backoff` allows.
    most_tries: Option<u32>,
    /// Without a network nothing is tried again.
    needs_network: bool,
    tries: u32,
}

/// A request that is not tried again now.
#[derive(Debug)]
pub(crate) struct GivenUp {
    pub(crate) error: HomeserverError,
    /// After so long it may succeed; `None` where waiting does not help.
    pub(crate) retry_after: Option<Duration>,
}

impl Retry {
    /// Waits for a few seconds at most, for small requests that a user is waiting for.
    pub(crate) fn while_a_user_waits() -> Self {
        Self {
            longest_wait: Some(LONGEST_WAIT_OF_A_USER),
            ..Self::default()
        }
    }

    /// Makes at most so many tries, and none without a network.
    pub(crate) fn with_network(most_tries: Option<u32>) -> Self {
        Self {
            most_tries,
            needs_network: true,
            ..Self::default()
        }
    }

    /// Decides about the next try, with a random spread of the wait.
    pub(crate) fn after(&mut self, error: &HomeserverError) -> Verdict {
        self.tries += 1;
        let verdict = self.backoff.after(error, dice());
        let Verdict::Retry(wait) = verdict else {
            return verdict;
        };
        let is_over = self.most_tries.is_some_and(|most| self.tries >= most)
            || self.longest_wait.is_some_and(|longest| wait > longest)
            || (self.needs_network && error.is_no_network());
        if is_over { Verdict::Later(wait) } else { verdict }
    }

    /// Starts counting from the beginning: something came, so the next failure is a new one.
    pub(crate) fn reset(&mut self) {
        self.backoff.reset();
        self.tries = 0;
    }

    /// Waits until the request may be tried again, or gives it up.
    pub(crate) async fn wait(&mut self, error: HomeserverError) -> Result<(), GivenUp> {
        let retry_after = match self.after(&error) {
            Verdict::Retry(wait) => {
                tokio::time::sleep(wait).await;
                return Ok(());
            }
            Verdict::Later(wait) => Some(wait),
            Verdict::GiveUp => None,
        };
        Err(GivenUp { error, retry_after })
    }

    /// Makes a request until it succeeds or is given up.
    pub(crate) async fn request<T, F: Future<Output = Result<T, HomeserverError>>>(
        mut self,
        mut request: impl FnMut() -> F,
    ) -> Result<T, GivenUp> {
        loop {
            match request().await {
                Ok(answer) => return Ok(answer),
                Err(error) => self.wait(error).await?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_with_jitter_and_end_after_four_retries() {
        let error = HomeserverError::ServerFault {
            status: 502,
            retry_after: None,
        };
        let waits = |dice: f64| {
            let mut backoff = Backoff::default();
            std::iter::repeat_with(|| backoff.after(&error, dice))
                .take(5)
                .collect::<Vec<_>>()
        };
        let (short, long) = (waits(0.0), waits(1.0));
        for (low, high) in short.iter().zip(&long).take(4) {
            let (Verdict::Retry(low), Verdict::Retry(high)) = (low, high) else {
                panic!("four retries")
            };
            assert_eq!(*low * 2, *high);
        }
        assert!(matches!(long[4], Verdict::Later(_)));
    }

    #[test]
    fn the_wait_that_a_server_asks_for_is_kept_up_to_a_limit() {
        let limited = |seconds| HomeserverError::RateLimited {
            retry_after: Some(Duration::from_secs(seconds)),
        };
        let verdict = Backoff::default().after(&limited(7), 0.5);
        assert!(
            matches!(verdict, Verdict::Retry(wait) if wait >= Duration::from_secs(7) && wait < Duration::from_secs(8))
        );
        let verdict = Backoff::default().after(&limited(600), 0.5);
        assert!(matches!(verdict, Verdict::Later(wait) if wait >= Duration::from_secs(600)));
        let verdict = Backoff::default().after(&limited(u64::MAX), 0.5);
        assert!(matches!(verdict, Verdict::Later(wait) if wait <= MAX_ASKED_WAIT * 2));
    }

    #[test]
    fn waits_between_runs_grow_up_to_a_limit() {
        let minutes = |failures| rest_after(failures, 1.0).as_secs() / 60;
        assert_eq!(
            [0, 1, 2, 3, 6, 7, 99].map(minutes),
            [1, 4, 16, 64, 4_096, 10_080, 10_080]
        );
        let seconds = |number| outage_wait(number, 1.0).as_secs();
        assert_eq!([0, 1, 2, 3, 8, 99].map(seconds), [30, 30, 60, 120, 3_840, 21_600]);
        assert_eq!(outage_wait(1, 0.0), Duration::from_secs(15));
    }

    #[test]
    fn permanent_errors_are_not_retried() {
        for error in [
            HomeserverError::NotSignedIn { soft_logout: true },
            HomeserverError::SignedOut,
            HomeserverError::Forbidden,
            HomeserverError::NotFound,
            HomeserverError::NoSuchEndpoint,
            HomeserverError::TooLarge,
            HomeserverError::Transport(TransportError::Closed),
            HomeserverError::Transport(TransportError::Tls),
        ] {
            assert_eq!(Backoff::default().after(&error, 0.5), Verdict::GiveUp, "{error}");
        }
    }
}
