//! One request beside a run: made only if requests are allowed now, and given up as soon as they are not.

use std::sync::Arc;

use super::OnDemand;
use crate::{
    backup::version::VersionInfo,
    context::Context,
    download::KeyDownload,
    homeserver::{HomeserverError, silence_after},
    job::{AccessError, AtWork, Jobs, PauseCause, Work},
    vault::{Connection, VaultError, VersionRow},
};

/// The result of checking a version again.
pub(super) enum SameVersion {
    /// The version is there, and its mark is the same.
    Still(Box<VersionRow>),
    /// The version is there, and its mark has moved.
    Moved,
    /// The version is gone, or another backup has its number.
    Gone,
}

/// Permission to make requests. Counts as a request in flight until it is dropped.
pub(super) struct Asking<'a> {
    pub(super) context: Arc<Context>,
    jobs: &'a Jobs,
    download: &'a KeyDownload,
    _at_work: AtWork,
}

impl OnDemand {
    /// Returns permission to make requests, or the reason why none may be made now.
    pub(super) async fn asking(&self) -> Result<Asking<'_>, AccessError> {
        let context = self.jobs.context().ok_or(AccessError::ShutDown)?;
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
            Some(wait) => Err(AccessError::Unreachable {
                retry_after: Some(wait.into()),
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
    /// Returns the version that runs work on, or else the newest one that is not known to be gone. Asks the server if
    /// the vault has neither.
    pub(super) async fn version(&self) -> Result<VersionRow, AccessError> {
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

    /// Asks the server for a version by its number, and returns whether it has changed. Call it if the server had
    /// nothing: that answer counts only if the version is still there.
    pub(super) async fn same_version(&self, version: &VersionRow) -> Result<SameVersion, AccessError> {
        let info = match self.server(self.context.homeserver.version(&version.version)).await {
            Ok(info) => info,
            Err(AccessError::NoBackup) => return Ok(SameVersion::Gone),
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

    /// Asks the server for the current version, and notes it in the vault.
    pub(super) async fn current_version(&self) -> Result<VersionRow, AccessError> {
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

    /// Makes one request. Drops it if requests are not allowed any more, and notes the wait after a 429.
    pub(super) async fn server<T>(
        &self,
        request: impl Future<Output = Result<T, HomeserverError>>,
    ) -> Result<T, AccessError> {
        let mut restraints = self.jobs.gate.changes();
        let error = tokio::select! {
            biased;
            // The sender lives as long as the download: the wait cannot fail.
            _ = restraints.wait_for(|now| !now.allows(Work::AskServer)) => {
                return Err(self.refusal().unwrap_or(AccessError::Unreachable { retry_after: None }));
            }
            answer = request => match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            },
        };
        if let Some(wait) = silence_after(&error) {
            self.vault(move |vault| vault.write(|tx| tx.keep_retry_after(wait)))
                .await?;
        }
        Err(error.into())
    }

    /// Fails if the vault has reached its size limit.
    pub(super) async fn check_disk_limit(&self) -> Result<(), AccessError> {
        let conditions = *self.jobs.gate.now().conditions();
        let is_full = move |vault: &mut Connection| conditions.is_vault_full(vault);
        match conditions.has_vault_limit() && self.vault(is_full).await? {
            true => Err(AccessError::OnHold {
                causes: vec![PauseCause::DiskLimit],
            }),
            false => Ok(()),
        }
    }

    /// Does one piece of work with the vault.
    pub(super) async fn vault<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Connection) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, AccessError> {
        self.jobs.write(work).await
    }

    /// Reports that new entries of a room are in the vault, so that a run opens and delivers them.
    pub(super) async fn announce_fetched(&self, room_id: &str) {
        self.download.room_arrived(room_id).await;
    }

    /// Returns the reason why the server may not be asked now; `None` if it may.
    fn refusal(&self) -> Option<AccessError> {
        let restraints = self.jobs.gate.now();
        if restraints.allows(Work::AskServer) {
            return None;
        }
        let causes = restraints.causes();
        let causes: Vec<_> = causes.iter().filter(|cause| cause.stops(Work::AskServer)).collect();
        Some(if causes.is_empty() {
            AccessError::ShutDown
        } else {
            AccessError::OnHold { causes }
        })
    }
}
