//! A sink that records.

use std::{
    collections::HashSet,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use keyferry::{RoomKey, RoomKeySink, SinkAnswer, SinkError, SinkLimits};

/// A sink that records its keys, and can be slow, refuse or fail.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) keys: Mutex<Vec<RoomKey>>,
    pub(crate) batches: Mutex<Vec<usize>>,
    /// The number of batches that were offered, taken or not.
    pub(crate) begun: AtomicUsize,
    pub(crate) delay: Mutex<Duration>,
    /// The number of batches to take before failing.
    pub(crate) fails_after: Mutex<Option<usize>>,
    /// The session to refuse.
    pub(crate) refuses: Mutex<Option<String>>,
    /// A room and a session, and the answer to their key.
    pub(crate) answers: Mutex<Option<(String, String, SinkAnswer)>>,
    pub(crate) limits: Mutex<SinkLimits>,
}

#[async_trait]
impl RoomKeySink for Recorder {
    async fn deliver(&self, keys: Vec<RoomKey>) -> Result<Vec<SinkAnswer>, SinkError> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let delay = *self.delay.lock().expect("not poisoned");
        tokio::time::sleep(delay).await;
        if let Some(left) = self.fails_after.lock().expect("not poisoned").as_mut() {
            if *left == 0 {
                return Err(SinkError::Unavailable {
                    detail: "on purpose".to_owned(),
                });
            }
            *left -= 1;
        }
        let refuses = self.refuses.lock().expect("not poisoned").clone();
        let special = self.answers.lock().expect("not poisoned").clone();
        self.batches.lock().expect("not poisoned").push(keys.len());
        let answers = keys
            .iter()
            .map(|key| match (&refuses, &special) {
                (Some(session), _) if *session == key.session_id => SinkAnswer::Refused {
                    reason: "not this one".to_owned(),
                },
                (_, Some((room, session, answer))) if *room == key.room_id && *session == key.session_id => {
                    answer.clone()
                }
                _ => SinkAnswer::Imported,
            })
            .collect();
        self.keys.lock().expect("not poisoned").extend(keys);
        Ok(answers)
    }

    fn limits(&self) -> Result<SinkLimits, SinkError> {
        Ok(*self.limits.lock().expect("not poisoned"))
    }
}

impl Recorder {
    /// Takes at most so many keys in a batch from now on.
    pub(crate) fn limit_batches(&self, batch_keys: u32) {
        self.limits.lock().expect("not poisoned").batch_keys = batch_keys;
    }
}

/// Keeps the first delivery of each key, for a test that interrupts runs: a batch that was under way may come twice.
pub(crate) fn without_repeats(mut keys: Vec<RoomKey>) -> Vec<RoomKey> {
    let mut seen = HashSet::new();
    keys.retain(|key| seen.insert((key.room_id.clone(), key.session_id.clone())));
    keys
}
