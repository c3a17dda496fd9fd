//! The part of the app's policy that pause causes depend on.

use crate::vault::{Connection, VaultError};

/// The limits that the app sets for background work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    /// Bytes that may be transferred over a metered network. If more are left, network work waits for another
    /// network.
    pub(crate) metered_bytes: u64,
    /// Whether work goes on while the device saves power.
    pub(crate) in_low_power: bool,
    /// Whether work waits for the charger.
    pub(crate) needs_charging: bool,
    /// Bytes on disk that the vault may take, including its write-ahead log. `None`: no limit.
    pub(crate) max_vault_bytes: Option<u64>,
}

impl Conditions {
    /// Whether the vault's size has to be compared with a limit.
    pub(crate) fn has_vault_limit(&self) -> bool {
        self.max_vault_bytes.is_some()
    }

    /// Whether the vault has reached its size limit.
    pub(crate) fn is_vault_full(&self, vault: &Connection) -> Result<bool, VaultError> {
        self.max_vault_bytes
            .map_or(Ok(false), |most| vault.takes_more_than(most))
    }

    /// Whether a vault that was full has room again. It must be below nine tenths of the limit; otherwise it would
    /// soon be full again.
    pub(crate) fn has_room_again(&self, vault: &Connection) -> Result<bool, VaultError> {
        self.max_vault_bytes
            .map_or(Ok(false), |most| Ok(!vault.takes_more_than(most / 10 * 9)?))
    }
}
