//! Unlocking: from what a user or an app has to the backup's decryption key.
//!
//! A recovery key may be the key of secret storage or the decryption key itself, in the same form: both are tried. What
//! counts in the end is that the public half equals the one that the backup names.

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
    homeserver::{HomeserverError, Meaning},
    job::{Jobs, NoAccess},
    secret::{KeyBytes, SecretString},
    vault::{Connection, VaultMeaning, VersionRow},
};

/// What a user or an app has to unlock a backup with.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
#[uniffi::export(Debug)]
pub enum UnlockSecret {
    /// What the user typed as recovery key (or security key): base58, in any spacing, of secret storage or of the backup.
    RecoveryKey {
        /// The text as typed.
        text: SecretString,
    },
    /// What the user typed as passphrase (or security phrase): of secret storage, or of an old backup. Takes a second or
    /// more of key derivation on a phone.
    Passphrase {
        /// The text as typed.
        text: SecretString,
    },
    /// The decryption key itself, as apps get it by gossip, by QR login or from their own store.
    DecryptionKey {
        /// Base64 of 32 bytes, padded or not.
        base64: SecretString,
    },
}

/// A backup that has been unlocked.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct UnlockedBackup {
    /// The newest of the versions that the key opens.
    pub version: String,
    /// Keys in it, as the server says.
    pub total: u64,
    /// All versions that the key opens, the oldest first: a backup may have been made again with the key of another.
    pub versions: Vec<String>,
    /// The key is only in memory: after a restart the user will be asked again.
    pub restart_needs_recovery_key: bool,
}

/// A backup could not be unlocked. A key that was there before is still there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, uniffi::Error)]
#[uniffi::export(Display)]
#[non_exhaustive]
pub enum UnlockError {
    /// The text is not of the form of a recovery key, or of a decryption key.
    #[error("this is no recovery key")]
    NotAKey,
    /// It looks like a recovery key, and a character is wrong or missing: ask the user to check it.
    #[error("the recovery key has a typing error")]
    Mistyped,
    /// The key or the passphrase is sound, and opens no version of the backup that is known.
    #[error("the key does not fit the backup")]
    WrongKey,
    /// Neither secret storage nor the backup was set up with a passphrase: ask for the recovery key.
    #[error("there is no passphrase to unlock with")]
    NoPassphrase,
    /// The account has no key backup on the server.
    #[error("there is no key backup")]
    NoBackup,
    /// The backup, or its key derivation, is not one that this version of the crate takes.
    #[error("the backup cannot be unlocked by this version")]
    Unsupported,
    /// The homeserver cannot be reached, or something else answers in its place. Passes by itself.
    #[error("the homeserver cannot be reached")]
    Unreachable,
    /// The homeserver was reached, and answers with a fault (5xx). Try again later.
    #[error("the homeserver has a fault")]
    ServerFault,
    /// The access token is not accepted, or the app gave none.
    #[error("the account is not signed in")]
    NotSignedIn {
        /// The server says that the device is still known.
        soft_logout: bool,
    },
    /// The homeserver refuses the request.
    #[error("the homeserver refuses the request")]
    Refused,
    /// The vault cannot be written now: another process writes for longer than five seconds, the disk is full, or the phone is
    /// locked. Passes by itself.
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

impl From<NoAccess> for UnlockError {
    fn from(reason: NoAccess) -> Self {
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

impl From<HomeserverError> for UnlockError {
    fn from(error: HomeserverError) -> Self {
        match error.meaning() {
            Meaning::NothingThere => Self::NoBackup,
            Meaning::NotSignedIn { soft_logout } => Self::NotSignedIn { soft_logout },
            Meaning::Refused => Self::Refused,
            Meaning::Passes => Self::Unreachable,
            Meaning::ServerFault => Self::ServerFault,
        }
    }
}

/// Finds the decryption key of a backup version, and keeps it.
pub(crate) async fn unlock(jobs: &Jobs, secret: UnlockSecret) -> Result<UnlockedBackup, UnlockError> {
    let context = jobs.context().ok_or(UnlockError::ShutDown)?;
    // A typing error is told before anything is asked of the network.
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

/// Those of the versions that a key opens.
fn opened_by(versions: &[VersionRow], key: &KeyBytes) -> Vec<VersionRow> {
    let public_key = *BackupDecryptionKey::from_bytes(key).public_key();
    let opened = versions.iter().filter(|version| version.public_key == Some(public_key));
    opened.cloned().collect()
}

/// The versions that are known, with the one that the server says is current. Where it does not say, those that are known
/// are enough.
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
