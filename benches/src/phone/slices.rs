//! Compares a restore in time slices, each in a separate process over the same vault, with an undisturbed restore.

use std::{path::PathBuf, sync::Arc, time::Duration};

use keyferry::{Milliseconds, ReqwestTransport, RoomKeySink, RunBudget, RunOutcome};
use keyferry_test_homeserver::Config;
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use crate::{
    Failure,
    account::Account,
    app::{self, TakesAll},
    child,
    homeserver::Homeserver,
    report::spread,
    statistics::Spread,
    table::Table,
    targets::Target,
};

pub(super) const NAME: &str = "slices";

const SLICE_MS: u64 = 2_000;
/// A restore that is not complete after this many slices counts as one that never ends.
const MOST_SLICES: usize = 200;
const KEYS: u64 = 200_000;
const LATENCY_MS: u64 = 100;

struct Shape {
    name: &'static str,
    rooms: u64,
    left_rooms: u64,
    has_targets: bool,
}

const SHAPES: [Shape; 3] = [
    Shape {
        name: "200 rooms of 1000 keys",
        rooms: 200,
        left_rooms: 0,
        has_targets: true,
    },
    Shape {
        name: "one room of 200000 keys",
        rooms: 1,
        left_rooms: 0,
        has_targets: false,
    },
    Shape {
        name: "200 rooms of 1000 keys, 10 of them left",
        rooms: 200,
        left_rooms: 10,
        has_targets: false,
    },
];

/// The orders for a child.
#[derive(Serialize, Deserialize)]
pub(super) struct Orders {
    account: Account,
    data_dir: PathBuf,
    max_duration_ms: Option<u64>,
}

/// The answer of a child.
#[derive(Serialize, Deserialize)]
struct Slice {
    is_completed: bool,
    delivered: u64,
    decrypted: u64,
}

/// One restore, from an empty vault to the end.
#[derive(Default)]
struct Restore {
    slices: usize,
    longest: Duration,
    bytes: u64,
    decrypted: u64,
}

pub(super) fn measure(rounds: usize) -> Result<Table, Failure> {
    let (mut rows, mut targets) = (Vec::new(), Vec::new());
    for shape in SHAPES {
        crate::say(&format!("{NAME}, {} …", shape.name));
        let homeserver = Homeserver::small(&Config {
            keys: KEYS,
            rooms: shape.rooms,
            left_rooms: shape.left_rooms,
            latency_ms: LATENCY_MS,
            ..Config::default()
        })?;
        let mut restores = Vec::new();
        for _ in 0..rounds {
            restores.push((restore(&homeserver, None)?, restore(&homeserver, Some(SLICE_MS))?));
        }
        let of = |value: fn(&Restore, &Restore) -> f64| {
            Spread::of(restores.iter().map(|(whole, sliced)| value(whole, sliced))).ok_or("nothing was measured")
        };
        let slices = of(|_, sliced| sliced.slices as f64)?;
        let longest = of(|_, sliced| sliced.longest.as_secs_f64())?;
        let bytes = of(|whole, sliced| sliced.bytes as f64 / whole.bytes as f64)?;
        let decryptions = of(|whole, sliced| sliced.decrypted as f64 / whole.decrypted as f64)?;
        rows.push(vec![
            shape.name.to_owned(),
            spread(&slices, 0),
            spread(&longest, 2),
            spread(&bytes, 2),
            spread(&decryptions, 3),
        ]);
        if shape.has_targets {
            let name = shape.name;
            let unit = "times the undisturbed run's";
            targets.extend([
                Target::at_most(&format!("{name}: bytes"), bytes.most, 1.3, unit),
                Target::at_most(&format!("{name}: decryptions"), decryptions.most, 1.05, unit),
                Target::at_most(&format!("{name}: longest slice"), longest.most, 2.0, "s"),
            ]);
        }
    }
    Ok(Table {
        title: format!("Slices of {} seconds", SLICE_MS / 1_000),
        about: format!(
            "{KEYS} keys from a server that answers after {LATENCY_MS} ms, into a sink that takes everything at once; \
             every slice is a run with a budget, in a new process, on the vault that the last one left. Bytes are \
             counted at the server, decryptions are reported by the runs; both are relative to one run without a \
             budget."
        ),
        columns: &["", "slices", "longest slice, s", "bytes, times", "decryptions, times"],
        rows,
        targets,
    })
}

fn restore(homeserver: &Homeserver, max_duration_ms: Option<u64>) -> Result<Restore, Failure> {
    let directory = tempfile::tempdir()?;
    let orders = Orders {
        account: homeserver.account.clone(),
        data_dir: directory.path().join("vault"),
        max_duration_ms,
    };
    let before = homeserver.body_bytes()?;
    let mut restore = Restore::default();
    while restore.slices < MOST_SLICES {
        let (figure, slice): (_, Slice) = child::run(NAME, &orders)?;
        restore.slices += 1;
        restore.longest = restore.longest.max(figure.time);
        restore.decrypted += slice.decrypted;
        crate::say(&format!(
            "  {:>3} {:>7.2} s, {} keys delivered",
            restore.slices,
            figure.time.as_secs_f64(),
            slice.delivered
        ));
        if slice.is_completed {
            if slice.delivered != homeserver.account.keys {
                return Err(format!("completed with {} keys", slice.delivered).into());
            }
            restore.bytes = homeserver.body_bytes()? - before;
            return Ok(restore);
        }
    }
    Err(format!("not completed after {MOST_SLICES} slices").into())
}

/// Runs one slice, on an unlocked client.
pub(super) fn work(orders: &Orders) -> Result<(), Failure> {
    let runtime = Runtime::new()?;
    let client = runtime.block_on(async {
        let sink: Arc<dyn RoomKeySink> = Arc::new(TakesAll(Duration::ZERO));
        let transport = Arc::new(ReqwestTransport::new()?);
        let client = app::open(&orders.account, &orders.data_dir, transport, Some(sink)).await?;
        if !client.download().status().await?.unlocked {
            app::unlock(&client, &orders.account).await?;
        }
        Ok::<_, Failure>(client)
    })?;
    let max_duration = orders.max_duration_ms.map(Milliseconds);
    child::answer(client, |client| {
        let report = runtime.block_on(client.download().run(RunBudget { max_duration }));
        match report.outcome {
            RunOutcome::Completed { .. } | RunOutcome::OutOfBudget => Ok(Slice {
                is_completed: report.outcome != RunOutcome::OutOfBudget,
                delivered: report.summary.delivered,
                decrypted: report.decrypted,
            }),
            outcome => Err(format!("{outcome:?}").into()),
        }
    })
}
