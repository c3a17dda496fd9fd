//! The backup versions that the vault knows, read together.

use crate::ids::VersionRowId;
use crate::vault::{Connection, VaultError, VersionRow};

/// All backup versions that the vault knows.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    /// Oldest first.
    pub(crate) all: Vec<VersionRow>,
    /// Row id of the current version.
    pub(crate) current: Option<VersionRowId>,
    /// Row ids of the versions that can be opened.
    unlocked: Vec<VersionRowId>,
    has_sink: bool,
}

impl Versions {
    /// Reads the versions. `can_open` says whether there is a decryption key for a version.
    pub(crate) fn of(
        vault: &Connection,
        has_sink: bool,
        can_open: impl Fn(&VersionRow) -> bool,
    ) -> Result<Self, VaultError> {
        let all = vault.versions()?;
        let unlocked = all.iter().filter(|version| can_open(version));
        Ok(Self {
            current: vault.current_version()?.map(|version| version.id),
            unlocked: unlocked.map(|version| version.id).collect(),
            all,
            has_sink,
        })
    }

    pub(crate) fn is_current(&self, version: &VersionRow) -> bool {
        self.current == Some(version.id)
    }

    pub(crate) fn is_unlocked(&self, version: &VersionRow) -> bool {
        self.unlocked.contains(&version.id)
    }

    /// Whether the user should be asked for the recovery key of this version.
    pub(crate) fn is_locked(&self, version: &VersionRow) -> bool {
        version.counts.awaiting_key(self.has_sink) > 0 && !version.is_given_up && !self.is_unlocked(version)
    }

    /// Returns the number of keys that wait for a decryption key.
    pub(crate) fn locked_keys(&self) -> u64 {
        let locked = self.all.iter().filter(|version| !self.is_unlocked(version));
        locked.map(|version| version.counts.awaiting_key(self.has_sink)).sum()
    }
}
