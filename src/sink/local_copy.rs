//! What becomes of a key whose session the app's crypto has already: the better ratchet, and what is known of where it came
//! from, from whichever copy knows it better; and whether the backup then has as much as the store. Nothing here touches a
//! store.
//!
//! `Store::import_room_keys` alone would lose some: it takes two copies with other claimed keys for unconnected, it replaces
//! the flag with the ratchet, and where a direct copy's sender is not known yet, also that it came directly.

use matrix_sdk_crypto::{
    olm::{ExportedRoomKey, InboundGroupSession, PickledInboundGroupSession, SenderDataType},
    vodozemac::megolm::SessionOrdering,
};
use ruma::OwnedRoomId;

/// What is to be done with a key.
pub(super) enum Merge {
    /// The store has one that is as good.
    Known,
    /// To be marked as backed up: the store has what the backup has, and does not know it.
    Mark { room_id: OwnedRoomId, session_id: String },
    /// To be imported.
    Import {
        /// Like this.
        key: ExportedRoomKey,
        /// The backup has all that the store has then.
        marked: bool,
    },
    /// To be saved, with the mark that it has: what the import would make of it is less.
    Save(InboundGroupSession),
    /// The store has another ratchet of this session. Which of them is the true one, a direct copy tells.
    Unconnected { local_is_direct: bool },
    /// The store is better off without it.
    Refused {
        /// Why.
        reason: &'static str,
    },
}

/// Holds the key of a backup against the copy that the store has. `may_be_marked` if the machine uploads to that backup.
pub(super) async fn merge(local: &InboundGroupSession, mut key: ExportedRoomKey, may_be_marked: bool) -> Merge {
    if local.session_id() != key.session_id || local.room_id() != key.room_id {
        return replace(&key, may_be_marked).await;
    }
    let merged_flag = shared_history(local, &key);
    // A copy with a better flag has to be uploaded, even if its ratchet is there.
    let backup_has_flag = may_be_marked && merged_flag == key.shared_history;
    // Claims of a backup prove nothing: whether the two are the same session, their ratchets tell.
    key.sender_key = local.sender_key();
    key.sender_claimed_keys = local.signing_keys().clone();
    key.shared_history = merged_flag;
    let Ok(ours) = InboundGroupSession::from_export(&key) else {
        return NOT_READABLE;
    };
    let ordering = ours.compare_ratchet(local).await;
    match ordering {
        SessionOrdering::Unconnected => Merge::Unconnected {
            local_is_direct: !local.has_been_imported(),
        },
        SessionOrdering::Better if import_is_lossless(local, &key) => Merge::Import {
            key,
            marked: backup_has_flag,
        },
        SessionOrdering::Better => {
            let ratchet = ours.pickle().await.pickle;
            save(PickledInboundGroupSession {
                pickle: ratchet,
                shared_history: merged_flag,
                backed_up: backup_has_flag,
                ..local.pickle().await
            })
        }
        // Of a ratchet that begins earlier here, the backup has less: it is not for this key to say that it has it.
        SessionOrdering::Worse if merged_flag == local.shared_history() => Merge::Known,
        SessionOrdering::Equal if merged_flag == local.shared_history() => {
            match backup_has_flag && !local.backed_up() {
                true => Merge::Mark {
                    room_id: key.room_id,
                    session_id: key.session_id,
                },
                false => Merge::Known,
            }
        }
        SessionOrdering::Equal | SessionOrdering::Worse => save(PickledInboundGroupSession {
            shared_history: merged_flag,
            backed_up: backup_has_flag && ordering == SessionOrdering::Equal,
            ..local.pickle().await
        }),
    }
}

/// Answers a key of an algorithm that the store does not know.
const NOT_READABLE: Merge = Merge::Refused {
    reason: "the key cannot be read",
};

/// What the store has under that name is another session, or one of another room: it can decrypt nothing there, and an import
/// would give way to it.
async fn replace(key: &ExportedRoomKey, may_be_marked: bool) -> Merge {
    let Ok(ours) = InboundGroupSession::from_export(key) else {
        return NOT_READABLE;
    };
    let saved = save(PickledInboundGroupSession {
        backed_up: may_be_marked,
        ..ours.pickle().await
    });
    match saved {
        // By the key itself, not by what it is called.
        Merge::Save(session) if session.session_id() == key.session_id => Merge::Save(session),
        _ => Merge::Refused {
            reason: "the key is not that session's",
        },
    }
}

/// A copy that came directly knows its flag (MSC4268). Of two that did not, one may have lost it on its way: clients write and
/// read it under different names.
fn shared_history(local: &InboundGroupSession, key: &ExportedRoomKey) -> bool {
    match local.has_been_imported() {
        true => local.shared_history() || key.shared_history,
        false => local.shared_history(),
    }
}

/// Whether the import keeps all that the local copy knows. It is preferred: it tells those who wait for the key.
fn import_is_lossless(local: &InboundGroupSession, key: &ExportedRoomKey) -> bool {
    match local.sender_data_type() {
        // The imported copy takes the place of the local one.
        SenderDataType::UnknownDevice => local.has_been_imported() && local.forwarder_data.is_none(),
        // The local copy gets the ratchet, and keeps all else.
        _ => key.shared_history == local.shared_history(),
    }
}

fn save(pickle: PickledInboundGroupSession) -> Merge {
    InboundGroupSession::from_pickle(pickle).map_or(NOT_READABLE, Merge::Save)
}
