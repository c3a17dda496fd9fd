//! What the preference says to apps, and how it fails.

use std::time::Duration;

use super::{DecisionReason, PreferenceValue, SharedPreference};
use crate::{
    backup::limits::MAX_ASKED_WAIT,
    homeserver::{HomeserverError, Meaning},
    job::NoAccess,
    vault::VaultMeaning,
};

/// What to do about backups at sign-in, and why.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct SignInDecision {
    /// Keep backups on, keep them off, or undetermined. "Off" stops *backing up*: a backup that exists may still be
    /// restored from, with the download of this client.
    pub backups: PreferenceValue,
    /// Why.
    pub reason: DecisionReason,
    /// The user should be asked, with `backups` as the default; write the answer with `set_enabled`.
    pub ask_user: bool,
    /// What the account says.
    pub preference: SharedPreference,
    /// The account has a key backup on the server.
    pub backup_exists: bool,
    /// What became of a choice that was to be written; `None` if there was none.
    pub write: Option<PreferenceWrite>,
}

/// What became of a wish to write the preference.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
#[uniffi::export(Debug)]
#[non_exhaustive]
pub enum PreferenceWrite {
    /// It is in account data. Only now delete or create a backup: killed in between, "no backup, no preference" would
    /// be left, which other clients answer by switching backups on again.
    Written,
    /// It is durable on this device, and not yet written: `flush` does that later.
    Pending {
        /// What is in the way.
        reason: PendingReason,
        /// Milliseconds from now before which there is no point in trying again; `None` if waiting does not help.
        retry_after_ms: Option<u64>,
    },
    /// Another device had chosen otherwise, and the host has taken that, or a choice of the policy has given way to it: act
    /// on it.
    TheirsTaken {
        /// What the account says.
        theirs: SharedPreference,
    },
    /// A later wish took the place of this one: act on what that one's call answers.
    Superseded,
}

/// Why a wish is not yet written.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
#[uniffi::export(Debug)]
#[non_exhaustive]
pub enum PendingReason {
    /// The homeserver cannot be reached, has a fault, asks to slow down, or something else answers in its place. Passes
    /// by itself.
    Unreachable,
    /// The access token is not accepted, or the app gave none: sign in again.
    NotSignedIn {
        /// The server says that the device is still known.
        soft_logout: bool,
    },
    /// The homeserver refuses the request, or its certificate is not trusted.
    Refused,
    /// Another device has chosen the opposite since the wish was made, and the host has not said which one counts: ask the
    /// user, and call `set_enabled` with the answer.
    ChangedMeanwhile {
        /// What the account says.
        theirs: SharedPreference,
    },
    /// Time was up: the server is slow, or the budget small.
    OutOfTime,
    /// The vault could not be written for the next step: it is busy, or the disk is full. The wish itself is in it.
    Vault,
}

/// A wish that is not yet written.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct PendingPreference {
    /// What the user wants.
    pub enabled: bool,
    /// Attempts at writing it that came to nothing.
    pub tries: u32,
    /// What another device has chosen meanwhile, if that is in the way.
    pub changed_meanwhile: Option<SharedPreference>,
}

/// Two devices want different things.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct PreferenceConflict {
    /// What was wished for on this device.
    pub ours: bool,
    /// What the account says by now.
    pub theirs: SharedPreference,
}

/// The host's answer to a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, uniffi::Enum)]
pub enum PreferenceResolution {
    /// Write what was wished for on this device.
    KeepOurs,
    /// Give the wish up.
    TakeTheirs,
    /// Not now, because there is nobody to ask: the wish stays pending.
    AskLater,
}

/// One event of the account data that a sync brings.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct AccountDataEvent {
    /// The type, such as `m.key_backup`.
    pub event_type: String,
    /// The content, as the JSON text that it is.
    pub content_json: String,
}

/// The preference could not be read. Nothing has been decided, and nothing written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, uniffi::Error)]
#[uniffi::export(Display)]
#[non_exhaustive]
pub enum PreferenceError {
    /// The app has chosen to take no part ([`PreferencePolicy::OptOut`](super::PreferencePolicy)). No request was made.
    #[error("this app takes no part in the preference")]
    OptedOut,
    /// The homeserver cannot be reached, has a fault, asks to slow down, or something else answers in its place. Passes
    /// by itself. It says nothing about the preference.
    #[error("the homeserver cannot be reached")]
    Unreachable {
        /// Milliseconds to wait, where the server has said so.
        retry_after_ms: Option<u64>,
    },
    /// The access token is not accepted, or the app gave none.
    #[error("the account is not signed in")]
    NotSignedIn {
        /// The server says that the device is still known.
        soft_logout: bool,
    },
    /// The homeserver refuses the request, or its certificate is not trusted.
    #[error("the homeserver refuses the request")]
    Refused,
    /// The vault cannot be read or written now: another process writes for longer than five seconds, the disk is full, or the
    /// phone is locked. Passes by itself.
    #[error("the vault cannot be accessed")]
    Inaccessible,
    /// The vault was deleted, set aside or replaced since this client was opened: shut it down, and open another one.
    #[error("the vault is gone")]
    Gone,
    /// The vault is damaged: shut the client down, `set_vault_aside`, and open another one.
    #[error("the vault is damaged")]
    Damaged,
    /// A bug in the crate: the log says more.
    #[error("a bug in the crate")]
    Internal,
    /// The client is shut down.
    #[error("the client is shut down")]
    ShutDown,
}

impl From<NoAccess> for PreferenceError {
    fn from(reason: NoAccess) -> Self {
        log::warn!("the preference is not in reach: {reason:?}");
        match reason {
            NoAccess::ShutDown => Self::ShutDown,
            NoAccess::Vault(
                VaultMeaning::Busy | VaultMeaning::Overtaken | VaultMeaning::Inaccessible | VaultMeaning::DiskFull,
            ) => Self::Inaccessible,
            NoAccess::Vault(VaultMeaning::Gone) => Self::Gone,
            NoAccess::Vault(VaultMeaning::Damaged) => Self::Damaged,
            NoAccess::Vault(VaultMeaning::Bug) => Self::Internal,
        }
    }
}

impl From<HomeserverError> for PreferenceError {
    fn from(error: HomeserverError) -> Self {
        match error.meaning() {
            Meaning::NotSignedIn { soft_logout } => Self::NotSignedIn { soft_logout },
            Meaning::Refused | Meaning::NothingThere => Self::Refused,
            Meaning::Passes | Meaning::ServerFault => Self::Unreachable {
                retry_after_ms: asked_to_wait(&error).map(|wait| wait.min(MAX_ASKED_WAIT).as_millis() as u64),
            },
        }
    }
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

/// How long the server asks to be left alone.
pub(super) fn asked_to_wait(error: &HomeserverError) -> Option<Duration> {
    match error {
        HomeserverError::RateLimited { retry_after } | HomeserverError::ServerFault { retry_after, .. } => *retry_after,
        _ => None,
    }
}

/// When to try again, after `tries` attempts that came to nothing. `None`: trying again alone does not help.
pub(super) fn retry_after(reason: &PendingReason, asked: Option<Duration>, tries: u32) -> Option<Duration> {
    const FIRST: Duration = Duration::from_secs(30);
    const LONGEST: Duration = Duration::from_secs(60 * 60);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    match reason {
        PendingReason::ChangedMeanwhile { .. } => None,
        PendingReason::Vault => Some(FIRST),
        // It may be mended, and not by us.
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
    fn waits_grow_and_the_server_is_heard() {
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
