//! The step that creates the new version: steps that belong together, from a look at the current version to the next
//! look at it.

use std::time::Duration;

use base64::Engine;
use serde_json::{Value, json};

use super::{
    records::ResetStop,
    segment::{Halt, Segment, change_move},
    steps::{Look, Move},
};
use crate::{
    backup::{base64::BASE64, version::VersionInfo},
    crypto::CryptoError,
    homeserver::{HomeserverError, Retry},
    job::JobEnd,
    upload::end_of,
    vault::VaultError,
};

/// Time that must be left to begin: until the key is published, only this device has the key of the current version.
const LEAST_TIME: Duration = Duration::from_secs(60);

impl Segment {
    /// Creates a version with the new key, and finds out what the server then calls the current one.
    pub(super) async fn switch(&self, mut state: Move) -> Result<(), Halt> {
        // Half done it must be finished, however little time is left.
        if !state.has_begun_to_switch() && self.time_left().is_some_and(|left| left < LEAST_TIME) {
            return Err(JobEnd::OutOfBudget.into());
        }
        let mut retry = Retry::with_network(None);
        loop {
            let current = self.current_version().await?;
            match (state.look(current.as_ref()), current) {
                (Look::Created, Some(info)) => return self.adopt(&state, info).await,
                (Look::Post, _) => {
                    state = match self.post(&state).await? {
                        Posted::Answered(state) => state,
                        Posted::Lost(error, state) => {
                            let wait = self.stop.unless_winding_down(retry.wait(error)).await;
                            wait.ok_or(Halt::Stopped)?
                                .map_err(|given_up| Halt::Job(end_of(&given_up)))?;
                            state
                        }
                    };
                }
                (Look::GiveUp(ours), _) => {
                    for number in ours {
                        self.ask_for(|| self.homeserver().delete_version(&number)).await?;
                    }
                    return self.halt(ResetStop::OldVersionStays).await;
                }
                (Look::Overtaken | Look::Created, _) => return self.halt(ResetStop::Overtaken).await,
            }
        }
    }

    /// Asks the server once to create the version. That it does is stored before, because its answer may be lost.
    async fn post(&self, state: &Move) -> Result<Posted, Halt> {
        let auth_data = self.signed(state).await?;
        self.change(Move::announce_post).await?;
        let posted = self
            .stop
            .unless_stopped(self.homeserver().create_version(&auth_data))
            .await;
        match posted.ok_or(Halt::Stopped)? {
            Ok(number) => {
                let noted = self.change(move |state| state.note_post(Some(number))).await?;
                Ok(Posted::Answered(noted))
            }
            Err(error) => {
                let state = match has_no_effect(&error) {
                    true => self.change(|state| state.note_post(None)).await?,
                    false => self.state().await?.ok_or(VaultError::Corrupt)?,
                };
                Ok(Posted::Lost(error, state))
            }
        }
    }

    /// Returns `auth_data` with the signatures of the app's crypto.
    async fn signed(&self, state: &Move) -> Result<Value, Halt> {
        let unsigned = json!({ "public_key": BASE64.encode(state.public_key) });
        let signed = self
            .wait_for_app(self.crypto.signer.sign_auth_data(unsigned.to_string()))
            .await?;
        match serde_json::from_str::<Value>(&signed) {
            Ok(auth_data) if auth_data["public_key"] == unsigned["public_key"] => Ok(auth_data),
            _ => Err(CryptoError::Refused {
                reason: "the signed auth_data is not what was to be signed".to_owned(),
            }
            .into()),
        }
    }

    /// Takes the version as the one to work on.
    async fn adopt(&self, state: &Move, info: VersionInfo) -> Result<(), Halt> {
        let (key, keys) = (state.key.clone(), self.context.keys.clone());
        self.in_vault(move |writer| {
            let version = writer.write(|tx| {
                let version = tx.begin_version(&info)?;
                tx.keep_key(&version, &key)?;
                change_move(tx, |state| state.mark_created(version.id, info.mark()))?;
                Ok(version.id)
            })?;
            keys.insert(version, &key);
            Ok(())
        })
        .await?;
        Ok(())
    }
}

/// What became of a request to create a version.
enum Posted {
    Answered(Move),
    /// There was no usable answer. The version may exist all the same.
    Lost(HomeserverError, Move),
}

/// Whether the server has certainly created no version.
fn has_no_effect(error: &HomeserverError) -> bool {
    matches!(
        error,
        HomeserverError::RateLimited { .. }
            | HomeserverError::NotSignedIn { .. }
            | HomeserverError::SignedOut
            | HomeserverError::NoTokenNow
            | HomeserverError::Forbidden
            | HomeserverError::NotFound
            | HomeserverError::NoSuchEndpoint
            | HomeserverError::Refused { .. }
            | HomeserverError::RequestTooLarge
    )
}
