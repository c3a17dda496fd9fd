//! A value that is dropped when the client is shut down.

use std::sync::{Arc, Mutex};

use crate::locked::locked;

/// Holds a value, usually callbacks of the app, until [`shut_down`](Self::shut_down) drops it.
pub(crate) struct UntilShutDown<T: ?Sized>(Mutex<Option<Arc<T>>>);

impl<T: ?Sized> UntilShutDown<T> {
    pub(crate) fn new(value: Arc<T>) -> Self {
        Self(Mutex::new(Some(value)))
    }

    /// Returns the value, or `None` after the shutdown.
    pub(crate) fn get(&self) -> Option<Arc<T>> {
        locked(&self.0).clone()
    }

    /// Drops the value, and returns it the first time this is called.
    pub(crate) fn shut_down(&self) -> Option<Arc<T>> {
        locked(&self.0).take()
    }
}
