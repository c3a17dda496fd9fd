//! Ids and numbers of the vault, each with a type of its own: an entry is not a version.

/// The row of an entry. Entries that come later have higher ids; no id is used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EntryId(pub(crate) i64);

/// The row of a backup version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct VersionRowId(pub(crate) i64);

/// The row of a room in one backup version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RoomRowId(pub(crate) i64);

/// How often the mark of a backup version has moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Era(pub(crate) i64);

/// A batch of entries that were opened in one transaction. Later batches have higher ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct BatchId(pub(crate) i64);

/// The number of a run, which fences out the writes of earlier runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Generation(pub(crate) i64);

impl EntryId {
    /// Before every entry.
    pub(crate) const NONE: Self = Self(0);
    /// After every entry.
    pub(crate) const MAX: Self = Self(i64::MAX);

    #[must_use]
    pub(crate) fn next(self) -> Self {
        Self(self.0 + 1)
    }

    #[must_use]
    pub(crate) fn previous(self) -> Self {
        Self(self.0 - 1)
    }
}
