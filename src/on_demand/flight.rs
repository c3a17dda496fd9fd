//! Makes a request only once if several callers want the same thing at the same time: all of them get the same
//! answer.

use std::{collections::HashMap, hash::Hash, sync::Mutex};

use tokio::sync::watch;

use crate::locked::locked;

/// The requests under way, by what they ask for.
#[derive(Debug)]
pub(crate) struct Flights<K, V> {
    under_way: Mutex<HashMap<K, watch::Receiver<Option<V>>>>,
}

impl<K, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self {
            under_way: Mutex::default(),
        }
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Flights<K, V> {
    /// Returns the answer of `work`, or of the same work if it is already under way. If the caller that does the work
    /// is dropped, another caller takes over.
    pub(crate) async fn join<F: Future<Output = V>>(&self, key: K, work: impl Fn() -> F) -> V {
        loop {
            let mut answer = match self.board(&key) {
                Ok(seat) => {
                    let answer = work().await;
                    seat.sender.send_replace(Some(answer.clone()));
                    return answer;
                }
                Err(answer) => answer,
            };
            if let Ok(answer) = answer.wait_for(Option::is_some).await
                && let Some(answer) = answer.clone()
            {
                return answer;
            }
        }
    }

    /// Returns the seat of the caller that does the work, or a receiver for its answer if the work is under way.
    fn board(&self, key: &K) -> Result<Seat<'_, K, V>, watch::Receiver<Option<V>>> {
        let mut under_way = locked(&self.under_way);
        if let Some(answer) = under_way.get(key) {
            return Err(answer.clone());
        }
        let (sender, receiver) = watch::channel(None);
        under_way.insert(key.clone(), receiver);
        Ok(Seat {
            flights: self,
            key: key.clone(),
            sender,
        })
    }
}

/// Belongs to the caller that does the work. Dropping it, even in the middle of the work, lets another caller take
/// over.
struct Seat<'a, K: Eq + Hash, V> {
    flights: &'a Flights<K, V>,
    key: K,
    sender: watch::Sender<Option<V>>,
}

impl<K: Eq + Hash, V> Drop for Seat<'_, K, V> {
    fn drop(&mut self) {
        locked(&self.flights.under_way).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU32, Ordering},
        time::Duration,
    };

    use super::*;

    #[tokio::test]
    async fn a_later_caller_shares_the_answer_or_takes_over_a_dropped_request() {
        let (flights, times) = (Flights::default(), AtomicU32::new(0));
        let work = || async {
            let time = times.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            time
        };
        let both = tokio::join!(flights.join("a", work), flights.join("a", work));
        assert_eq!(both, (0, 0));
        let given_up = tokio::time::timeout(Duration::from_millis(5), flights.join("a", work));
        let (given_up, other) = tokio::join!(given_up, flights.join("a", work));
        assert!(given_up.is_err());
        assert_eq!((other, times.load(Ordering::SeqCst)), (2, 3));
    }
}
