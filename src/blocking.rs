//! The only way from async code to work that blocks: SQLite, key derivation, files.

/// Does `work` on a thread where blocking is allowed. Returns `None` if it panicked, which is logged.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work)
        .await
        .inspect_err(|error| {
            log::error!(
                "blocking work ended early: {}",
                if error.is_panic() { "panic" } else { "cancelled" }
            )
        })
        .ok()
}
