//! One call of `flush`: asks the server and the app's crypto where uploads go, and carries pages of keys there, as long as
//! the app and the OS allow it.

use std::sync::Arc;

use base64::Engine;

use super::{
    flush::{Flush, flush},
    records::{UploadHindrance, UploadOutcome},
    send::{SendEnd, end_of},
};
use crate::{
    backup::{base64::BASE64, version::VersionInfo},
    context::Context,
    crypto::{BackupTarget, CryptoError, RoomKeySource},
    homeserver::{HomeserverError, Retry},
    job::{ActiveRun, BlockedReason, JobEnd, PhaseEnd, StopSignal, in_writer},
    vault::{VaultError, VersionRow, Writer},
};

/// How an upload ended that did all it could.
pub(super) enum Flushed {
    All,
    Hindered(UploadHindrance),
    /// By the app's crypto, for this reason.
    Refused(String),
}

impl From<Flushed> for UploadOutcome {
    fn from(flushed: Flushed) -> Self {
        match flushed {
            Flushed::All => Self::Completed,
            Flushed::Hindered(by) => Self::Hindered { by },
            Flushed::Refused(reason) => Self::CryptoRefuses { reason },
        }
    }
}

/// What hinders uploads to the server's current version by a crypto that uses this backup.
pub(super) fn hindrance(current: Option<&VersionInfo>, in_use: Option<&BackupTarget>) -> Option<UploadHindrance> {
    match (current, in_use) {
        (None, _) => Some(UploadHindrance::NoBackup),
        (_, None) => Some(UploadHindrance::NotInUse),
        (Some(current), Some(in_use)) => {
            let public_key = current.public_key.map(|key| BASE64.encode(key));
            let is_same = current.version == in_use.version && public_key.as_ref() == Some(&in_use.public_key);
            (!is_same).then_some(UploadHindrance::OtherBackup)
        }
    }
}

/// Uploads pages in phases, as long as the app and the OS allow it.
pub(super) async fn work(
    mut turn: ActiveRun,
    context: Arc<Context>,
    source: Arc<dyn RoomKeySource>,
    uploaded: &mut u64,
) -> Result<Flushed, JobEnd> {
    loop {
        let phase = turn.begin_phase().await?;
        let writer = turn.writer.clone();
        let stage = async {
            let asked = Asked::of(&context, &*source, &phase.stop).await?;
            let info = match asked {
                Asked::Hindered(by) => return Ok(Flushed::Hindered(by)),
                Asked::Current(info) => info,
            };
            let keys = context.keys.clone();
            let note = move |writer: &mut Writer| -> Result<(VersionRow, _), VaultError> {
                keys.load(writer.reader())?;
                let version = writer.write(|tx| tx.note_current_version(&info))?;
                let key = keys.get(version.id);
                Ok((version, key))
            };
            let (version, key) = in_writer(&writer, note).await?;
            let pages = Flush {
                homeserver: &context.homeserver,
                source: &*source,
                stop: &phase.stop,
                vault: &context.vault,
                run: &writer,
                version: &version,
                key,
            };
            flush(&pages, uploaded).await.map(|()| Flushed::All)
        };
        match turn.work(&phase, stage).await {
            PhaseEnd::Changed(Err(SendEnd::Stopped)) => {}
            PhaseEnd::Over(Err(SendEnd::Stopped)) => return Err(turn.end()),
            PhaseEnd::Changed(result) | PhaseEnd::Over(result) => {
                return match result {
                    Ok(flushed) => Ok(flushed),
                    Err(SendEnd::NotCurrent | SendEnd::Changed) => Ok(Flushed::Hindered(UploadHindrance::OtherBackup)),
                    Err(SendEnd::Crypto(CryptoError::Refused { reason })) => Ok(Flushed::Refused(reason)),
                    Err(SendEnd::Crypto(CryptoError::Unavailable { .. })) => {
                        Err(JobEnd::blocked(BlockedReason::CryptoUnavailable, None))
                    }
                    Err(SendEnd::Job(end)) => Err(end),
                    Err(SendEnd::Stopped) => Err(turn.end()),
                };
            }
        }
    }
}

/// What the server and the app's crypto say before anything is uploaded.
enum Asked {
    Current(VersionInfo),
    Hindered(UploadHindrance),
}

impl Asked {
    async fn of(context: &Context, source: &dyn RoomKeySource, stop: &StopSignal) -> Result<Self, SendEnd> {
        let asked = Retry::with_network(None).request(|| context.homeserver.current_version());
        let current = match stop.unless_stopped(asked).await.ok_or(SendEnd::Stopped)? {
            Ok(info) => Some(info),
            Err(given_up) if given_up.error == HomeserverError::NotFound => None,
            Err(given_up) => return Err(SendEnd::Job(end_of(&given_up))),
        };
        let in_use = stop
            .unless_stopped(source.backup_in_use())
            .await
            .ok_or(SendEnd::Stopped)?;
        let in_use = in_use.map_err(SendEnd::Crypto)?;
        Ok(match (hindrance(current.as_ref(), in_use.as_ref()), current) {
            (None, Some(info)) => Self::Current(info),
            (by, _) => Self::Hindered(by.unwrap_or(UploadHindrance::NoBackup)),
        })
    }
}
