//! One request beside a run, if it may be made now, and given up as soon as it may not.

use std::{sync::Arc, time::Duration};

use super::{OnDemand, OnDemandError};
use crate::{
    backup::{limits::MAX_ASKED_WAIT, version::VersionInfo},
    context::Context,
    download::KeyDownload,
    homeserver::HomeserverError,
    job::{AtWork, Jobs, PauseCause, Work},
    vault::{Connection, VaultError, VersionRow},
};

/// How long the server is left in peace after a 429 that does not say.
const USUAL_PATIENCE: Duration = Duration::from_secs(5);

/// What has become of a version.
pub(super) enum SameVersion {
    /// It is there, and its mark is the same.
    Still(Box<VersionRow>),
    /// It is there, and its mark has moved.
    Moved,
    /// It is gone, or another backup has its number.
    Gone,
}

/// The right to ask, as long as it lasts.
pub(super) struct Asking<'a> {
    pub(super) context: Arc<Context>,
    jobs: &'a Jobs,
    download: &'a KeyDownload,
    _at_work: AtWork,
}

impl OnDemand {
    /// Whether the server may be asked now.
    pub(super) async fn asking(&self) -> Result<Asking<'_>, OnDemandError> {
        let context = self.jobs.context().ok_or(OnDemandError::ShutDown)?;
        let asking = Asking {
            context,
            jobs: &self.jobs,
            download: &self.download,
            _at_work: self.jobs.begin_request(),
        };
        if let Some(refusal) = asking.refusal() {
            return Err(refusal);
        }
        match asking.vault(|vault| vault.retry_after()).await? {
            Some(wait) => Err(OnDemandError::Unreachable {
                retry_after_ms: Some(wait.as_millis() as u64),
            }),
            None => Ok(asking),
        }
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if self.jobs.current().is_none() {
            self.context.homeserver.close_idle();
        }
    }
}

impl Asking<'_> {
    /// The version that is worked on, else the newest that is known to be there; the server is asked where the vault knows of
    /// none.
    pub(super) async fn version(&self) -> Result<VersionRow, OnDemandError> {
        let known = self.vault(|vault| {
            let current = vault.current_version()?.filter(|version| !version.gone);
            let newest = vault.versions()?.into_iter().rev().find(|version| !version.gone);
            Ok(current.or(newest))
        });
        match known.await? {
            Some(version) => Ok(version),
            None => self.current_version().await,
        }
    }

    /// Whether a version is as it was, asked for by its number. Where the server has nothing, that is an answer only of a version
    /// that is there.
    pub(super) async fn same_version(&self, version: &VersionRow) -> Result<SameVersion, OnDemandError> {
        let info = match self.server(self.context.homeserver.version(&version.version)).await {
            Ok(info) => info,
            Err(OnDemandError::NoBackup) => return Ok(SameVersion::Gone),
            Err(error) => return Err(error),
        };
        let now = self
            .vault(move |vault| vault.write(|tx| tx.note_version(&info)))
            .await?;
        Ok(match now.id == version.id {
            true if now.era == version.era => SameVersion::Still(Box::new(now)),
            true => SameVersion::Moved,
            false => SameVersion::Gone,
        })
    }

    /// The version that the server says is current.
    pub(super) async fn current_version(&self) -> Result<VersionRow, OnDemandError> {
        let info: VersionInfo = self.server(self.context.homeserver.current_version()).await?;
        let keys = self.context.keys.clone();
        self.vault(move |vault| {
            let version = vault.write(|tx| tx.note_current_version(&info))?;
            match keys.known_for(&version, vault)? {
                Some(key) => {
                    keys.insert(version.id, key.as_bytes());
                    vault.write(|tx| tx.adopt_key(&version, key.as_bytes()))
                }
                None => Ok(version),
            }
        })
        .await
    }

    /// One request.
    pub(super) async fn server<T>(
        &self,
        request: impl Future<Output = Result<T, HomeserverError>>,
    ) -> Result<T, OnDemandError> {
        let mut restraints = self.jobs.gate.changes();
        let error = tokio::select! {
            biased;
            // The sender lives as long as the download: the wait cannot fail.
            _ = restraints.wait_for(|now| !now.allows(Work::AskServer)) => {
                return Err(self.refusal().unwrap_or(OnDemandError::Unreachable { retry_after_ms: None }));
            }
            answer = request => match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            },
        };
        let HomeserverError::RateLimited { retry_after } = error else {
            return Err(error.into());
        };
        let wait = retry_after.unwrap_or(USUAL_PATIENCE).min(MAX_ASKED_WAIT);
        self.vault(move |vault| vault.write(|tx| tx.keep_retry_after(wait)))
            .await?;
        Err(OnDemandError::Unreachable {
            retry_after_ms: Some(wait.as_millis() as u64),
        })
    }

    /// Whether the vault has taken all that it may.
    pub(super) async fn look_at_the_disk(&self) -> Result<(), OnDemandError> {
        let conditions = *self.jobs.gate.now().conditions();
        match self.vault(move |vault| conditions.is_vault_full(vault)).await? {
            true => Err(OnDemandError::OnHold {
                causes: vec![PauseCause::DiskLimit],
            }),
            false => Ok(()),
        }
    }

    /// One piece of work with the vault.
    pub(super) async fn vault<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Connection) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, OnDemandError> {
        Ok(self.jobs.write(work).await?)
    }

    /// New entries of a room are in the vault: a run opens and delivers them.
    pub(super) async fn has_fetched(&self, room_id: &str) {
        self.download.room_has_come(room_id).await;
    }

    /// Why the server may not be asked now.
    fn refusal(&self) -> Option<OnDemandError> {
        let restraints = self.jobs.gate.now();
        if restraints.allows(Work::AskServer) {
            return None;
        }
        let causes = restraints.causes();
        let causes: Vec<_> = causes.iter().filter(|cause| cause.stops(Work::AskServer)).collect();
        Some(if causes.is_empty() {
            OnDemandError::ShutDown
        } else {
            OnDemandError::OnHold { causes }
        })
    }
}
