//! Tells the app about each change, once.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    ask::until_deadline,
    parties::Parties,
    stored::{change, read_ledger},
};

/// How long the app may take to process a notice.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tells the app about changes, for one client.
#[derive(Default)]
pub(super) struct News {
    /// Held while the app is being told.
    telling: tokio::sync::Mutex<()>,
    /// Number of writes by this client: a value that was read before a write is not news after it.
    writes: AtomicU64,
}

impl News {
    pub(super) fn count_write(&self) {
        self.writes.fetch_add(1, Ordering::SeqCst);
    }

    /// Tells the app what it does not know yet, and notes that it has been told. If this is dropped in between, the
    /// app is told again.
    pub(super) async fn tell(&self, parties: &Parties) {
        loop {
            // The call that holds the lock checks again before it returns.
            let Ok(telling) = self.telling.try_lock() else { return };
            loop {
                let writes = self.writes.load(Ordering::SeqCst);
                let Ok(Some(news)) = read_ledger(&parties.jobs).await.map(|ledger| ledger.news()) else {
                    break;
                };
                let deadline = Some(Instant::now() + PATIENCE);
                let told = until_deadline(deadline, parties.listener.on_preference_changed(news.notice)).await;
                if told != Some(true) {
                    log::warn!("the app could not be told about a change of the preference");
                }
                let has_written = self.writes.load(Ordering::SeqCst) != writes;
                let noted = change(&parties.jobs, move |ledger| ledger.mark_told(news, has_written)).await;
                if noted.is_err() {
                    return;
                }
            }
            drop(telling);
            if !matches!(
                read_ledger(&parties.jobs).await.map(|ledger| ledger.news()),
                Ok(Some(_))
            ) {
                return;
            }
        }
    }
}
