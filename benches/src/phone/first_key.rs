//! Measures how long a user who opens a room waits for its first key while a large restore is under way.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use keyferry::{KeyBackupClient, PauseCause, ReqwestTransport, RoomKeyLookup, RoomKeySink, RunBudget};
use keyferry_test_homeserver::{Config, Truth};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use super::dice::Dice;
use crate::{
    Failure,
    account::Account,
    app::{self, TakesAll},
    child,
    homeserver::Homeserver,
    statistics::Spread,
    table::Table,
    targets::Target,
};

pub(super) const NAME: &str = "first key";

const ROOMS: u64 = 200;
const ROUNDS: usize = 15;
/// The time after which the room is wanted, in milliseconds.
const MOMENTS: Range<u64> = 50..2_000;
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);
/// A key that has not arrived after this time counts as one that never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The orders for a child. It answers with the wait in seconds, or with nothing if the key was already there.
#[derive(Serialize, Deserialize)]
pub(super) struct Orders {
    account: Account,
    room_id: String,
    session_id: String,
    has_sink: bool,
    wait: Duration,
}

pub(super) fn measure(keys: u64) -> Result<Table, Failure> {
    let config = Config {
        keys,
        rooms: ROOMS,
        ..Config::default()
    };
    let homeserver = Homeserver::small(&config)?;
    // The last room is fetched last, unless it is prioritised.
    let truth = Truth::new(&config);
    let first = truth.key(truth.room_range(ROOMS - 1).start);
    let (mut rows, mut targets) = (Vec::new(), Vec::new());
    for (name, has_sink) in [("without a sink", false), ("with a sink", true)] {
        crate::say(&format!("{NAME}, {name} …"));
        let mut dice = Dice::new(u64::from(has_sink));
        let mut waits = Vec::new();
        for _ in 0..ROUNDS {
            let orders = Orders {
                account: homeserver.account.clone(),
                room_id: first.room_id.clone(),
                session_id: first.session_id.clone(),
                has_sink,
                wait: dice.milliseconds(&MOMENTS),
            };
            let (_, seconds): (_, Option<f64>) = child::run(NAME, &orders)?;
            crate::say(&seconds.map_or("  already there".to_owned(), |seconds| format!("  {seconds:>7.3} s")));
            waits.extend(seconds);
        }
        let spread = Spread::of(waits.iter().copied()).ok_or("the room was already there in every round")?;
        rows.push(vec![
            name.to_owned(),
            waits.len().to_string(),
            format!("{:.3}", spread.median),
            format!("{:.3}", spread.most),
        ]);
        targets.push(Target::at_most(&format!("{name}: most"), spread.most, 0.5, "s"));
    }
    Ok(Table {
        title: "First key".to_owned(),
        about: format!(
            "From the call of `prioritise_rooms` for the last of {ROOMS} rooms, at a random moment in the first two \
             seconds of a restore of {keys} keys, unlimited link, until `find_room_key` finds a key of that room; \
             measured by the process of the run. Rounds in which the room was already there do not count."
        ),
        columns: &["", "rounds", "median, s", "most, s"],
        rows,
        targets,
    })
}

pub(super) fn work(orders: &Orders) -> Result<(), Failure> {
    let (runtime, directory) = (Runtime::new()?, tempfile::tempdir()?);
    let client = runtime.block_on(async {
        let sink = orders
            .has_sink
            .then(|| Arc::new(TakesAll(Duration::ZERO)) as Arc<dyn RoomKeySink>);
        let transport = Arc::new(ReqwestTransport::new()?);
        let client = app::open(&orders.account, directory.path(), transport, sink).await?;
        app::unlock(&client, &orders.account).await?;
        Ok::<_, Failure>(client)
    })?;
    child::answer(client, |client| runtime.block_on(first_key(orders, &client)))
}

async fn first_key(orders: &Orders, client: &KeyBackupClient) -> Result<Option<f64>, Failure> {
    let download = client.download();
    let run = tokio::spawn({
        let download = download.clone();
        async move { download.run(RunBudget::default()).await }
    });
    tokio::time::sleep(orders.wait).await;
    if is_here(orders, client).await? {
        return Ok(None);
    }
    let began = Instant::now();
    download.prioritise_rooms(vec![orders.room_id.clone()]).await?;
    while !is_here(orders, client).await? {
        if began.elapsed() > PATIENCE {
            return Err("the key did not arrive".into());
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    let time = began.elapsed();
    download.pause(PauseCause::InBackground).await?;
    run.await?;
    Ok(Some(time.as_secs_f64()))
}

async fn is_here(orders: &Orders, client: &KeyBackupClient) -> Result<bool, Failure> {
    let found = client.find_room_key(orders.room_id.clone(), orders.session_id.clone());
    Ok(matches!(found.await?, RoomKeyLookup::Found { .. }))
}
