//! Rooms that the app wants before all others, while a run is under way.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use tokio::sync::Notify;

use crate::locked::locked;

/// Maximum number of rooms that wait in a queue. Further rooms keep their place in the plan.
const MOST: usize = 1_000;

/// Two queues: rooms to request, and rooms whose keys should be opened.
#[derive(Clone, Debug, Default)]
pub(crate) struct WantedRooms {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    to_fetch: Mutex<VecDeque<String>>,
    to_open: Mutex<VecDeque<String>>,
    changed: Notify,
}

impl WantedRooms {
    /// Moves these rooms to the front of both queues, the first one foremost.
    pub(crate) fn want(&self, rooms: &[String]) {
        // What is in the vault already is opened now; `open_first` queues the room again when the rest has come.
        for queue in [&self.inner.to_fetch, &self.inner.to_open] {
            let mut queue = locked(queue);
            queue.retain(|room| !rooms.contains(room));
            for room in rooms.iter().rev() {
                queue.push_front(room.clone());
            }
            queue.truncate(MOST);
        }
        self.inner.changed.notify_one();
    }

    /// Returns the next room to request; waits until there is one.
    pub(crate) async fn next(&self) -> String {
        loop {
            let next = locked(&self.inner.to_fetch).pop_front();
            match next {
                Some(room) => return room,
                None => self.inner.changed.notified().await,
            }
        }
    }

    /// Returns the rooms that wait to be requested.
    pub(crate) fn waiting(&self) -> Vec<String> {
        locked(&self.inner.to_fetch).iter().cloned().collect()
    }

    /// Removes rooms that are requested elsewhere.
    pub(crate) fn leave_out(&self, rooms: &[String]) {
        locked(&self.inner.to_fetch).retain(|room| !rooms.contains(room));
    }

    /// Queues a room with keys in the vault, so that they are opened before all others.
    pub(crate) fn open_first(&self, room: String) {
        let mut rooms = locked(&self.inner.to_open);
        if !rooms.contains(&room) {
            rooms.push_back(room);
            rooms.truncate(MOST);
        }
    }

    /// Takes the rooms whose keys should be opened first.
    pub(crate) fn take_rooms_to_open(&self) -> VecDeque<String> {
        std::mem::take(&mut *locked(&self.inner.to_open))
    }
}
