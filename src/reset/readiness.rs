//! What a reset would mean: which way is right, what would be lost, what it costs. Pure, but for reading the vault.

use super::records::{KeyLoss, LossKind, ResetCause, ResetReadiness, ResetWay};
use crate::{
    backup::limits::USUAL_ENTRY_BYTES,
    crypto::SourceCounts,
    decryption_keys::DecryptionKeys,
    vault::{Connection, VaultError, VersionRow},
};

/// Bytes of a usual entry in the vault.
const BYTES_OF_ENTRY: u64 = 560;

/// What the vault knows that a reset depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Holdings {
    /// Keys in the vault that can be opened.
    keys: u64,
    not_fetched: u64,
    trimmed: u64,
    missing: u64,
    locked: u64,
    failed: u64,
    conflicts: u64,
    /// Whether the current version can be opened.
    is_unlocked: bool,
}

impl Holdings {
    pub(super) fn read(vault: &Connection, keys: &DecryptionKeys) -> Result<Self, VaultError> {
        let mut holdings = Self {
            conflicts: vault.unconnected_copies()?,
            trimmed: vault.trimmed_keys()?,
            ..Self::default()
        };
        let current = vault.current_version()?.map(|version| version.id);
        for version in vault.versions()? {
            holdings.add(&version, keys.can_open(&version), current == Some(version.id));
        }
        Ok(holdings)
    }

    fn add(&mut self, version: &VersionRow, can_open: bool, is_current: bool) {
        if version.is_open() {
            // Even if it lacks none by its count: something has changed since it was read.
            self.not_fetched += version.lacks().max(1);
        }
        self.missing += version.missing();
        self.failed += version.counts.failed;
        self.is_unlocked |= is_current && can_open;
        match can_open {
            true => self.keys += version.counts.fetched.saturating_sub(version.counts.failed),
            false if version.is_given_up => {}
            false => self.locked += version.counts.unopened(),
        }
    }

    /// Returns what a new backup that is made from the vault would lack, and the deletion of the old one therefore
    /// lose.
    pub(super) fn losses(&self) -> Vec<KeyLoss> {
        let all = [
            (LossKind::NotFetched, self.not_fetched),
            (LossKind::Trimmed, self.trimmed),
            (LossKind::Missing, self.missing),
            (LossKind::Locked, self.locked),
            (LossKind::Failed, self.failed),
            (LossKind::Conflict, self.conflicts),
        ];
        let losses = all.into_iter().map(|(kind, keys)| KeyLoss { kind, keys });
        losses.filter(|loss| loss.keys > 0).collect()
    }

    /// Returns what the app shows before a reset.
    pub(super) fn readiness(
        &self,
        cause: ResetCause,
        has_backup: bool,
        source: Option<SourceCounts>,
        can_keep_secrets: bool,
    ) -> ResetReadiness {
        let mut losses = self.losses();
        let waiting = source.map_or(0, |counts| counts.total.saturating_sub(counts.backed_up));
        if waiting > 0 {
            losses.push(KeyLoss {
                kind: LossKind::NotUploaded,
                keys: waiting,
            });
        }
        ResetReadiness {
            way: way(cause, has_backup, self.is_unlocked),
            losses,
            keys: self.keys,
            upload_bytes: self.keys * USUAL_ENTRY_BYTES,
            vault_bytes: self.keys * BYTES_OF_ENTRY,
            can_keep_secrets,
        }
    }
}

/// Decides which way of resetting is right.
fn way(cause: ResetCause, has_backup: bool, is_unlocked: bool) -> ResetWay {
    match (has_backup, is_unlocked, cause) {
        (false, ..) => ResetWay::Create,
        (true, false, _) => ResetWay::Locked,
        (true, true, ResetCause::RecoveryKeyLost) => ResetWay::RotateStorageOnly,
        (true, true, ResetCause::KeyCompromised | ResetCause::BackupDamaged) => ResetWay::Move,
    }
}

/// Returns the losses that have not been accepted: those of a kind that is not named, or with more keys than named.
pub(super) fn not_accepted(losses: &[KeyLoss], accepted: &[KeyLoss]) -> Vec<KeyLoss> {
    let is_accepted = |loss: &KeyLoss| {
        let mut same = accepted.iter().filter(|accepted| accepted.kind == loss.kind);
        same.any(|accepted| accepted.keys >= loss.keys)
    };
    losses.iter().filter(|loss| !is_accepted(loss)).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_depends_on_who_can_open_the_backup() {
        use ResetCause::{BackupDamaged, KeyCompromised, RecoveryKeyLost};
        for cause in [RecoveryKeyLost, KeyCompromised, BackupDamaged] {
            assert_eq!(way(cause, false, true), ResetWay::Create);
            assert_eq!(way(cause, true, false), ResetWay::Locked);
        }
        assert_eq!(way(RecoveryKeyLost, true, true), ResetWay::RotateStorageOnly);
        assert_eq!(way(KeyCompromised, true, true), ResetWay::Move);
        assert_eq!(way(BackupDamaged, true, true), ResetWay::Move);
    }

    #[test]
    fn a_loss_is_accepted_by_its_kind_and_up_to_a_number() {
        let loss = |kind, keys| KeyLoss { kind, keys };
        let losses = [loss(LossKind::Failed, 3), loss(LossKind::Missing, 5)];
        assert_eq!(not_accepted(&losses, &[]), losses);
        assert_eq!(not_accepted(&losses, &losses), []);
        let accepted = [loss(LossKind::Failed, 9), loss(LossKind::Missing, 4)];
        assert_eq!(not_accepted(&losses, &accepted), [loss(LossKind::Missing, 5)]);
        assert_eq!(not_accepted(&losses, &[loss(LossKind::Locked, 99)]), losses);
    }

    #[test]
    fn keys_that_wait_in_the_app_are_named_but_are_no_loss_of_a_move() {
        let holdings = Holdings {
            keys: 1_000_000,
            conflicts: 2,
            is_unlocked: true,
            ..Holdings::default()
        };
        let counts = SourceCounts {
            total: 10,
            backed_up: 7,
        };
        let readiness = holdings.readiness(ResetCause::KeyCompromised, true, Some(counts), true);
        let loss = |kind, keys| KeyLoss { kind, keys };
        assert_eq!(holdings.losses(), [loss(LossKind::Conflict, 2)]);
        assert_eq!(
            readiness.losses,
            [loss(LossKind::Conflict, 2), loss(LossKind::NotUploaded, 3)]
        );
        assert_eq!(readiness.upload_bytes, 860_000_000);
    }
}
