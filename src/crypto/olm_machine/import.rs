//! Imports keys of different sessions into the store, with one answer for each.

use std::{collections::HashMap, sync::Arc};

use matrix_sdk_crypto::{
    OlmMachine,
    olm::{ExportedRoomKey, InboundGroupSession},
    store::{CryptoStore, CryptoStoreError, Store},
};
use ruma::OwnedRoomId;
use tokio::task::JoinSet;

use super::{
    backup_marks::BackupMarks,
    local_copy::{self, Merge},
    local_sessions::Presence,
};
use crate::crypto::sink::{SinkAnswer, SinkError};

/// Sessions that are marked in one transaction. A better copy that arrives between the look and the mark would be
/// marked by mistake, so this is small.
const MARKS_AT_ONCE: usize = 100;

/// A key offered to the store, and its position in the batch.
pub(super) struct Offer {
    pub(super) position: usize,
    pub(super) key: ExportedRoomKey,
    pub(super) presence: Presence,
    /// Whether the backup that the machine uploads to has this very key.
    pub(super) may_be_marked: bool,
}

/// The position of a key in the batch, and its answer. There is no answer if the key was not looked for and the
/// import did not take it: its session has arrived by another way.
type Placed = (usize, Option<SinkAnswer>);

/// Imports the keys of different sessions into the machine's store.
pub(super) async fn import(
    machine: &OlmMachine,
    offers: Vec<Offer>,
    marks: &Arc<BackupMarks>,
) -> Result<Vec<Placed>, SinkError> {
    let mut parts_under_way = JoinSet::new();
    for part in parts(offers) {
        parts_under_way.spawn(import_part(machine.clone(), part, marks.clone()));
    }
    let mut results = Vec::new();
    // Wait for both parts, even if one fails: the marks are checked only when everything is in the store.
    while let Some(result) = parts_under_way.join_next().await {
        results.push(result);
    }
    let mut answers = Vec::new();
    for result in results {
        let part = result
            .map_err(|_| unavailable("the import ended early"))?
            .map_err(|_| unavailable("the crypto store"))?;
        answers.extend(part);
    }
    Ok(answers)
}

/// Splits the offers into two parts that are imported at the same time: one is looked up, session by session, while
/// the other is saved.
///
/// Each part is sorted and has its own range of session ids, so that the store's index is written range by range.
/// This saves a quarter of the time.
fn parts(mut offers: Vec<Offer>) -> impl Iterator<Item = Vec<Offer>> {
    offers.sort_unstable_by(|one, other| one.key.session_id.cmp(&other.key.session_id));
    let second = offers.split_off(offers.len() / 2);
    [offers, second].into_iter().filter(|part| !part.is_empty())
}

async fn import_part(
    machine: OlmMachine,
    offers: Vec<Offer>,
    marks: Arc<BackupMarks>,
) -> Result<Vec<Placed>, CryptoStoreError> {
    let mut part = Part {
        store: machine.store(),
        marks: &marks,
        answers: Vec::with_capacity(offers.len()),
        unmarked: Vec::with_capacity(offers.len()),
        marked: Vec::with_capacity(offers.len()),
        not_wanted: HashMap::with_capacity(offers.len()),
        to_be_marked: Vec::new(),
    };
    for offer in offers {
        part.take(offer).await?;
    }
    part.finish().await
}

/// One part of a batch during its import.
struct Part<'a> {
    store: &'a Store,
    marks: &'a BackupMarks,
    answers: Vec<Placed>,
    /// Keys to import without the mark.
    unmarked: Vec<ExportedRoomKey>,
    /// Keys to import with the mark.
    marked: Vec<ExportedRoomKey>,
    /// The answers for keys that the import does not take, by session.
    not_wanted: HashMap<String, Placed>,
    /// Sessions that the store has exactly as the backup has them.
    to_be_marked: Vec<(OwnedRoomId, String)>,
}

impl Part<'_> {
    async fn take(&mut self, offer: Offer) -> Result<(), CryptoStoreError> {
        let (position, presence) = (offer.position, offer.presence);
        let answer = match look_and_merge(self.store, offer).await? {
            Merge::Known => SinkAnswer::Known,
            Merge::Mark { room_id, session_id } => {
                self.to_be_marked.push((room_id, session_id));
                if self.to_be_marked.len() >= MARKS_AT_ONCE {
                    self.marks.make(self.store, &mut self.to_be_marked).await?;
                }
                SinkAnswer::Known
            }
            Merge::Unconnected { local_is_direct } => SinkAnswer::Unconnected { local_is_direct },
            Merge::Refused { reason } => refused(reason),
            Merge::Save(session) => {
                // Save at once: a copy that arrives in the meantime would be overwritten.
                self.save(session).await?;
                SinkAnswer::Imported
            }
            Merge::Import { key, marked } => {
                let was_looked_for = presence != Presence::No;
                let answer = was_looked_for.then_some(SinkAnswer::Known);
                self.not_wanted.insert(key.session_id.clone(), (position, answer));
                match marked {
                    true => self.marked.push(key),
                    false => self.unmarked.push(key),
                }
                return Ok(());
            }
        };
        self.answers.push((position, Some(answer)));
        Ok(())
    }

    async fn save(&self, session: InboundGroupSession) -> Result<(), CryptoStoreError> {
        let marked = session.backed_up();
        if marked {
            self.marks.note(session.room_id(), session.session_id());
        }
        CryptoStore::save_inbound_group_sessions(&**self.store, vec![session], self.marks.version_if(marked)).await
    }

    async fn finish(mut self) -> Result<Vec<Placed>, CryptoStoreError> {
        self.marks.make(self.store, &mut self.to_be_marked).await?;
        for key in &self.marked {
            self.marks.note(&key.room_id, &key.session_id);
        }
        let version = self.marks.version_if(true);
        for (keys, version) in [(self.unmarked, None), (self.marked, version)] {
            if keys.is_empty() {
                continue;
            }
            let result = self.store.import_room_keys(keys, version, |_, _| {}).await?;
            for session in result.keys.values().flat_map(|senders| senders.values().flatten()) {
                if let Some((position, _)) = self.not_wanted.remove(session) {
                    self.answers.push((position, Some(SinkAnswer::Imported)));
                }
            }
        }
        self.answers.extend(self.not_wanted.into_values());
        Ok(self.answers)
    }
}

async fn look_and_merge(store: &Store, offer: Offer) -> Result<Merge, CryptoStoreError> {
    let Offer {
        key,
        presence,
        may_be_marked,
        ..
    } = offer;
    let as_it_is = |key| Merge::Import {
        key,
        marked: may_be_marked,
    };
    if presence == Presence::No {
        return Ok(as_it_is(key));
    }
    match store.get_inbound_group_session(&key.room_id, &key.session_id).await {
        Ok(Some(local)) => Ok(local_copy::merge(&local, key, may_be_marked).await),
        Ok(None) if presence == Presence::Elsewhere => Ok(Merge::Refused {
            reason: "the store has this session under another room",
        }),
        Ok(None) => Ok(as_it_is(key)),
        // This row cannot be read, but the store itself can.
        Err(_) if store.load_account().await.is_ok() => Ok(Merge::Refused {
            reason: "the store's own copy cannot be read",
        }),
        Err(error) => Err(error),
    }
}

pub(super) fn unavailable(detail: &str) -> SinkError {
    SinkError::Unavailable {
        detail: detail.to_owned(),
    }
}

pub(super) fn refused(reason: &str) -> SinkAnswer {
    SinkAnswer::Refused {
        reason: reason.to_owned(),
    }
}
