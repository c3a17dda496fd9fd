//! SIGKILL at any moment: the next process continues, nothing is lost, nothing is counted twice.

#![allow(clippy::print_stderr, reason = "the seed is printed")]

use std::time::{Duration, Instant};

use keyferry::{PreferenceWrite, RunBudget};
use keyferry_test_homeserver::{Config, Homeserver};

use crate::support::{
    BATCH, Deliveries, Dice, Phone, Setup, assert_vault_complete, both, forms, seed, spawn_example, start,
};

const KEYS: u64 = 20_000;
const KILLS: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_lose_nothing_and_repeat_at_most_a_batch_each() {
    fifty_kills(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_lose_nothing_when_keys_come_by_their_sessions() {
    fifty_kills(&["--by-session"]).await;
}

async fn fifty_kills(arguments: &[&str]) {
    // Slow enough that an undisturbed run takes some seconds, all of them with work under way.
    let homeserver = start(Config {
        keys: KEYS,
        rooms: 100,
        left_rooms: 5,
        bytes_per_second: Some(5_000_000),
        ..Config::default()
    });
    let undisturbed = {
        let setup = Setup::new(&homeserver);
        let began = Instant::now();
        assert!(spawn(&homeserver, &setup, arguments).end());
        began.elapsed()
    };

    let setup = Setup::new(&homeserver);
    let seed = seed();
    eprintln!("KEYFERRY_SEED={seed}, an undisturbed run takes {undisturbed:?}");
    // Moments spread over the time that a run takes; each process lives from one to the next.
    let mut dice = Dice(seed);
    let mut moments: Vec<f64> = (0..KILLS).map(|_| dice.next()).collect();
    moments.sort_by(f64::total_cmp);
    let mut kills = 0;
    let mut before = 0.0;
    let mut delivered = Deliveries::new(&homeserver);
    for moment in moments {
        let mut child = spawn(&homeserver, &setup, arguments);
        tokio::time::sleep(Duration::from_millis(20) + undisturbed.mul_f64(moment - before)).await;
        before = moment;
        kills += usize::from(child.is_alive());
        child.kill();
        let again = delivered.read_on(setup.directory.path());
        assert!(again <= BATCH, "{again} keys were delivered again after one kill");
    }
    eprintln!("{kills} of {KILLS} processes were killed with work under way");
    assert!(kills > KILLS / 2, "the kills come while there is work");
    assert!(spawn(&homeserver, &setup, arguments).end());

    assert!(delivered.read_on(setup.directory.path()) <= BATCH);
    assert_eq!(delivered.missing.len(), 0, "keys are lost");

    let client = setup.open().await;
    let summary = client.download().status().await.expect("a status").summary;
    assert_eq!((summary.fetched, summary.opened, summary.delivered), (KEYS, KEYS, KEYS));
    assert_eq!((summary.failed, summary.conflicts), (0, 0));
    assert_vault_complete(&client, &homeserver).await;
    let path = setup.directory.path().join("keys.txt").display().to_string();
    let exported = client.export_room_keys("p".into(), path).await.expect("an export");
    assert_eq!(exported.exported, KEYS);
    assert_eq!(client.download().run(RunBudget::default()).await.summary.fetched, KEYS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_write_leaves_a_whole_wish_or_none() {
    let homeserver = start(Config {
        keys: 1,
        rooms: 1,
        latency_ms: 10,
        ..Config::default()
    });
    let setup = Setup::new(&homeserver);
    let client = setup.open().await;
    assert_eq!(
        client.preference().set_enabled(true).await,
        Ok(PreferenceWrite::Written)
    );
    let mut dice = Dice(20_261_121);
    let undisturbed = {
        let began = Instant::now();
        let mut child = spawn_example("preference", &homeserver, &setup, "off".as_ref());
        assert!(child.wait().expect("it ends").success());
        began.elapsed()
    };
    assert_eq!(forms(&homeserver), both(false));
    // Another process has written the preference, through the same vault.
    client.preference().refresh().await.expect("an answer");
    let (mut kept, mut ended) = (0, 0);
    let mut now = false;
    for _ in 0..40 {
        let wish = !now;
        let word = if wish { "on" } else { "off" };
        let mut child = spawn_example("preference", &homeserver, &setup, word.as_ref());
        tokio::time::sleep(undisturbed.mul_f64(dice.next() * 1.2)).await;
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
        // A request that the process made may still be on its way.
        tokio::time::sleep(Duration::from_millis(30)).await;
        match client.preference().pending().await.expect("the vault is whole") {
            Some(pending) => {
                kept += 1;
                assert_eq!((pending.enabled, pending.changed_meanwhile), (wish, None));
                let flushed = client.preference().flush(RunBudget::default()).await;
                assert_eq!(flushed, Ok(Some(PreferenceWrite::Written)));
                assert_eq!(forms(&homeserver), both(wish));
                now = wish;
            }
            None if forms(&homeserver) == both(wish) => {
                ended += 1;
                now = wish;
            }
            None => assert_eq!(forms(&homeserver), both(now), "a write without a wish"),
        }
    }
    eprintln!("{kept} of 40 wishes were killed on their way, {ended} had been written, one takes {undisturbed:?}");
    assert!(kept > 5, "the kills come while there is work");
    assert!(setup.host.conflicts.lock().expect("not poisoned").is_empty());
    assert_eq!(
        *setup.host.notices.lock().expect("not poisoned"),
        [],
        "our own writes are not reported"
    );
}

fn spawn(homeserver: &Homeserver, setup: &Setup, arguments: &[&str]) -> Phone {
    let mut phone = Phone::start(homeserver, setup, arguments);
    phone.send_command("run");
    phone
}
