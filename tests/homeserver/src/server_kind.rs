//! The homeserver implementations that this one can imitate, and how they differ.

use std::str::FromStr;

use crate::uploads::Rule;

/// A homeserver implementation that this one can imitate. The methods of this type are all the differences between
/// them here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ServerKind {
    /// Follows the specification most closely.
    #[default]
    Synapse,
    /// Remembers that the newest version was deleted, and loses `auth_data` when an upload has no keys.
    Dendrite,
    /// Treats an unknown version as one without keys, sorts versions as text, and fails on a bad room id.
    Conduit,
    /// Treats an unknown version as one without keys, and sorts versions as text.
    Continuwuity,
    /// Behaves like [`Self::Continuwuity`].
    Conduwuit,
    /// Treats an unknown version as one without keys, but sorts versions as numbers.
    Tuwunel,
    /// Serves one key for each room, does not change the etag when keys do, and limits requests.
    Palpo,
}

impl ServerKind {
    /// All kinds of server.
    pub const ALL: [Self; 7] = [
        Self::Synapse,
        Self::Dendrite,
        Self::Conduit,
        Self::Continuwuity,
        Self::Conduwuit,
        Self::Tuwunel,
        Self::Palpo,
    ];

    /// Returns the name in lower case, as the command line takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Synapse => "synapse",
            Self::Dendrite => "dendrite",
            Self::Conduit => "conduit",
            Self::Continuwuity => "continuwuity",
            Self::Conduwuit => "conduwuit",
            Self::Tuwunel => "tuwunel",
            Self::Palpo => "palpo",
        }
    }

    /// Whether a request for the keys of an unknown version is answered with no keys instead of an error.
    pub(crate) fn answers_unknown_version_with_nothing(self) -> bool {
        self.is_of_conduits_family() || self == Self::Palpo
    }

    /// Whether a request for keys that names no version is about the current one.
    pub(crate) fn takes_no_version_for_the_current_one(self) -> bool {
        self == Self::Dendrite
    }

    /// Whether version 999 is newer than version 1000.
    pub(crate) fn sorts_versions_as_text(self) -> bool {
        self.is_of_conduits_family() && self != Self::Tuwunel
    }

    /// Whether version 1 counts the keys of versions 10 and 12, too.
    pub(crate) fn counts_versions_that_begin_alike(self) -> bool {
        self.is_of_conduits_family()
    }

    /// Whether there is no current version from the deletion of the newest one until the next one is created.
    pub(crate) fn remembers_that_the_newest_version_was_deleted(self) -> bool {
        self == Self::Dendrite
    }

    /// Whether an upload without keys removes `auth_data`.
    pub(crate) fn loses_auth_data_to_an_empty_upload(self) -> bool {
        self == Self::Dendrite
    }

    /// Whether new keys move the etag.
    pub(crate) fn moves_etag_with_keys(self) -> bool {
        self != Self::Palpo
    }

    /// Whether new `auth_data` moves the etag.
    pub(crate) fn moves_etag_with_auth_data(self) -> bool {
        !matches!(self, Self::Synapse | Self::Dendrite)
    }

    /// Whether the etag of a version without keys is the empty string.
    pub(crate) fn has_empty_etag_without_keys(self) -> bool {
        self == Self::Dendrite
    }

    /// Whether one invalid stored room id makes requests for all keys fail.
    pub(crate) fn fails_on_bad_room_id(self) -> bool {
        self == Self::Conduit
    }

    /// Whether the answers for all keys and for a room hold one bare `session_data` for each room.
    pub(crate) fn answers_with_one_key_per_room(self) -> bool {
        self == Self::Palpo
    }

    /// Whether requests under `/room_keys` are limited.
    pub(crate) fn limits_requests(self) -> bool {
        self == Self::Palpo
    }

    /// Whether the error for a refused token reports if it is a soft logout.
    pub(crate) fn tells_soft_logout(self) -> bool {
        self != Self::Dendrite
    }

    /// When an uploaded entry takes the place of another one of the same session. `is_alone`: it is the only one of its
    /// request.
    pub(crate) fn rule(self, is_alone: bool) -> Rule {
        match self {
            Self::Synapse => Rule::AnyBetter,
            Self::Dendrite | Self::Tuwunel => Rule::Specification,
            Self::Continuwuity | Self::Conduwuit if is_alone => Rule::Specification,
            Self::Conduit | Self::Continuwuity | Self::Conduwuit | Self::Palpo => Rule::Always,
        }
    }

    /// Returns the status and the error code for an upload to a version that is not the current one.
    pub(crate) fn refusal_of_old_version(self) -> (u16, &'static str) {
        match self {
            Self::Synapse | Self::Dendrite => (403, "M_WRONG_ROOM_KEYS_VERSION"),
            Self::Tuwunel => (400, "M_WRONG_ROOM_KEYS_VERSION"),
            Self::Conduit | Self::Continuwuity | Self::Conduwuit | Self::Palpo => (400, "M_INVALID_PARAM"),
        }
    }

    /// Whether the `current_version` of that error is the one that was asked for.
    pub(crate) fn calls_the_old_version_current(self) -> bool {
        self == Self::Synapse
    }

    /// Whether an upload without any version fails with 500, and one without keys has 200.
    pub(crate) fn fails_on_upload_without_version(self) -> bool {
        self == Self::Dendrite
    }

    /// Whether an entry without its hints makes the upload fail with 500, and a hint of another type with 400.
    pub(crate) fn wants_every_hint(self) -> bool {
        self == Self::Synapse
    }

    /// Whether a version can be given another algorithm.
    pub(crate) fn takes_another_algorithm(self) -> bool {
        self == Self::Dendrite
    }

    /// Returns the most bytes of a request's body.
    pub(crate) fn most_body(self) -> usize {
        match self {
            Self::Synapse | Self::Dendrite => 200 * 65_536,
            Self::Conduit | Self::Continuwuity | Self::Conduwuit => 20 << 20,
            Self::Tuwunel => 24 << 20,
            Self::Palpo => 16 << 20,
        }
    }

    fn is_of_conduits_family(self) -> bool {
        matches!(
            self,
            Self::Conduit | Self::Continuwuity | Self::Conduwuit | Self::Tuwunel
        )
    }
}

impl FromStr for ServerKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| {
            format!(
                "there is no such server; the known ones are {}",
                Self::ALL.map(Self::name).join(", ")
            )
        })
    }
}
