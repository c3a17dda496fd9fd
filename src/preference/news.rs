//! Telling the app what has changed, once.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    ask::within,
    parties::Parties,
    stored::{change, read_ledger},
};

/// How long the app has for what it is told.
const PATIENCE: Duration = Duration::from_secs(5);

/// What of the news has been told, in this client.
#[derive(Default)]
pub(super) struct News {
    /// Held while the app is told.
    telling: tokio::sync::Mutex<()>,
    /// How often this client has written: what is read before a write is no news after it.
    writes: AtomicU64,
}

impl News {
    pub(super) fn count_write(&self) {
        self.writes.fetch_add(1, Ordering::SeqCst);
    }

    /// Tells the app what it does not know yet, and notes that it does. Dropped in between, it is told again.
    pub(super) async fn tell(&self, parties: &Parties) {
        loop {
            // Whoever is telling looks again before it is done.
            let Ok(telling) = self.telling.try_lock() else { return };
            loop {
                let writes = self.writes.load(Ordering::SeqCst);
                let Ok(Some(news)) = read_ledger(&parties.jobs).await.map(|ledger| ledger.news()) else {
                    break;
                };
                let deadline = Some(Instant::now() + PATIENCE);
                let told = within(deadline, parties.listener.on_preference_changed(news.notice)).await;
                if told != Some(true) {
                    log::warn!("the app could not be told of a change of the preference");
                }
                let has_written = self.writes.load(Ordering::SeqCst) != writes;
                let noted = change(&parties.jobs, move |ledger| ledger.has_told(news, has_written)).await;
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
