//! What has to be true before a reset begins, and what it is then that is stored.

use base64::Engine;

use super::{
    error::ResetError,
    parties::{Parties, ResetCrypto},
    readiness::{Holdings, not_accepted},
    records::{KeyLoss, ResetCause, ResetReadiness, ResetStop},
    secrets::{BACKUP_SECRET, default_storage_key},
    steps::{Move, OldVersion},
};
use crate::{
    backup::{base64::BASE64, version::VersionInfo},
    crypto::CryptoError,
    homeserver::{HomeserverError, Retry},
    job::AccessError,
    preference::PreferenceWrite,
    random::random,
    secret::SecretString,
    vault::Connection,
};

/// Returns what a reset would mean.
pub(super) async fn prepare(parties: &Parties, cause: ResetCause) -> Result<ResetReadiness, AccessError> {
    let has_backup = match current_version(parties).await {
        Ok(info) => Some(info.is_some()),
        Err(error) => {
            log::info!("the readiness for a reset is told from the vault alone: {error}");
            None
        }
    };
    let source = match &parties.crypto {
        Some(crypto) => crypto.source.count_room_keys().await.ok(),
        None => None,
    };
    let (holdings, is_known) = holdings(parties).await?;
    let can_keep_secrets = parties.context.vault.keeps_secrets();
    Ok(holdings.readiness(cause, has_backup.unwrap_or(is_known), source, can_keep_secrets))
}

/// Begins to create a backup.
pub(super) async fn create(parties: &Parties) -> Result<(), ResetError> {
    let stopped = check(parties).await?;
    if current_version(parties).await?.is_some() {
        return Err(ResetError::BackupExists);
    }
    begin(parties, None, None, stopped).await
}

/// Begins to move the backup to a new key.
pub(super) async fn move_to_a_new_key(
    parties: &Parties,
    cause: ResetCause,
    accepted: &[KeyLoss],
) -> Result<(), ResetError> {
    let stopped = check(parties).await?;
    let current = current_version(parties).await?.ok_or(AccessError::NoBackup)?;
    let losses = not_accepted(&holdings(parties).await?.0.losses(), accepted);
    if !losses.is_empty() {
        return Err(ResetError::LosesKeys { losses });
    }
    begin(parties, Some(cause), Some(OldVersion::from(&current)), stopped).await
}

/// Puts new secret storage around the key of the current version.
pub(super) async fn rotate_storage(parties: &Parties) -> Result<(), ResetError> {
    let crypto = crypto_of(parties)?;
    let current = current_version(parties).await?.ok_or(AccessError::NoBackup)?;
    let keys = parties.context.keys.clone();
    let find = move |vault: &mut Connection| {
        let keys = keys.snapshot(vault)?;
        let versions = vault.versions()?;
        let mut same = versions
            .iter()
            .filter(|version| version.public_key == current.public_key);
        Ok(same.find_map(|version| Some(keys.get(version.id)?.as_bytes().clone())))
    };
    let key = parties.jobs.read(find).await?.ok_or(AccessError::Locked)?;
    let homeserver = &parties.context.homeserver;
    let before = default_storage_key(homeserver).await?;
    crypto.secrets.prepare_storage(true).await?;
    let secret = SecretString::from(BASE64.encode(key.as_slice()));
    let name = || BACKUP_SECRET.to_owned();
    crypto.secrets.write_secret(name(), secret.clone()).await?;
    let read = crypto.secrets.read_secret(name()).await?;
    let after = default_storage_key(homeserver).await?;
    if after.is_none() || after == before {
        return Err(CryptoError::Refused {
            reason: "secret storage was not renewed".to_owned(),
        }
        .into());
    }
    match read == Some(secret) {
        true => Ok(()),
        false => Err(ResetError::Halted {
            why: ResetStop::SecretStorageChanged,
        }),
    }
}

pub(super) fn crypto_of(parties: &Parties) -> Result<&ResetCrypto, AccessError> {
    parties.crypto.as_ref().ok_or(AccessError::NotConfigured)
}

/// Checks what every reset needs, and returns the one that was stopped before.
async fn check(parties: &Parties) -> Result<Option<Move>, ResetError> {
    crypto_of(parties)?;
    if !parties.context.vault.keeps_secrets() {
        return Err(ResetError::CannotKeepSecrets);
    }
    let last = parties.jobs.read(|vault| vault.backup_move()).await?.map(Move::from);
    match last {
        Some(last) if last.is_under_way() => Err(ResetError::UnderWay),
        last => Ok(last.filter(|last| last.stopped.is_some())),
    }
}

/// Makes sure that backups are on, and stores the reset.
async fn begin(
    parties: &Parties,
    cause: Option<ResetCause>,
    old: Option<OldVersion>,
    stopped: Option<Move>,
) -> Result<(), ResetError> {
    set_preference(parties, true).await?;
    let state = match stopped {
        Some(stopped) => stopped.begin_again(cause, old),
        None => {
            let storage = default_storage_key(&parties.context.homeserver).await?;
            Move::new(cause, old, random::<32>(), storage)
        }
    };
    let row = (&state).into();
    parties
        .jobs
        .write(move |vault| vault.write(|tx| tx.keep_move(&row)))
        .await?;
    Ok(())
}

/// Writes the preference, and fails unless the server has it. An app that takes no part in it has none to write.
pub(super) async fn set_preference(parties: &Parties, enabled: bool) -> Result<(), ResetError> {
    match parties.preference.set_enabled(enabled).await {
        Ok(PreferenceWrite::Written) | Err(AccessError::NotConfigured) => Ok(()),
        Ok(_) => Err(ResetError::PreferenceNotConfirmed),
        Err(error) => Err(error.into()),
    }
}

/// Asks the server for its current version, and notes it in the vault. Returns `None` if it has none.
pub(super) async fn current_version(parties: &Parties) -> Result<Option<VersionInfo>, ResetError> {
    let homeserver = &parties.context.homeserver;
    let asked = Retry::while_a_user_waits().request(|| homeserver.current_version());
    let info = match asked.await {
        Ok(info) => info,
        Err(given_up) if given_up.error == HomeserverError::NotFound => return Ok(None),
        Err(given_up) => return Err(given_up.error.into()),
    };
    let noted = info.clone();
    let note = move |vault: &mut Connection| {
        vault.write(|tx| {
            let current = tx.note_current_version(&noted)?;
            tx.begin_with(current.id)
        })
    };
    parties.jobs.write(note).await?;
    Ok(Some(info))
}

/// Reads what the vault holds, and whether it knows any version.
pub(super) async fn holdings(parties: &Parties) -> Result<(Holdings, bool), AccessError> {
    let keys = parties.context.keys.clone();
    let read = move |vault: &mut Connection| Ok((Holdings::read(vault, &keys)?, vault.current_version()?.is_some()));
    parties.jobs.read(read).await
}
