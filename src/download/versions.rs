//! The backup versions that the vault knows, together.

use crate::vault::{Connection, VaultError, VersionRow};

/// The versions that the vault knows.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    /// The oldest first.
    pub(crate) all: Vec<VersionRow>,
    /// Row id of the current one.
    pub(crate) current: Option<i64>,
    /// Row ids of those that can be opened.
    unlocked: Vec<i64>,
}

impl Versions {
    /// Reads them, where `can_open` says which there is a decryption key for.
    pub(crate) fn of(vault: &Connection, can_open: impl Fn(&VersionRow) -> bool) -> Result<Self, VaultError> {
        let all = vault.versions()?;
        let unlocked = all.iter().filter(|version| can_open(version));
        Ok(Self {
            current: vault.current_version()?.map(|version| version.id),
            unlocked: unlocked.map(|version| version.id).collect(),
            all,
        })
    }

    pub(crate) fn is_current(&self, version: &VersionRow) -> bool {
        self.current == Some(version.id)
    }

    pub(crate) fn is_unlocked(&self, version: &VersionRow) -> bool {
        self.unlocked.contains(&version.id)
    }

    /// Whether the user is to be asked for its recovery key.
    pub(crate) fn is_locked(&self, version: &VersionRow) -> bool {
        version.counts.unopened() > 0 && !version.is_given_up && !self.is_unlocked(version)
    }

    /// Returns the number of keys that wait for a decryption key.
    pub(crate) fn locked_keys(&self) -> u64 {
        let locked = self.all.iter().filter(|version| !self.is_unlocked(version));
        locked.map(|version| version.counts.unopened()).sum()
    }
}
