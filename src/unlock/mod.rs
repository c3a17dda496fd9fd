//! Unlocking: from what a user or an app has to the backup's decryption key.
//!
//! A recovery key may be the key of secret storage or the decryption key itself, in the same form, so both are tried.
//! The decisive test is that the public half equals the public key of the backup.

mod secret_storage;

#[cfg(any(fuzzing, test))]
pub(crate) use secret_storage::read_secret_storage;
use secret_storage::{FromStorage, StorageInput};

use crate::{
    backup::{
        decryption::BackupDecryptionKey,
        recovery_key::{self, RecoveryKeyFlaw},
        version::VersionInfo,
    },
    blocking::blocking,
    context::Context,
    homeserver::HomeserverError,
    job::{AccessError, Jobs},
    remedy::Remedy,
    secret::{KeyBytes, SecretString},
    vault::{Connection, VersionRow},
};

/// What a user or an app unlocks a backup with.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
#[uniffi::export(Debug)]
pub enum UnlockSecret {
    /// The recovery key (or security key) that the user typed: base58 in any spacing, of secret storage or of the
    /// backup.
    RecoveryKey {
        /// The text as typed.
        text: SecretString,
    },
    /// The passphrase (or security phrase) that the user typed: of secret storage, or of an old backup. Its key
    /// derivation takes a second or more on a phone.
    Passphrase {
        /// The text as typed.
        text: SecretString,
    },
    /// The decryption key itself, which apps get by secret sharing (gossip), by QR login, or from their own store.
    DecryptionKey {
        /// Base64 of 32 bytes, padded or not.
        base64: SecretString,
    },
}

/// A backup that has been unlocked.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct UnlockedBackup {
    /// The newest backup version that the key opens.
    pub version: String,
    /// Number of keys in that version: the server's count, or the number already fetched if that is higher.
    pub total: u64,
    /// All versions that the key opens, oldest first. A backup may have been created again with the key of an earlier
    /// one.
    pub versions: Vec<String>,
    /// Whether the key is only in memory. The user must then be asked again after a restart.
    pub restart_needs_recovery_key: bool,
}

/// Why a backup could not be unlocked. A key that was there before is still there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, uniffi::Error)]
#[uniffi::export(Display)]
#[non_exhaustive]
pub enum UnlockError {
    /// The text does not have the form of a recovery key or of a decryption key.
    #[error("this is no recovery key")]
    NotAKey,
    /// The text looks like a recovery key, but a character is wrong or missing: ask the user to check it.
    #[error("the recovery key has a typing error")]
    Mistyped,
    /// The key or the passphrase is well-formed, but opens no known version of the backup.
    #[error("the key does not fit the backup")]
    WrongKey,
    /// Neither secret storage nor the backup was set up with a passphrase: ask for the recovery key.
    #[error("there is no passphrase to unlock with")]
    NoPassphrase,
    /// This version of keyferry does not support the backup or its key derivation.
    #[error("the backup cannot be unlocked by this version")]
    Unsupported,
    /// The homeserver or the vault gave no answer, or the account has no key backup.
    #[error(transparent)]
    Access {
        /// What was not accessible.
        #[from]
        error: AccessError,
    },
}

impl UnlockError {
    /// Returns what an app can do about this error.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::NotAKey | Self::Mistyped | Self::WrongKey | Self::NoPassphrase => Remedy::AskUser,
            Self::Unsupported => Remedy::UpdateApp,
            Self::Access { error } => error.remedy(),
        }
    }
}

impl From<HomeserverError> for UnlockError {
    fn from(error: HomeserverError) -> Self {
        AccessError::from(error).into()
    }
}

/// Finds the decryption key of a backup version, and keeps it for every version that it opens.
pub(crate) async fn unlock(jobs: &Jobs, secret: UnlockSecret) -> Result<UnlockedBackup, UnlockError> {
    let context = jobs.context().ok_or(AccessError::ShutDown)?;
    // Report a typing error before using the network.
    let candidate = match &secret {
        UnlockSecret::RecoveryKey { text } => {
            Some(recovery_key::parse_base58(text.expose()).map_err(|flaw| match flaw {
                RecoveryKeyFlaw::NotBase58 => UnlockError::NotAKey,
                RecoveryKeyFlaw::Mistyped => UnlockError::Mistyped,
            })?)
        }
        UnlockSecret::DecryptionKey { base64 } => {
            Some(recovery_key::parse_base64(base64.expose()).ok_or(UnlockError::NotAKey)?)
        }
        UnlockSecret::Passphrase { .. } => None,
    };
    let known = jobs.read(|vault| vault.versions()).await?;
    if let Some(key) = &candidate
        && let versions = opened_by(&known, key)
        && !versions.is_empty()
    {
        return keep(jobs, &context, versions, key).await;
    }
    let (versions, current) = with_the_current_one(jobs, &context, known).await?;
    let fits = |key: &KeyBytes| !opened_by(&versions, key).is_empty();
    let key = match (candidate, secret) {
        (Some(key), _) if fits(&key) => key,
        (_, UnlockSecret::DecryptionKey { .. }) => return Err(UnlockError::WrongKey),
        (_, UnlockSecret::RecoveryKey { text }) => from_recovery_key(&context, text, fits).await?,
        (_, UnlockSecret::Passphrase { text }) => from_passphrase(&context, current.as_ref(), text, fits).await?,
    };
    keep(jobs, &context, opened_by(&versions, &key), &key).await
}

