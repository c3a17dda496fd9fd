//! The results of on-demand calls.

/// The result of `KeyBackupClient.fetch_room`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct RoomFetch {
    /// Number of entries that this call added to the vault: new keys, and other copies of keys that the vault had.
    pub new_keys: u64,
    /// Whether the server was asked for the keys of the room. False if nothing had changed since the vault got all of
    /// them.
    pub asked_server: bool,
}

/// The result of `KeyBackupClient.refresh`: what the server has that the vault does not have.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
#[uniffi::export(Debug)]
#[non_exhaustive]
pub enum ServerNews {
    /// There is nothing to fetch: the vault has everything that the server has.
    NothingNew,
    /// The backup has keys that are not in the vault, or has changed since the vault had all of it. Run the download.
    NewKeys {
        /// Number of keys that are not in the vault, by the server's count. 0 if keys have only been replaced,
        /// usually by better copies.
        count: u64,
    },
    /// Another backup version is current. Run the download, and unlock the version if it needs another key.
    OtherVersion {
        /// The version, as the server names it.
        version: String,
        /// Whether its decryption key is already known.
        unlocked: bool,
    },
    /// The account has no key backup any more. The vault keeps what it has.
    NoBackup,
}
