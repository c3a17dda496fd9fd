//! Requests to the homeserver, with time limits for a user who waits for the answer.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::{
    PreferenceForm,
    wire::{FormReading, Reading},
};
use crate::{
    homeserver::{Homeserver, HomeserverError, Retry, TransportError},
    job::{AccessError, RunBudget},
};

/// How long a user should wait for an answer in a settings screen, or at sign-in.
const INTERACTIVE: Duration = Duration::from_secs(10);

/// How long an attempt in the background may take if the budget sets no limit.
const BACKGROUND: Duration = Duration::from_secs(120);

/// How long an attempt may take.
#[derive(Clone, Copy, Debug)]
pub(super) enum TimeLimit {
    /// As long as a user should wait for requests; a question to the user has no limit.
    Interactive,
    /// Until this moment, including the host's answer to a question.
    Until(Instant),
}

impl TimeLimit {
    /// Returns the time limit that a budget sets, from now on.
    pub(super) fn of(budget: RunBudget) -> Self {
        let limit = budget.max_duration.map_or(BACKGROUND, Duration::from);
        let now = Instant::now();
        Self::Until(now.checked_add(limit).unwrap_or(now + BACKGROUND))
    }

    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Interactive => Some(Instant::now() + INTERACTIVE),
            Self::Until(deadline) => Some(deadline),
        }
    }

    /// Returns the deadline for a question to the user; `None` if the user may take any time.
    pub(super) fn deadline_of_a_question(self) -> Option<Instant> {
        match self {
            Self::Interactive => None,
            Self::Until(deadline) => Some(deadline),
        }
    }
}

/// Reads both forms from the server.
pub(super) async fn read_both(homeserver: &Homeserver) -> Result<Reading, HomeserverError> {
    let (stable, unstable) = tokio::try_join!(
        read_form(homeserver, PreferenceForm::Stable),
        read_form(homeserver, PreferenceForm::Unstable)
    )?;
    Ok(Reading { stable, unstable })
}

async fn read_form(homeserver: &Homeserver, form: PreferenceForm) -> Result<FormReading, HomeserverError> {
    let content = homeserver.account_data_as_it_is(form.event_type()).await?;
    Ok(form.read(content.as_ref()))
}

/// Asks the server whether the account has a key backup.
pub(super) async fn backup_exists(homeserver: &Homeserver) -> Result<bool, AccessError> {
    let ask = patiently(|| homeserver.current_version());
    match until_deadline(TimeLimit::Interactive.deadline(), ask).await {
        Some(Ok(_)) => Ok(true),
        Some(Err(HomeserverError::NotFound)) => Ok(false),
        Some(Err(error)) => Err(error.into()),
        None => Err(HomeserverError::from(TransportError::Timeout).into()),
    }
}

/// Returns the retries that a user has patience for.
pub(super) fn soon() -> Retry {
    Retry::while_a_user_waits()
}

/// Makes a request, and tries again after failures that pass soon and by themselves.
pub(super) async fn patiently<T, F>(request: impl Fn() -> F) -> Result<T, HomeserverError>
where
    F: Future<Output = Result<T, HomeserverError>>,
{
    soon().request(request).await.map_err(|given_up| given_up.error)
}

/// Does `work` until the deadline. Returns `None` if the deadline comes first.
pub(super) async fn until_deadline<T>(deadline: Option<Instant>, work: impl Future<Output = T>) -> Option<T> {
    match deadline {
        Some(deadline) => timeout_at(deadline, work).await.ok(),
        None => Some(work.await),
    }
}
