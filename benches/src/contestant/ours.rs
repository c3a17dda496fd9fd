//! keyferry on an empty vault, up to a given goal.

use std::{path::Path, sync::Arc};

use keyferry::{OlmMachineSink, ReqwestTransport, RoomKeySink, RunBudget, RunOutcome};
use tokio::runtime::Runtime;

use crate::{
    Failure,
    account::Account,
    app, child,
    sdk::{StoreKey, open_machine},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    Fetched,
    Opened,
    Delivered(StoreKey, Voice),
}

/// Whether the sink announces new sessions to the machine's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Voice {
    Announced,
    Silent,
}

pub(crate) fn run(account: &Account, goal: Goal) -> Result<(), Failure> {
    let (runtime, directory) = (Runtime::new()?, tempfile::tempdir()?);
    // Without it, dropping the crypto store aborts the process.
    let _context = runtime.enter();
    let sink: Option<Arc<dyn RoomKeySink>> = match goal {
        Goal::Delivered(key, voice) => {
            let machine = runtime.block_on(open_machine(account, &directory.path().join("store"), key))?;
            let sink = match key {
                StoreKey::None => OlmMachineSink::new(machine).by_session_id(),
                StoreKey::Some => OlmMachineSink::new(machine),
            };
            Some(Arc::new(match voice {
                Voice::Announced => sink,
                Voice::Silent => sink.silent(),
            }))
        }
        Goal::Fetched | Goal::Opened => None,
    };
    let data_dir = directory.path().join("vault");
    // Not part of the measurement: it reads the system's certificates, which an app has done before.
    let transport = ReqwestTransport::new()?;
    child::answer(transport, |transport| {
        runtime.block_on(restore(account, goal, &data_dir, transport, sink))
    })
}

async fn restore(
    account: &Account,
    goal: Goal,
    data_dir: &Path,
    transport: ReqwestTransport,
    sink: Option<Arc<dyn RoomKeySink>>,
) -> Result<(), Failure> {
    let client = app::open(account, data_dir, Arc::new(transport), sink).await?;
    if goal != Goal::Fetched {
        app::unlock(&client, account).await?;
    }
    let report = client.download().run(RunBudget { max_duration: None }).await;
    let (is_wanted, reached) = match (goal, &report.outcome) {
        (Goal::Fetched, RunOutcome::NeedsUnlock { .. }) => (true, report.summary.fetched),
        (Goal::Opened, RunOutcome::Completed { .. }) => (true, report.summary.opened),
        (Goal::Delivered(..), RunOutcome::Completed { .. }) => (true, report.summary.delivered),
        _ => (false, report.summary.fetched),
    };
    if is_wanted && reached == account.keys {
        Ok(())
    } else {
        Err(format!("{:?} with {reached} keys", report.outcome).into())
    }
}
