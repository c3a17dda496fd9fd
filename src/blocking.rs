//! The only way from async code to work that blocks: SQLite, key derivation, files.

use tokio::sync::oneshot;

/// Does `work` on a thread where blocking is allowed. Returns `None` if it panicked, which is logged.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, result) = oneshot::channel();
    // The closure is boxed, as tokio compiles several kilobytes of code for every type of task that it spawns.
    spawn(Box::new(move || {
        // The caller may have stopped waiting.
        let _ = done.send(work());
    }));
    let result = result.await;
    if result.is_err() {
        log::error!("blocking work ended early: it panicked, or the runtime is shutting down");
    }
    result.ok()
}

fn spawn(work: Box<dyn FnOnce() + Send>) {
    tokio::task::spawn_blocking(work);
}
