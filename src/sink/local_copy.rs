//! What becomes of a key whose session the app's crypto has already: the better ratchet, and what is known of where it came
//! from, from whichever copy knows it better. Nothing here touches a store.
//!
//! `Store::import_room_keys` alone would lose some: it takes two copies with other claimed keys for unconnected, it replaces
//! the flag with the ratchet, and where a direct copy's sender is not known yet, also that it came directly.

use matrix_sdk_crypto::{
    olm::{ExportedRoomKey, InboundGroupSession, PickledInboundGroupSession, SenderDataType},
    vodozemac::megolm::SessionOrdering,
};

/// What is to be done with a key.
pub(super) enum Merge {
    /// The store has one that is as good.
    Known,
    /// To be imported, like this.
    Import(ExportedRoomKey),
    /// To be saved: what the import would make of it is less.
    Save(InboundGroupSession),
    /// The store is better off without it.
    Refused {
        /// Why.
        reason: &'static str,
    },
}

/// Two ratchets of one session. Which of them is the true one, nobody can tell.
const UNCONNECTED: Merge = Merge::Refused {
    reason: "the store has another ratchet of this session",
};

/// Holds the key of a backup against the copy that the store has.
pub(super) async fn merge(local: &InboundGroupSession, mut key: ExportedRoomKey) -> Merge {
    if local.session_id() != key.session_id || local.room_id() != key.room_id {
        return replace(&key).await;
    }
    // Claims of a backup prove nothing: whether the two are the same session, their ratchets tell.
    key.sender_key = local.sender_key();
    key.sender_claimed_keys = local.signing_keys().clone();
    key.shared_history = shared_history(local, &key);
    let Ok(ours) = InboundGroupSession::from_export(&key) else {
        return UNCONNECTED;
    };
    match ours.compare_ratchet(local).await {
        SessionOrdering::Unconnected => UNCONNECTED,
        SessionOrdering::Better if import_is_lossless(local, &key) => Merge::Import(key),
        SessionOrdering::Better => {
            let ratchet = ours.pickle().await.pickle;
            save(PickledInboundGroupSession {
                pickle: ratchet,
                shared_history: key.shared_history,
                // The backup has it, but not as this device would upload it.
                backed_up: false,
                ..local.pickle().await
            })
        }
        SessionOrdering::Equal | SessionOrdering::Worse if key.shared_history == local.shared_history() => Merge::Known,
        SessionOrdering::Equal | SessionOrdering::Worse => save(PickledInboundGroupSession {
            shared_history: key.shared_history,
            ..local.pickle().await
        }),
    }
}

/// What the store has under that name is another session, or one of another room: it can decrypt nothing there, and an import
/// would give way to it.
async fn replace(key: &ExportedRoomKey) -> Merge {
    let Ok(ours) = InboundGroupSession::from_export(key) else {
        return UNCONNECTED;
    };
    match save(ours.pickle().await) {
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
    InboundGroupSession::from_pickle(pickle).map_or(UNCONNECTED, Merge::Save)
}
