//! What the app allows the download to use, and how much of it.

use crate::job::Conditions;

/// What the download may use. The default is made for a phone; it can be changed at any time, also during a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct DownloadPolicy {
    /// Bytes that may be expected to come over a metered network. If more are left, fetching waits for another network.
    /// It holds nothing before the app reports by `pause(METERED_NETWORK)` that the network is metered; on Android nobody else
    /// does.
    #[uniffi(default = 25000000)]
    pub metered_bytes: u64,
    /// Whether it goes on while the device saves power.
    #[uniffi(default = false)]
    pub in_low_power: bool,
    /// Whether it waits for the charger.
    #[uniffi(default = false)]
    pub needs_charging: bool,
    /// Cores that open keys at the same time, 1 to as many as there are; `None`: all.
    #[uniffi(default = None)]
    pub cores: Option<u32>,
    /// Rooms that are asked for at the same time, 1 to 16.
    #[uniffi(default = 4)]
    pub rooms_at_once: u32,
    /// Keys that the sink gets at a time, at most; 50 to 2,000.
    #[uniffi(default = 2000)]
    pub batch_keys: u32,
    /// Bytes on disk that the vault may take, its log included; batches under way come on top. Reached, fetching pauses with `PauseCause.DiskLimit`;
    /// with `trim_delivered` it goes on once there is room. `None`: no limit.
    #[uniffi(default = None)]
    pub max_vault_bytes: Option<u64>,
    /// Whether entries leave the vault once the sink has taken them. Look-ups and exports do not find them any more; after
    /// `crypto_store_was_replaced` they are fetched again.
    #[uniffi(default = false)]
    pub trim_delivered: bool,
}

impl Default for DownloadPolicy {
    fn default() -> Self {
        Self {
            metered_bytes: 25_000_000,
            in_low_power: false,
            needs_charging: false,
            cores: None,
            rooms_at_once: 4,
            batch_keys: 2_000,
            max_vault_bytes: None,
            trim_delivered: false,
        }
    }
}

impl DownloadPolicy {
    /// The same with every figure within its bounds.
    #[must_use]
    pub(crate) fn bounded(self) -> Self {
        Self {
            cores: self.cores.map(|cores| cores.max(1)),
            rooms_at_once: self.rooms_at_once.clamp(1, 16),
            batch_keys: self.batch_keys.clamp(50, 2_000),
            ..self
        }
    }

    /// Returns the part of it that pause causes depend on.
    pub(crate) fn conditions(&self) -> Conditions {
        Conditions {
            metered_bytes: self.metered_bytes,
            in_low_power: self.in_low_power,
            needs_charging: self.needs_charging,
            max_vault_bytes: self.max_vault_bytes,
        }
    }
}
