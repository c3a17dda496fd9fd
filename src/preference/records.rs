//! The records that the preference passes to apps.

use std::time::Duration;

use super::{DecisionReason, PreferenceValue, SharedPreference};
use crate::{
    homeserver::{HomeserverError, Meaning},
    milliseconds::Milliseconds,
};

/// The result of `KeyBackupPreference.decide_at_sign_in`: what to do about backups on this device, and why.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct SignInDecision {
    /// Whether to back up room keys on this device; `Undetermined` until the user has chosen. `Disabled` stops
    /// *backing up* only: an existing backup may still be restored from, with `KeyBackupClient.download()`.
    pub backups: PreferenceValue,
    /// Why the decision is what it is.
    pub reason: DecisionReason,
    /// Whether to ask the user, with `backups` as the default answer. Write the answer with `set_enabled`.
    pub ask_user: bool,
    /// The account's value, including what this call has written.
    pub preference: SharedPreference,
    /// Whether the account has a key backup on the server.
    pub backup_exists: bool,
    /// The result of writing a choice; `None` if there was no choice to write.
    pub write: Option<PreferenceWrite>,
}

/// The result of writing a choice to account data.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
#[uniffi::export(Debug)]
#[non_exhaustive]
pub enum PreferenceWrite {
    /// The choice is in account data. Only now delete or create a backup: an app that is killed in between would
    /// leave "no backup, no preference", and other clients respond to that by switching backups on again.
    Written,
    /// The choice is stored on this device, but not yet written. `flush` writes it later.
    Pending {
        /// What prevents the write.
        reason: PendingReason,
        /// How long to wait before trying again (30 seconds to 24 hours); `None` if waiting
        /// does not help.
        retry_after: Option<Milliseconds>,
    },
    /// Another device had chosen the opposite. The host took that value (`PreferenceResolution.TakeTheirs`), or a
    /// choice of the policy gave way to it. Act on that value.
    TheirsTaken {
        /// The account's value.
        theirs: SharedPreference,
    },
    /// A later choice replaced this one. Act on the result of the call that made the later one.
    Superseded,
}

/// Why a choice is not yet written to account data.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
#[uniffi::export(Debug)]
#[non_exhaustive]
pub enum PendingReason {
    /// The homeserver cannot be reached, has a fault, asks to slow down, or something else (such as a captive portal)
    /// answers in its place. Passes by itself.
    Unreachable,
    /// The access token is not accepted, or the app provided none: sign in again.
    NotSignedIn {
        /// Whether the server says that it still knows the device.
        soft_logout: bool,
    },
    /// The homeserver refuses the request, or its certificate is not trusted.
    Refused,
    /// Another device has chosen the opposite since this choice was made, and the host has not said which one counts.
    /// Ask the user, and call `set_enabled` with the answer.
    ChangedMeanwhile {
        /// The account's value.
        theirs: SharedPreference,
    },
    /// Time ran out: the server is slow, or the budget is small.
    OutOfTime,
    /// The next step could not be stored in the vault: it is busy, or the disk is full. The choice itself is stored.
    Vault,
}

/// A choice that is stored on this device and not yet written to account data.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct PendingPreference {
    /// Whether the choice is to back up room keys.
    pub enabled: bool,
    /// Number of failed attempts at writing it.
    pub tries: u32,
    /// The opposite value that another device has chosen meanwhile, if that prevents the write.
    pub changed_meanwhile: Option<SharedPreference>,
}

/// This device and another one have made opposite choices. Passed to `JobHost.resolve_preference_conflict`.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct PreferenceConflict {
    /// The choice made on this device: true to back up room keys.
    pub ours: bool,
    /// The account's current value.
    pub theirs: SharedPreference,
}

/// The host's answer to a `PreferenceConflict`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, uniffi::Enum)]
pub enum PreferenceResolution {
    /// Write the choice made on this device.
    KeepOurs,
    /// Give up the choice made on this device, and keep the account's value.
    TakeTheirs,
    /// Decide later, because the user cannot be asked now. The choice stays pending.
    AskLater,
}

/// One account data event from a sync.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct AccountDataEvent {
    /// The type of the event, such as `m.key_backup`.
    pub event_type: String,
    /// The content of the event, as JSON text.
    pub content_json: String,
}

impl From<&HomeserverError> for PendingReason {
    fn from(error: &HomeserverError) -> Self {
        match error.meaning() {
            Meaning::NotSignedIn { soft_logout } => Self::NotSignedIn { soft_logout },
            Meaning::Refused | Meaning::NothingThere => Self::Refused,
            Meaning::Passes | Meaning::ServerFault => Self::Unreachable,
        }
    }
}

/// Returns how long the server asks us to wait.
pub(super) fn asked_to_wait(error: &HomeserverError) -> Option<Duration> {
    match error {
        HomeserverError::RateLimited { retry_after } | HomeserverError::ServerFault { retry_after, .. } => *retry_after,
        _ => None,
    }
}

/// Returns how long to wait before trying again, after `tries` failed attempts. `None` if trying again alone does not
/// help.
pub(super) fn retry_after(reason: &PendingReason, asked: Option<Duration>, tries: u32) -> Option<Duration> {
    const FIRST: Duration = Duration::from_secs(30);
    const LONGEST: Duration = Duration::from_secs(60 * 60);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    match reason {
        PendingReason::ChangedMeanwhile { .. } => None,
        PendingReason::Vault => Some(FIRST),
        // The cause may be fixed, but not by us.
        PendingReason::Refused => Some(DAY),
        PendingReason::Unreachable | PendingReason::OutOfTime | PendingReason::NotSignedIn { .. } => {
            let grown = FIRST.saturating_mul(1 << tries.saturating_sub(1).min(10)).min(LONGEST);
            Some(grown.max(asked.unwrap_or_default().min(DAY)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_respect_the_server() {
        let after = |asked, tries| retry_after(&PendingReason::Unreachable, asked, tries).map(|wait| wait.as_secs());
        assert_eq!(
            [1, 2, 3, 20].map(|tries| after(None, tries)),
            [30, 60, 120, 3_600].map(Some)
        );
        assert_eq!(after(Some(Duration::from_secs(7)), 1), Some(30));
        assert_eq!(after(Some(Duration::from_secs(7_200)), 1), Some(7_200));
        assert_eq!(after(Some(Duration::MAX), 1), Some(86_400));
    }
}
