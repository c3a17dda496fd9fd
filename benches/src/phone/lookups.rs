//! Measures what an app asks a large vault for while a user waits: opening it, its status, what has arrived, and single
//! keys.

use std::{sync::Arc, time::Instant};

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use keyferry::{ArrivalCursor, KeyBackupClient, ReqwestTransport, RoomKeyLookup, RunBudget};
use keyferry_test_homeserver::{Config, Truth};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use super::dice::Dice;
use crate::{
    Failure, account::Account, app, child, homeserver::Homeserver, statistics::Spread, table::Table, targets::Target,
};

pub(super) const NAME: &str = "look-ups";

const ROOMS: u64 = 200;
/// How often a client is opened on the vault.
const ROUNDS: usize = 15;
/// Keys that are looked up with each client, each of another session.
const LOOKUPS: usize = 40;
/// Entries in a page of what has arrived.
const PAGE: u32 = 100;

/// What is measured, and how long it may take, in milliseconds.
const CALLS: [(&str, Option<f64>); 6] = [
    ("open", Some(5.0)),
    ("status", Some(2.0)),
    ("arrived_since, 100 keys", Some(2.0)),
    ("find_room_key, first call", Some(2.0)),
    // Beside the key agreement that it cannot do without.
    ("find_room_key, later calls, without its X25519", Some(0.1)),
    // Every call goes through this, because the vault may have to wait for the disk.
    ("nothing, on another thread", None),
];

/// The orders for a child. It answers with the times of each call, in milliseconds.
#[derive(Serialize, Deserialize)]
pub(super) struct Orders {
    account: Account,
    /// Rooms and sessions to look up.
    names: Vec<(String, String)>,
}

pub(super) fn measure(keys: u64) -> Result<Table, Failure> {
    crate::say(&format!("{NAME}, {keys} keys …"));
    let config = Config {
        keys,
        rooms: ROOMS,
        ..Config::default()
    };
    let homeserver = Homeserver::small(&config)?;
    let (truth, mut dice) = (Truth::new(&config), Dice::new(keys));
    let names = (0..ROUNDS * LOOKUPS).map(|_| {
        let key = truth.key(dice.below(keys));
        (key.room_id.clone(), key.session_id.clone())
    });
    let orders = Orders {
        account: homeserver.account.clone(),
        names: names.collect(),
    };
    let (_, times): (_, Vec<Vec<f64>>) = child::run(NAME, &orders)?;
    let (mut rows, mut targets) = (Vec::new(), Vec::new());
    for ((name, most), times) in CALLS.into_iter().zip(times) {
        let spread = Spread::of(times.iter().copied()).ok_or("nothing was measured")?;
        crate::say(&format!("  {name:<48} {:>7.3} ms", spread.median));
        rows.push(vec![
            name.to_owned(),
            times.len().to_string(),
            format!("{:.3}", spread.least),
            format!("{:.3}", spread.median),
            format!("{:.3}", spread.most),
        ]);
        targets.extend(most.map(|most| Target::at_most(name, spread.median, most, "ms")));
    }
    Ok(Table {
        title: "Look-ups".to_owned(),
        about: format!(
            "In a vault of {keys} keys, with keys chosen at random; {ROUNDS} clients are opened one after the other. \
             Measured by the process itself."
        ),
        columns: &["", "calls", "least, ms", "median, ms", "most, ms"],
        rows,
        targets,
    })
}

pub(super) fn work(orders: &Orders) -> Result<(), Failure> {
    let (runtime, directory) = (Runtime::new()?, tempfile::tempdir()?);
    let transport = Arc::new(ReqwestTransport::new()?);
    let open = || app::open(&orders.account, directory.path(), transport.clone(), None);
    runtime.block_on(async {
        let client = open().await?;
        app::unlock(&client, &orders.account).await?;
        let report = client.download().run(RunBudget::default()).await;
        client.shutdown();
        let is_here = report.every_key_is_here;
        is_here.then_some(()).ok_or_else(|| Failure::from("a key is missing"))
    })?;
    child::answer((), |()| {
        runtime.block_on(async {
            let mut times = vec![Vec::new(); CALLS.len()];
            for names in orders.names.chunks(LOOKUPS) {
                let began = Instant::now();
                let client = open().await?;
                times[0].push(ms(began));
                ask(&client, names, &mut times).await?;
                client.shutdown();
            }
            Ok(times)
        })
    })
}

async fn ask(client: &KeyBackupClient, names: &[(String, String)], times: &mut [Vec<f64>]) -> Result<(), Failure> {
    let download = client.download();
    let began = Instant::now();
    download.status().await?;
    times[1].push(ms(began));
    let began = Instant::now();
    download.arrived_since(ArrivalCursor::default(), PAGE).await?;
    times[2].push(ms(began));
    let agreement = agreement_ms()?;
    for (position, (room_id, session_id)) in names.iter().enumerate() {
        let began = Instant::now();
        let found = client.find_room_key(room_id.clone(), session_id.clone()).await?;
        let time = ms(began);
        if !matches!(found, RoomKeyLookup::Found { .. }) {
            return Err(format!("{session_id} was not found").into());
        }
        let began = Instant::now();
        tokio::task::spawn_blocking(|| ()).await?;
        times[5].push(ms(began));
        match position {
            0 => times[3].push(time),
            _ => times[4].push(time - agreement),
        }
    }
    Ok(())
}

/// Returns how long one key agreement takes, in milliseconds.
fn agreement_ms() -> Result<f64, Failure> {
    const TIMES: u32 = 100;
    let own = PrivateKey::generate(&X25519)?;
    let other = PrivateKey::generate(&X25519)?.compute_public_key()?.as_ref().to_vec();
    let began = Instant::now();
    for _ in 0..TIMES {
        let other = UnparsedPublicKey::new(&X25519, &other);
        let agreed = agree(&own, other, (), |secret| {
            std::hint::black_box(secret);
            Ok(())
        });
        agreed.map_err(|()| "no agreement")?;
    }
    Ok(ms(began) / f64::from(TIMES))
}

fn ms(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1_000.0
}
