//! Merges a key into the copy of its session that the app's crypto already has. The result has the better ratchet
//! and, of what is known about the session's origin, whatever either copy knows better. Also decides whether the
//! backup then has as much as the store. Nothing here touches a store.
//!
//! `Store::import_room_keys` alone would lose information: it treats two copies with different claimed keys as
//! unconnected, it replaces the flag together with the ratchet, and if a direct copy's sender is not known yet, it
//! also forgets that the copy came directly.

use matrix_sdk_crypto::{
    olm::{ExportedRoomKey, InboundGroupSession, PickledInboundGroupSession, SenderDataType},
    vodozemac::megolm::SessionOrdering,
};
use ruma::OwnedRoomId;

/// What to do with a key.
pub(super) enum Merge {
    /// Nothing: the store has a copy that is as good.
    Known,
    /// Mark the session as backed up: the store has what the backup has, but does not know it.
    Mark { room_id: OwnedRoomId, session_id: String },
    /// Import the key.
    Import {
        /// The key in the form to import.
        key: ExportedRoomKey,
        /// Whether the backup then has all that the store has.
        marked: bool,
    },
    /// Save the session with the mark that it has, because the import would lose information.
    Save(InboundGroupSession),
    /// The store has another ratchet for this session. If the store's copy came directly, it is the genuine one.
    Unconnected { local_is_direct: bool },
    /// Leave the store as it is: it is better off without the key.
    Refused {
        /// Why.
        reason: &'static str,
    },
}

/// Compares a backup's key with the store's copy. `may_be_marked` says whether the machine uploads to that backup.
pub(super) async fn merge(local: &InboundGroupSession, mut key: ExportedRoomKey, may_be_marked: bool) -> Merge {
    if local.session_id() != key.session_id || local.room_id() != key.room_id {
        return replace(&key, may_be_marked).await;
    }
    let merged_flag = shared_history(local, &key);
    // If the store's copy has a better flag, it must be uploaded, even if the backup has its ratchet.
    let backup_has_flag = may_be_marked && merged_flag == key.shared_history;
    // A backup's claims prove nothing. The ratchets show whether the two copies are the same session.
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
        // The store's ratchet begins earlier, so the backup has less, and this key must not mark it as backed up.
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

/// The answer to a key of an algorithm that the store does not know.
const NOT_READABLE: Merge = Merge::Refused {
    reason: "the key cannot be read",
};

/// Replaces what the store has under the key's name: another session, or one of another room. It can decrypt nothing
/// there, but an import would give way to it.
async fn replace(key: &ExportedRoomKey, may_be_marked: bool) -> Merge {
    let Ok(ours) = InboundGroupSession::from_export(key) else {
        return NOT_READABLE;
    };
    let saved = save(PickledInboundGroupSession {
        backed_up: may_be_marked,
        ..ours.pickle().await
    });
    match saved {
        // Compared with the id of the key itself, not with the claimed one.
        Merge::Save(session) if session.session_id() == key.session_id => Merge::Save(session),
        _ => Merge::Refused {
            reason: "the key is not that session's",
        },
    }
}

/// Returns the merged flag (MSC4268). A copy that came directly knows its flag. If neither did, either may have lost
/// it on its way, because clients write and read it under different names.
fn shared_history(local: &InboundGroupSession, key: &ExportedRoomKey) -> bool {
    match local.has_been_imported() {
        true => local.shared_history() || key.shared_history,
        false => local.shared_history(),
    }
}

/// Whether the import keeps everything that the local copy knows. If so, it is preferred, because it notifies those
/// who wait for the key.
fn import_is_lossless(local: &InboundGroupSession, key: &ExportedRoomKey) -> bool {
    match local.sender_data_type() {
        // The imported copy replaces the local one.
        SenderDataType::UnknownDevice => local.has_been_imported() && local.forwarder_data.is_none(),
        // The local copy gets the ratchet and keeps everything else.
        _ => key.shared_history == local.shared_history(),
    }
}

fn save(pickle: PickledInboundGroupSession) -> Merge {
    InboundGroupSession::from_pickle(pickle).map_or(NOT_READABLE, Merge::Save)
}
