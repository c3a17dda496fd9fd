//! An answer: its head is sorted into success or an error, and its body is pulled with a bound on silence.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use serde::Deserialize;
use tokio::time::Instant;

use super::{HomeserverError, HttpExchange, HttpHead, TransportError};
use crate::backup::limits::{MAX_SMALL_ANSWER, MAX_SMALL_BODY_BYTES, MIN_BYTES_PER_SILENCE};
use crate::locked::locked;

/// The body of a successful answer. Dropping it closes the exchange.
pub(crate) struct Body {
    exchange: Arc<dyn HttpExchange>,
    began: Instant,
    idle_timeout: Duration,
    pace: Mutex<Pace>,
}

impl Drop for Body {
    fn drop(&mut self) {
        // We are done with the exchange, whatever it returns.
        let _ = self.exchange.cancel();
    }
}

impl Body {
    /// Waits for the head and sorts it. Returns a body only for a 200.
    pub(crate) async fn open(
        exchange: Arc<dyn HttpExchange>,
        idle_timeout: Duration,
        now: SystemTime,
    ) -> Result<Self, HomeserverError> {
        let body = Self {
            exchange,
            began: Instant::now(),
            idle_timeout,
            pace: Mutex::default(),
        };
        let head = body.with_silence_limit(body.exchange.head()).await?;
        if head.status == 200 {
            return Ok(body);
        }
        let answer = match body.read_small(MAX_SMALL_BODY_BYTES).await {
            // If the body is cut short, it does not show which kind of 401 or 404 this is.
            Err(error @ HomeserverError::Transport(_)) if matches!(head.status, 401 | 404) => return Err(error),
            answer => answer.unwrap_or_default(),
        };
        Err(sort(&head, &answer, now))
    }

    /// Returns the next part of the body, or `None` at the end.
    pub(crate) async fn next_chunk(&self) -> Result<Option<Vec<u8>>, HomeserverError> {
        let began = Instant::now();
        let chunk = self.with_silence_limit(self.exchange.next_chunk()).await?;
        let bytes = chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        let mut pace = locked(&self.pace);
        if chunk.is_some() && pace.is_too_slow(began.elapsed(), bytes, self.idle_timeout) {
            return Err(TransportError::Timeout.into());
        }
        Ok(chunk)
    }

    /// Returns the whole body, if it has no more than `bound` bytes and arrives within [`MAX_SMALL_ANSWER`].
    pub(crate) async fn read_small(&self, bound: usize) -> Result<Vec<u8>, HomeserverError> {
        tokio::time::timeout_at(self.began + MAX_SMALL_ANSWER, self.read_whole(bound))
            .await
            .unwrap_or(Err(TransportError::Timeout.into()))
    }

