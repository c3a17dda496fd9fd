//! Delivers one batch: new sessions are saved together, all others are imported or merged one copy at a time.

use std::{collections::HashSet, sync::Arc};

use matrix_sdk_crypto::OlmMachine;
use ruma::RoomId;

use super::{
    backup_marks::BackupMarks,
    export::{SigningKeys, export},
    import::{Offer, import, refused, unavailable},
    local_sessions::{LocalSessions, Presence},
    new_sessions::NewSessions,
};
use crate::{
    backup::{RoomKey, ratchet::Ratchet},
    crypto::sink::{SinkAnswer, SinkError},
};

/// A key and its position in the batch.
type Numbered = (usize, RoomKey);

/// The delivery of one batch.
pub(super) struct Delivery<'a> {
    machine: &'a OlmMachine,
    /// The session ids of the batch, and those that are in it several times.
    ids: HashSet<String>,
    repeated: HashSet<String>,
    answers: Vec<Option<SinkAnswer>>,
    signing_keys: SigningKeys,
    marks: &'a Arc<BackupMarks>,
}

impl<'a> Delivery<'a> {
    /// Prepares the delivery of these keys.
    pub(super) fn of(keys: &[RoomKey], machine: &'a OlmMachine, marks: &'a Arc<BackupMarks>) -> Self {
        let mut ids = HashSet::with_capacity(keys.len());
        let repeated = keys.iter().filter(|key| !ids.insert(key.session_id.clone()));
        let repeated = repeated.map(|key| key.session_id.clone()).collect();
        Self {
            machine,
            ids,
            repeated,
            answers: vec![None; keys.len()],
            signing_keys: SigningKeys::default(),
            marks,
        }
    }

    /// Delivers the keys. `slot` keeps what is known of the store's sessions from batch to batch.
    pub(super) async fn deliver(
        mut self,
        keys: Vec<RoomKey>,
        slot: &mut Option<LocalSessions>,
        is_silent: bool,
    ) -> Result<Vec<SinkAnswer>, SinkError> {
        let mut waiting: Vec<Numbered> = keys.into_iter().enumerate().collect();
        if is_silent {
            waiting = self.save_new(waiting, self.local(slot).await?).await?;
        }
        while !waiting.is_empty() {
            let local = self.local(slot).await?;
            self.import_once(&mut waiting, local).await?;
        }
        slot.take_if(|local| !local.note_news(|id| self.ids.contains(id)));
        Ok(self.answers.into_iter().flatten().collect())
    }

    /// Returns what is known of the store's sessions, as of now.
    async fn local<'b>(&self, slot: &'b mut Option<LocalSessions>) -> Result<&'b mut LocalSessions, SinkError> {
        slot.take_if(|local| !local.are_of(self.machine) || !local.note_news(|id| self.ids.contains(id)));
        Ok(match slot {
            Some(local) => local,
            none => none.insert(
                LocalSessions::of(self.machine)
                    .await
                    .map_err(|_| unavailable("the crypto store"))?,
            ),
        })
    }

    /// Saves the keys of sessions that the store does not have. Returns the other keys.
    async fn save_new(&mut self, keys: Vec<Numbered>, local: &mut LocalSessions) -> Result<Vec<Numbered>, SinkError> {
        let mut others = Vec::new();
        let mut new = NewSessions::default();
        for (position, key) in keys {
            let Ok(room_id) = <&RoomId>::try_from(key.room_id.as_str()) else {
                self.answers[position] = Some(no_form(&key));
                continue;
            };
            if self.repeated.contains(&key.session_id) || self.may_have(local, room_id, &key.session_id).await {
                others.push((position, key));
                continue;
            }
            let marked = self.marks.may_be_made(&key.origin);
            let is_added = export(&key, &mut self.signing_keys).is_some_and(|exported| new.add(&exported, marked));
            self.answers[position] = Some(match is_added {
                true => SinkAnswer::Imported,
                false => no_form(&key),
            });
        }
        new.save(self.machine.store(), self.marks)
            .await
            .map_err(|_| unavailable("the crypto store"))?;
        Ok(others)
    }

    /// Whether the store may have the session, under any room.
    async fn may_have(&self, local: &mut LocalSessions, room_id: &RoomId, session_id: &str) -> bool {
        match local.offer(room_id, session_id) {
            Presence::No => false,
            Presence::Elsewhere => true,
            Presence::Perhaps => {
                let found = self
                    .machine
                    .store()
                    .get_inbound_group_session(room_id, session_id)
                    .await;
                !matches!(found, Ok(None))
            }
        }
    }

    /// Imports one key of each session, and removes it from those that wait. A key stays if its session arrived by
    /// another way in the meantime.
    async fn import_once(&mut self, waiting: &mut Vec<Numbered>, local: &mut LocalSessions) -> Result<(), SinkError> {
        let mut offers = Vec::with_capacity(waiting.len());
        let mut seen = HashSet::with_capacity(waiting.len());
        // One copy of a session at a time: the next is then compared with what the store has by then.
        for (position, key) in waiting.iter().filter(|(_, key)| seen.insert(&key.session_id)) {
            match export(key, &mut self.signing_keys) {
                None => self.answers[*position] = Some(no_form(key)),
                Some(exported) => offers.push(Offer {
                    position: *position,
                    presence: local.offer(&exported.room_id, &exported.session_id),
                    key: exported,
                    may_be_marked: self.marks.may_be_made(&key.origin),
                }),
            }
        }
        for (position, answer) in import(self.machine, offers, self.marks).await? {
            self.answers[position] = answer;
        }
        waiting.retain(|(position, _)| self.answers[*position].is_none());
        Ok(())
    }
}

/// Returns the answer for a key that matrix-sdk-crypto has no form for.
fn no_form(key: &RoomKey) -> SinkAnswer {
    match Ratchet::of(key) {
        Some(_) => refused("invalid sender key or room id"),
        None => SinkAnswer::Invalid,
    }
}
