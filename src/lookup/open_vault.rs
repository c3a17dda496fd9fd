//! The connection and the keys that look-ups keep open between calls.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::{
    backup::{FailureReason, RoomKey, decryption::BackupDecryptionKey, ratchet::Ratchet, session_id::SessionId},
    compare::Comparer,
    decryption_keys::DecryptionKeys,
    ids::VersionRowId,
    job::AccessError,
    vault::{Connection, CopyState, Fingerprint, StoredCopy, Vault},
};

/// The vault, open for look-ups.
pub(super) struct OpenVault {
    pub(super) vault: Vault,
    pub(super) connection: Connection,
    /// Separate from the shared keys, which are dropped when a run ends.
    keys: DecryptionKeys,
    shared: Arc<DecryptionKeys>,
}

impl OpenVault {
    pub(super) fn new(vault: Vault, shared: Arc<DecryptionKeys>) -> Result<Self, AccessError> {
        let connection = vault.connect()?;
        let keys = shared.snapshot(&connection)?;
        Ok(Self {
            vault,
            connection,
            keys,
            shared,
        })
    }

    /// Returns a comparer for the copies of a session.
    pub(super) fn comparer<'a>(&'a self, session: &'a SessionId) -> Comparer<'a> {
        Comparer {
            vault: &self.vault,
            keys: &self.keys,
            session,
        }
    }

    pub(super) fn fingerprint(&self, key: &RoomKey) -> Option<Fingerprint> {
        let session = Ratchet::of(key)?.at(key.first_known_index)?;
        Some(self.vault.fingerprint(&session))
    }

    fn key(&self, version: VersionRowId) -> Result<Option<Arc<BackupDecryptionKey>>, AccessError> {
        if let Some(key) = self.keys.get(version).or_else(|| self.shared.get(version)) {
            return Ok(Some(key));
        }
        // The version may have been unlocked since the connection was opened.
        self.keys.load(&self.connection)?;
        Ok(self.keys.get(version))
    }

    pub(super) fn open(
        &self,
        version: VersionRowId,
        room_id: &str,
        id: &SessionId,
        body: &[u8],
    ) -> Result<Result<RoomKey, FailureReason>, AccessError> {
        let key = self.key(version)?.ok_or(AccessError::Locked)?;
        let origin = self.connection.last_known_origin(version)?.ok_or(AccessError::Locked)?;
        let opened = key.open(body, id, &mut Zeroizing::default(), |opened| {
            Ratchet::import(opened.session()).map(|_| opened.room_key(room_id, &origin))
        });
        Ok(opened.and_then(|key| key.ok_or(FailureReason::InvalidSessionKey)))
    }

    /// Whether a key that was just fetched connects to a copy that has left the vault. Returns true if that cannot be
    /// determined.
    pub(super) fn continues(&self, copy: &StoredCopy, key: &RoomKey) -> bool {
        let CopyState::Opened {
            first_index,
            fingerprint: Some(print),
            ..
        } = copy.state
        else {
            return true;
        };
        if key.first_known_index > first_index {
            return true;
        }
        let advanced = Ratchet::of(key).and_then(|mut ratchet| ratchet.at(first_index));
        advanced.is_some_and(|session| self.vault.fingerprint(&session) == print)
    }
}