    async fn read_whole(&self, bound: usize) -> Result<Vec<u8>, HomeserverError> {
        let mut whole = Vec::new();
        while let Some(chunk) = self.next_chunk().await? {
            if whole.len() + chunk.len() > bound {
                return Err(HomeserverError::TooLarge);
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole)
    }

    /// Ends a wait that is too long, for transports that break their promise to notice silence.
    async fn with_silence_limit<T>(
        &self,
        wait: impl Future<Output = Result<T, TransportError>>,
    ) -> Result<T, TransportError> {
        let patience = self.idle_timeout + Duration::from_secs(5);
        tokio::time::timeout(patience, wait)
            .await
            .unwrap_or(Err(TransportError::Timeout))
    }
}

/// How fast a body arrives, measured over the time spent waiting for it: a byte now and then is no better than
/// silence.
#[derive(Default)]
struct Pace {
    waited: Duration,
    bytes: u64,
}

impl Pace {
    fn is_too_slow(&mut self, waited: Duration, bytes: u64, window: Duration) -> bool {
        self.waited += waited;
        self.bytes += bytes;
        if self.waited < window {
            return false;
        }
        let too_slow = self.bytes < MIN_BYTES_PER_SILENCE;
        *self = Self::default();
        too_slow
    }
}

#[derive(Deserialize)]
struct MatrixError {
    errcode: String,
    #[serde(default)]
    soft_logout: bool,
    retry_after_ms: Option<u64>,
}

/// Returns the error that an unsuccessful answer means.
pub(crate) fn sort_answer(head: &HttpHead, body: &[u8]) -> HomeserverError {
    sort(head, body, SystemTime::now())
}

fn sort(head: &HttpHead, body: &[u8], now: SystemTime) -> HomeserverError {
    let matrix: Option<MatrixError> = serde_json::from_slice(body).ok();
    let errcode = matrix.as_ref().map_or("", |error| error.errcode.as_str());
    let retry_after = retry_after(head, now).or_else(|| {
        matrix
            .as_ref()
            .and_then(|error| error.retry_after_ms)
            .map(Duration::from_millis)
    });
    match head.status {
        300..=399 => HomeserverError::NotTheHomeserver,
        // A proxy that wants its own login is not our homeserver.
        401 if matrix.is_none() => HomeserverError::NotTheHomeserver,
        401 => HomeserverError::NotSignedIn {
            soft_logout: matrix.is_some_and(|error| error.soft_logout),
        },
        403 => HomeserverError::Forbidden,
        404 if errcode == "M_NOT_FOUND" => HomeserverError::NotFound,
        404 => HomeserverError::NoSuchEndpoint,
        413 => HomeserverError::RequestTooLarge,
        429 => HomeserverError::RateLimited { retry_after },
        511 => HomeserverError::NotTheHomeserver,
        status @ 500..=599 => HomeserverError::ServerFault { status, retry_after },
        // Our endpoints answer with no 2xx but 200; 407 and 511 come from a network that wants a login first.
        200..=299 | 407 => HomeserverError::NotTheHomeserver,
        status => HomeserverError::Refused { status },
    }
}

/// Reads `Retry-After`, in seconds or as a date (RFC 9110, section 10.2.3).
fn retry_after(head: &HttpHead, now: SystemTime) -> Option<Duration> {
    let header = head
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("retry-after"))?;
    let value = header.value.trim();
    match value.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => Some(
            httpdate::parse_http_date(value)
                .ok()?
                .duration_since(now)
                .unwrap_or_default(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::homeserver::HttpHeader;

    #[test]
    fn a_trickle_counts_as_silence_but_a_slow_body_does_not() {
        let window = Duration::from_secs(60);
        let seconds = Duration::from_secs;
        let mut drip = Pace::default();
        let ended = (1..).find(|_| drip.is_too_slow(seconds(1), 1, window));
        assert_eq!(ended, Some(60));
        let mut slow = Pace::default();
        assert!((0..600).all(|_| !slow.is_too_slow(seconds(1), 20, window)));
        // The time that the disk or the sink takes does not count against the server.
        let mut late = Pace::default();
        assert!((0..10_000).all(|_| !late.is_too_slow(Duration::ZERO, 1, window)));
    }

    /// A body that never ends: so many bytes after each wait.
    struct Drip {
        bytes: usize,
        every: Duration,
    }

    #[async_trait::async_trait]
    impl HttpExchange for Drip {
        async fn head(&self) -> Result<HttpHead, TransportError> {
            let headers = Vec::new();
            Ok(HttpHead { status: 200, headers })
        }

        async fn next_chunk(&self) -> Result<Option<Vec<u8>>, TransportError> {
            tokio::time::sleep(self.every).await;
            Ok(Some(vec![b' '; self.bytes]))
        }

        fn cancel(&self) -> Result<(), TransportError> {
            Ok(())
        }
    }

    /// Returns how long such a body is read before it is given up.
    async fn lasts(bytes: usize, every: Duration, is_small: bool) -> Duration {
        let exchange = Arc::new(Drip { bytes, every });
        let body = Body::open(exchange, Duration::from_secs(60), SystemTime::now()).await;
        let body = body.expect("a body");
        let began = Instant::now();
        let hour = async {
            match is_small {
                true => drop(body.read_small(usize::MAX).await),
                false => while body.next_chunk().await.is_ok() {},
            }
        };
        // A body that is never given up ends after an hour.
        drop(tokio::time::timeout(Duration::from_secs(3_600), hour).await);
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_is_ended_and_a_small_answer_has_two_minutes() {
        let seconds = Duration::from_secs;
        assert_eq!(lasts(1, seconds(1), false).await, seconds(60));
        assert_eq!(lasts(2_000, seconds(59), false).await, seconds(3_600));
        assert_eq!(lasts(2_000, seconds(59), true).await, MAX_SMALL_ANSWER);
        // Silence that the transport does not notice.
        assert_eq!(lasts(1, seconds(7_200), false).await, seconds(65));
    }

    fn sorted(status: u16, retry_after: Option<&str>, body: &str) -> HomeserverError {
        let headers = retry_after
            .map(|value| HttpHeader {
                name: "Retry-After".to_owned(),
                value: value.to_owned(),
            })
            .into_iter()
            .collect();
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:30 GMT").expect("a date");
        sort(&HttpHead { status, headers }, body.as_bytes(), now)
    }

    #[test]
    fn each_answer_has_its_outcome() {
        let seconds = |n| Some(Duration::from_secs(n));
        let table = [
            (
                401,
                None,
                r#"{"errcode":"M_UNKNOWN_TOKEN"}"#,
                HomeserverError::NotSignedIn { soft_logout: false },
            ),
            (
                401,
                None,
                r#"{"errcode":"M_UNKNOWN_TOKEN","soft_logout":true}"#,
                HomeserverError::NotSignedIn { soft_logout: true },
            ),
            (401, None, "<html>", HomeserverError::NotTheHomeserver),
            (403, None, "", HomeserverError::Forbidden),
            (404, None, r#"{"errcode":"M_NOT_FOUND"}"#, HomeserverError::NotFound),
            (
                404,
                None,
                r#"{"errcode":"M_UNRECOGNIZED"}"#,
                HomeserverError::NoSuchEndpoint,
            ),
            (404, None, "<html>", HomeserverError::NoSuchEndpoint),
            (
                429,
                None,
                r#"{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":2000}"#,
                HomeserverError::RateLimited {
                    retry_after: seconds(2),
                },
            ),
            (
                429,
                Some("3"),
                "",
                HomeserverError::RateLimited {
                    retry_after: seconds(3),
                },
            ),
            (
                429,
                Some("Sun, 06 Nov 1994 08:49:37 GMT"),
                "",
                HomeserverError::RateLimited {
                    retry_after: seconds(7),
                },
            ),
            (
                429,
                Some("Sun, 06 Nov 1994 08:00:00 GMT"),
                "",
                HomeserverError::RateLimited {
                    retry_after: seconds(0),
                },
            ),
            (
                429,
                Some("soon"),
                "",
                HomeserverError::RateLimited { retry_after: None },
            ),
            (
                502,
                None,
                "<html>",
                HomeserverError::ServerFault {
                    status: 502,
                    retry_after: None,
                },
            ),
            (302, None, "", HomeserverError::NotTheHomeserver),
            (204, None, "", HomeserverError::NotTheHomeserver),
            (
                400,
                None,
                r#"{"errcode":"M_MISSING_PARAM"}"#,
                HomeserverError::Refused { status: 400 },
            ),
        ];
        for (status, header, body, expected) in table {
            assert_eq!(sorted(status, header, body), expected, "{status} {header:?} {body}");
        }
    }
}
