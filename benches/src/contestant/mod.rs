//! The contestants that are measured. Each runs in a separate process.

mod download;
mod floor;
mod matrix_sdk;
mod ours;
mod store_floor;

use ours::Voice;

use crate::{Failure, account::Account, sdk::StoreKey};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contestant {
    /// One request, with its body written to a file: the fastest possible download.
    PlainDownload,
    /// keyferry, until every entry is in the vault.
    Fetched,
    /// keyferry, until every entry has been opened.
    Opened,
    /// keyferry, until every key is in a matrix-sdk-sqlite store.
    Delivered,
    /// The same with a store that has a key.
    DeliveredSealed,
    /// keyferry with a silent sink, until every key is in a matrix-sdk-sqlite store.
    DeliveredSilently,
    /// The same with a store that has a key.
    DeliveredSilentlySealed,
    /// One request, the whole body, decrypted one by one, one import into a matrix-sdk-sqlite store.
    MatrixSdk,
    /// The same with a store that has a key.
    MatrixSdkSealed,
    /// The key agreement of every entry on all cores, and nothing else.
    Floor,
    /// The sessions saved by matrix-sdk-sqlite in one transaction, and nothing else.
    StoreFloor,
    /// The same with a store that has a key.
    StoreFloorSealed,
}

impl Contestant {
    pub(crate) const ALL: [Self; 12] = [
        Self::PlainDownload,
        Self::Fetched,
        Self::Opened,
        Self::Delivered,
        Self::DeliveredSealed,
        Self::DeliveredSilently,
        Self::DeliveredSilentlySealed,
        Self::MatrixSdk,
        Self::MatrixSdkSealed,
        Self::Floor,
        Self::StoreFloor,
        Self::StoreFloorSealed,
    ];

    /// Returns those whose cost is compared over sizes.
    pub(crate) fn over_sizes() -> Vec<Self> {
        let mut compared = Self::ALL.to_vec();
        compared.retain(|contestant| {
            !matches!(
                contestant,
                Self::PlainDownload | Self::StoreFloor | Self::StoreFloorSealed
            )
        });
        compared
    }

    /// Whether this is keyferry.
    pub(crate) fn is_ours(self) -> bool {
        self.name().starts_with("keyferry")
    }

    /// Whether it is also measured as apps ship it.
    pub(crate) fn is_shipped(self) -> bool {
        matches!(
            self,
            Self::Fetched | Self::Opened | Self::Delivered | Self::DeliveredSilently
        )
    }

    /// Returns the name that tables show, which is also the name of the child process.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PlainDownload => "plain download",
            Self::Fetched => "keyferry, fetched",
            Self::Opened => "keyferry, opened",
            Self::Delivered => "keyferry, delivered",
            Self::DeliveredSealed => "keyferry, delivered, store key",
            Self::DeliveredSilently => "keyferry, delivered silently",
            Self::DeliveredSilentlySealed => "keyferry, delivered silently, store key",
            Self::MatrixSdk => "matrix-sdk's way",
            Self::MatrixSdkSealed => "matrix-sdk's way, store key",
            Self::Floor => "floor (X25519)",
            Self::StoreFloor => "floor (store)",
            Self::StoreFloorSealed => "floor (store), store key",
        }
    }
}

/// Does the work of the child with this name, for the account in `told` (JSON).
pub(crate) fn work(name: &str, told: &str) -> Result<(), Failure> {
    let account: Account = serde_json::from_str(told)?;
    let contestant = Contestant::ALL.into_iter().find(|contestant| contestant.name() == name);
    match contestant.ok_or("no such contestant")? {
        Contestant::PlainDownload => download::run(&account),
        Contestant::Fetched => ours::run(&account, ours::Goal::Fetched),
        Contestant::Opened => ours::run(&account, ours::Goal::Opened),
        Contestant::Delivered => ours::run(&account, ours::Goal::Delivered(StoreKey::None, Voice::Announced)),
        Contestant::DeliveredSealed => ours::run(&account, ours::Goal::Delivered(StoreKey::Some, Voice::Announced)),
        Contestant::DeliveredSilently => ours::run(&account, ours::Goal::Delivered(StoreKey::None, Voice::Silent)),
        Contestant::DeliveredSilentlySealed => {
            ours::run(&account, ours::Goal::Delivered(StoreKey::Some, Voice::Silent))
        }
        Contestant::MatrixSdk => matrix_sdk::run(&account, StoreKey::None),
        Contestant::MatrixSdkSealed => matrix_sdk::run(&account, StoreKey::Some),
        Contestant::Floor => floor::run(&account),
        Contestant::StoreFloor => store_floor::run(&account, StoreKey::None),
        Contestant::StoreFloorSealed => store_floor::run(&account, StoreKey::Some),
    }
}
