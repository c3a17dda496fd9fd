//! What the app allows the download to use.

use crate::job::Conditions;

/// What the download may use of network, power, processor and disk. The defaults suit a phone. Set it with
/// `KeyDownload.set_policy` at any time, also during a run. A figure outside its bounds counts as the nearest bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct DownloadPolicy {
    /// Maximum number of bytes that may be left to fetch over a metered network; 25,000,000 by default. While more
    /// are left, fetching waits for another network. This has no effect until the app reports a metered network with
    /// `KeyDownload.pause` and `PauseCause.MeteredNetwork`. On iOS `PhoneConditions` reports it; on Android the app
    /// must.
    #[uniffi(default = 25000000)]
    pub metered_bytes: u64,
    /// Whether the download continues while the device saves power; false by default. If false, `PauseCause.LowPower`
    /// pauses it.
    #[uniffi(default = false)]
    pub in_low_power: bool,
    /// Whether the download waits until the device charges; false by default. If true, `PauseCause.NotCharging`
    /// pauses it.
    #[uniffi(default = false)]
    pub needs_charging: bool,
    /// Number of cores that open keys at the same time: at least 1, at most as many as the device has. `None`, the
    /// default, means all of them, or all but one with a sink, which needs a core, too.
    #[uniffi(default = None)]
    pub cores: Option<u32>,
    /// Number of rooms that are requested at the same time: 1 to 16, 4 by default. A run with a budget requests at
    /// most 2.
    #[uniffi(default = 4)]
    pub rooms_at_once: u32,
    /// Maximum size of the vault on disk in bytes, including its write-ahead log; batches in progress come on top.
    /// When the vault reaches it, fetching pauses with `PauseCause.DiskLimit`. It continues once the vault is below
    /// nine tenths of the limit, which `trim_delivered` can achieve. `None`, the default, means no limit.
    #[uniffi(default = None)]
    pub max_vault_bytes: Option<u64>,
    /// Whether entries are removed from the vault once the sink has taken them; false by default. Look-ups and
    /// exports no longer find them. After `KeyDownload.crypto_store_was_replaced` they are fetched again. While the
    /// backup moves to a new key, nothing is removed.
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
            max_vault_bytes: None,
            trim_delivered: false,
        }
    }
}

impl DownloadPolicy {
    /// Returns the policy with every figure within its bounds.
    #[must_use]
    pub(crate) fn bounded(self) -> Self {
        Self {
            cores: self.cores.map(|cores| cores.max(1)),
            rooms_at_once: self.rooms_at_once.clamp(1, 16),
            ..self
        }
    }

    /// Returns the part of the policy that pause causes depend on.
    pub(crate) fn conditions(&self) -> Conditions {
        Conditions {
            metered_bytes: self.metered_bytes,
            in_low_power: self.in_low_power,
            needs_charging: self.needs_charging,
            max_vault_bytes: self.max_vault_bytes,
        }
    }
}