/// Returns the versions that a key opens.
fn opened_by(versions: &[VersionRow], key: &KeyBytes) -> Vec<VersionRow> {
    let public_key = *BackupDecryptionKey::from_bytes(key).public_key();
    let opened = versions.iter().filter(|version| version.public_key == Some(public_key));
    opened.cloned().collect()
}

/// Returns the known versions, including the one that the server says is current. If the server does not say, known
/// versions with a public key are enough.
async fn with_the_current_one(
    jobs: &Jobs,
    context: &Context,
    known: Vec<VersionRow>,
) -> Result<(Vec<VersionRow>, Option<VersionInfo>), UnlockError> {
    let info = match context.homeserver.current_version().await {
        Ok(info) => info,
        Err(error) if known.iter().any(|version| version.public_key.is_some()) => {
            log::info!("the server does not say which backup version is current: {error}");
            return Ok((known, None));
        }
        Err(error) => return Err(error.into()),
    };
    let is_known = known.iter().any(|version| version.public_key.is_some());
    if info.public_key.is_none() && !is_known {
        return Err(UnlockError::Unsupported);
    }
    let noted = info.clone();
    let versions = jobs
        .write(move |vault| {
            vault.write(|tx| {
                let current = tx.note_current_version(&noted)?;
                tx.begin_with(current.id)
            })?;
            vault.versions()
        })
        .await?;
    Ok((versions, Some(info)))
}

async fn keep(
    jobs: &Jobs,
    context: &Context,
    versions: Vec<VersionRow>,
    key: &KeyBytes,
) -> Result<UnlockedBackup, UnlockError> {
    let Some(newest) = versions.last() else {
        return Err(UnlockError::WrongKey);
    };
    let unlocked = UnlockedBackup {
        version: newest.version.clone(),
        total: newest.total(),
        versions: versions.iter().map(|version| version.version.clone()).collect(),
        restart_needs_recovery_key: !context.vault.keeps_secrets(),
    };
    let (keys, key) = (context.keys.clone(), key.clone());
    let keep = move |vault: &mut Connection| {
        for version in &versions {
            vault.write(|tx| tx.keep_key(version, &key))?;
            keys.insert(version.id, &key);
        }
        Ok(())
    };
    jobs.write(keep).await?;
    Ok(unlocked)
}

async fn from_recovery_key(
    context: &Context,
    text: SecretString,
    fits: impl Fn(&KeyBytes) -> bool,
) -> Result<KeyBytes, UnlockError> {
    match secret_storage::backup_key(&context.homeserver, StorageInput::RecoveryKey(text)).await? {
        FromStorage::Key(key) if fits(&key) => Ok(key),
        FromStorage::Unsupported => Err(UnlockError::Unsupported),
        _ => Err(UnlockError::WrongKey),
    }
}

async fn from_passphrase(
    context: &Context,
    current: Option<&VersionInfo>,
    text: SecretString,
    fits: impl Fn(&KeyBytes) -> bool,
) -> Result<KeyBytes, UnlockError> {
    let mut failure = UnlockError::NoPassphrase;
    if let Some(passphrase) = current.and_then(|info| info.passphrase.clone()) {
        let text = text.clone();
        match blocking(move || recovery_key::derive(text.expose(), &passphrase)).await {
            Some(Ok(key)) if fits(&key) => return Ok(key),
            Some(Ok(_)) => failure = UnlockError::WrongKey,
            Some(Err(_)) | None => failure = UnlockError::Unsupported,
        }
    }
    match secret_storage::backup_key(&context.homeserver, StorageInput::Passphrase(text)).await? {
        FromStorage::Key(key) if fits(&key) => Ok(key),
        FromStorage::Key(_) | FromStorage::WrongSecret => Err(UnlockError::WrongKey),
        FromStorage::NothingToTry => Err(failure),
        FromStorage::Unsupported => Err(UnlockError::Unsupported),
    }
}
