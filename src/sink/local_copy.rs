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
    /// Another key claims to be this session. Which of the two is the true one, nobody can tell.
    Unconnected,
}

/// Holds the key of a backup against the copy that the store has.
pub(super) async fn merge(local: &InboundGroupSession, mut key: ExportedRoomKey) -> Merge {
    // Claims of a backup prove nothing: whether the two are the same session, their ratchets tell.
    key.sender_key = local.sender_key();
    key.sender_claimed_keys = local.signing_keys().clone();
    key.shared_history = shared_history(local, &key);
    let Ok(ours) = InboundGroupSession::from_export(&key) else {
        return Merge::Unconnected;
    };
    match ours.compare_ratchet(local).await {
        SessionOrdering::Unconnected => Merge::Unconnected,
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
    InboundGroupSession::from_pickle(pickle).map_or(Merge::Unconnected, Merge::Save)
}
