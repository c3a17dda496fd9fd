//! Measures how long a pause takes, from the call to its return, while a run is at work.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use keyferry::{OlmMachineSink, PauseCause, ReqwestTransport, RoomKeySink, RunBudget, RunOutcome};
use keyferry_test_homeserver::{Config, EndpointKind, Fault, FaultKind};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use super::dice::Dice;
use crate::{
    Failure,
    account::Account,
    app::{self, TakesAll},
    child,
    homeserver::Homeserver,
    sdk::{StoreKey, open_machine},
    statistics::{Spread, percentile},
    table::Table,
    targets::Target,
};

pub(super) const NAME: &str = "pause";

/// Enough that a run still has work when the pause comes, and few enough that it requests all of them at once.
const KEYS: u64 = 120_000;
const CHILDREN: u64 = 4;
const PAUSES_OF_A_CHILD: usize = 30;
/// The time after which a pause comes, in milliseconds.
const MOMENTS: Range<u64> = 20..600;

struct Stage {
    name: &'static str,
    server_is_silent: bool,
    sink: Sink,
    /// The target for the 99th percentile: at most this many milliseconds.
    most_ms: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Sink {
    TakesAll { delay_ms: u64 },
    MatrixSdk,
}

const AT_ONCE: Sink = Sink::TakesAll { delay_ms: 0 };

const STAGES: [Stage; 4] = [
    Stage {
        name: "all stages at work",
        server_is_silent: false,
        sink: AT_ONCE,
        most_ms: 50.0,
    },
    Stage {
        name: "silent server",
        server_is_silent: true,
        sink: AT_ONCE,
        most_ms: 50.0,
    },
    Stage {
        name: "slow sink (2 s a batch)",
        server_is_silent: false,
        sink: Sink::TakesAll { delay_ms: 2_000 },
        most_ms: 60.0,
    },
    Stage {
        name: "matrix-sdk store as sink",
        server_is_silent: false,
        sink: Sink::MatrixSdk,
        most_ms: 300.0,
    },
];

/// The orders for a child. It answers with the length of every pause, in seconds.
#[derive(Serialize, Deserialize)]
pub(super) struct Orders {
    account: Account,
    sink: Sink,
    seed: u64,
}

pub(super) fn measure() -> Result<Table, Failure> {
    let homeserver = Homeserver::small(&Config {
        keys: KEYS,
        rooms: 200,
        ..Config::default()
    })?;
    let (mut rows, mut targets) = (Vec::new(), Vec::new());
    for stage in STAGES {
        crate::say(&format!("{NAME}, {} …", stage.name));
        let mut faults = Vec::new();
        if stage.server_is_silent {
            let silent = [EndpointKind::AllKeys, EndpointKind::RoomKeys];
            faults.extend(silent.map(|endpoint| Fault::from(FaultKind::Silence).on(endpoint)));
        }
        homeserver.set_faults(&faults)?;
        let mut pauses = Vec::new();
        for seed in 0..CHILDREN {
            let orders = Orders {
                account: homeserver.account.clone(),
                sink: stage.sink,
                seed,
            };
            let (_, seconds): (_, Vec<f64>) = child::run(NAME, &orders)?;
            pauses.extend(seconds.into_iter().map(|seconds| seconds * 1_000.0));
        }
        let spread = Spread::of(pauses.iter().copied()).ok_or("nothing was measured")?;
        let nearly_all = percentile(&pauses, 99).ok_or("nothing was measured")?;
        crate::say(&format!("  {:.1} ms, {nearly_all:.1} ms", spread.median));
        rows.push(vec![
            stage.name.to_owned(),
            pauses.len().to_string(),
            format!("{:.1}", spread.median),
            format!("{nearly_all:.1}"),
            format!("{:.1}", spread.most),
        ]);
        let what = format!("{}: 99th percentile", stage.name);
        targets.push(Target::at_most(&what, nearly_all, stage.most_ms, "ms"));
    }
    Ok(Table {
        title: "Pause".to_owned(),
        about: format!(
            "From the call of `pause(InBackground)` to its return, {} to {} ms after a run began on an empty vault; \
             {KEYS} keys in 200 rooms, unlimited link. Each process pauses {PAUSES_OF_A_CHILD} times, and measures \
             the time itself.",
            MOMENTS.start, MOMENTS.end
        ),
        columns: &["", "pauses", "median, ms", "99th percentile, ms", "most, ms"],
        rows,
        targets,
    })
}

pub(super) fn work(orders: &Orders) -> Result<(), Failure> {
    let runtime = Runtime::new()?;
    let transport = Arc::new(ReqwestTransport::new()?);
    child::answer(transport, |transport| {
        runtime.block_on(async {
            let mut dice = Dice::new(orders.seed);
            let mut seconds = Vec::new();
            for _ in 0..PAUSES_OF_A_CHILD {
                let wait = dice.milliseconds(&MOMENTS);
                seconds.push(one(orders, transport.clone(), wait).await?.as_secs_f64());
            }
            Ok(seconds)
        })
    })
}

/// Begins a run, pauses it, and returns how long the pause took.
async fn one(orders: &Orders, transport: Arc<ReqwestTransport>, wait: Duration) -> Result<Duration, Failure> {
    let directory = tempfile::tempdir()?;
    let sink: Arc<dyn RoomKeySink> = match orders.sink {
        Sink::TakesAll { delay_ms } => Arc::new(TakesAll(Duration::from_millis(delay_ms))),
        Sink::MatrixSdk => {
            let store = directory.path().join("store");
            let machine = open_machine(&orders.account, &store, StoreKey::None).await?;
            Arc::new(OlmMachineSink::new(machine))
        }
    };
    let client = app::open(&orders.account, &directory.path().join("vault"), transport, Some(sink)).await?;
    app::unlock(&client, &orders.account).await?;
    let download = client.download();
    let run = tokio::spawn({
        let download = download.clone();
        async move { download.run(RunBudget::default()).await }
    });
    tokio::time::sleep(wait).await;
    let began = Instant::now();
    download.pause(PauseCause::InBackground).await?;
    let time = began.elapsed();
    match run.await?.outcome {
        RunOutcome::Paused { .. } => {}
        outcome => return Err(format!("the run was not paused: {outcome:?}").into()),
    }
    client.shutdown();
    Ok(time)
}
