//! SIGKILL at random moments of a move: the next process goes on, and no key is lost at any moment.

#![allow(clippy::print_stderr, reason = "the seed is printed")]

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use keyferry_test_homeserver::Config;

use super::world::World;
use crate::support::{Dice, example, seed};

const KEYS: u64 = 6_000;
const KILLS: usize = 50;

async fn world() -> World {
    // Slow enough that a move takes some seconds.
    World::in_old_storage(Config {
        keys: KEYS,
        rooms: 60,
        left_rooms: 3,
        bytes_per_second: Some(4_000_000),
        latency_ms: 5,
        ..Config::default()
    })
    .await
}

/// Starts the example, which goes on with the move.
fn spawn(account: &Path, data_dir: &Path) -> Child {
    Command::new(example("reset"))
        .args([account, data_dir])
        .args(["--yes", "--keep-old"])
        .stdout(Stdio::null())
        .spawn()
        .expect("the example is built beside this program")
}

fn write_account(world: &World) -> (PathBuf, PathBuf) {
    let directory = world.setup.directory.path();
    let path = directory.join("account.json");
    let account = serde_json::to_vec(world.homeserver.account()).expect("JSON");
    std::fs::write(&path, account).expect("it is written");
    (path, directory.join("data"))
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_of_a_move_lose_nothing() {
    let undisturbed = {
        let world = world().await;
        let (account, data_dir) = write_account(&world);
        let began = Instant::now();
        assert!(spawn(&account, &data_dir).wait().expect("it ends").success());
        began.elapsed()
    };
    let world = world().await;
    let (account, data_dir) = write_account(&world);
    let seed = seed();
    eprintln!("KEYFERRY_SEED={seed}, an undisturbed move takes {undisturbed:?}");
    let mut dice = Dice(seed);
    let mut moments: Vec<f64> = (0..KILLS).map(|_| dice.next()).collect();
    moments.sort_by(f64::total_cmp);
    let (mut kills, mut before) = (0, 0.0);
    for moment in moments {
        let mut child = spawn(&account, &data_dir);
        tokio::time::sleep(Duration::from_millis(50) + undisturbed.mul_f64(moment - before)).await;
        before = moment;
        kills += usize::from(child.try_wait().expect("a status").is_none());
        // It may have ended.
        let _ = child.kill();
        child.wait().expect("it ends");
        world.assert_nothing_is_lost("after a kill");
    }
    eprintln!("{kills} of {KILLS} processes were killed with work under way");
    assert!(kills > KILLS / 2, "the kills come while there is work");
    assert!(spawn(&account, &data_dir).wait().expect("it ends").success());
    assert_eq!(world.homeserver.versions(), ["1", "2"]);
    world.assert_restores().await;
}
