//! One run at a time, across objects and processes. If two runs both believe to hold the vault, only the newer one
//! commits.

#![allow(clippy::print_stderr, reason = "what was hit by chance is printed")]

use std::{sync::Arc, time::Duration};

use keyferry::{BlockedReason, KeyBackupClient, PauseCause, RunBudget, RunFailure, RunHolder, RunOutcome, RunReport};
use keyferry_test_homeserver::{EndpointKind, Fault, FaultKind};
use rustix::process::Signal;
use tokio::task::JoinHandle;

use crate::support::{Dice, Phone, Setup, WHOLE, assert_vault_complete, budget, homeserver, slow, spawn_run};

const SECOND: RunBudget = budget(1_000);
const TWO_SECONDS: RunBudget = budget(2_000);

async fn holder(client: &KeyBackupClient) -> Option<RunHolder> {
    client.download().status().await.expect("a status").running
}

/// Waits until this process holds the vault.
async fn taken_by(client: &KeyBackupClient, process_id: u32) -> RunHolder {
    for _ in 0..1_000 {
        if let Some(holder) = holder(client).await
            && holder.process_id == process_id
        {
            return holder;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the process did not take the vault");
}

#[tokio::test]
async fn a_second_run_reports_the_holder_of_the_first() {
    let homeserver = slow(8_000, 20, 3_000_000);
    let setup = Setup::new(&homeserver);
    let (here, other) = (setup.open_unlocked().await, setup.open().await);
    let mut phone = Phone::start(&homeserver, &setup, &["--name", "extension"]).ready();
    phone.send_command("run");
    let by = taken_by(&here, phone.id()).await;
    assert_eq!((by.process_name.as_str(), by.is_this_process), ("extension", false));
    assert!(by.since_ms > 1_700_000_000_000);
    assert_eq!(
        here.download().run(SECOND).await.outcome,
        RunOutcome::AlreadyRunning { by }
    );
    // A killed run is overtaken at once: Linux lets other processes see that it is dead.
    phone.kill();
    let run = spawn_run(&here);
    let by = taken_by(&here, std::process::id()).await;
    assert_eq!((by.process_name.as_str(), by.is_this_process), ("app", true));
    // A run of another object in the same process is a second run, too.
    assert_eq!(
        other.download().run(SECOND).await.outcome,
        RunOutcome::AlreadyRunning { by }
    );
    assert_eq!(run.await.expect("it ends").outcome, WHOLE);
    assert_eq!(holder(&here).await, None);
    assert_eq!(other.download().run(SECOND).await.outcome, WHOLE);
}

#[tokio::test]
async fn a_dead_run_without_visible_process_is_overtaken_after_its_heartbeat() {
    let homeserver = slow(4_000, 20, 3_000_000);
    let setup = Setup::new(&homeserver);
    let here = setup.open_unlocked().await;
    let mut phone = Phone::start(&homeserver, &setup, &[]).ready();
    phone.send_command("run");
    taken_by(&here, phone.id()).await;
    phone.kill();
    // As in a sandbox, where processes of others cannot be seen.
    let connection = rusqlite::Connection::open(setup.vault_file()).expect("the vault");
    let changed = connection.execute("UPDATE lease SET process_space = ''", []);
    assert_eq!(changed.expect("it is there"), 1);
    drop(connection);
    let first = here.download().run(SECOND).await.outcome;
    assert!(matches!(first, RunOutcome::AlreadyRunning { .. }), "{first:?}");
    let mut outcome = first;
    for _ in 0..30 {
        if !matches!(outcome, RunOutcome::AlreadyRunning { .. }) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        outcome = here.download().run(RunBudget::default()).await.outcome;
    }
    assert_eq!(outcome, WHOLE);
}

/// Returns the figures that a run would change if it committed.
async fn figures(client: &KeyBackupClient) -> (u64, u64, u64) {
    let summary = client.download().status().await.expect("a status").summary;
    (summary.fetched, summary.opened, summary.bytes_downloaded)
}

/// Starts a run that holds the vault and does nothing.
fn idle_run(client: &Arc<KeyBackupClient>) -> JoinHandle<RunReport> {
    let download = client.download();
    tokio::spawn(async move {
        download.pause(PauseCause::Thermal).await.expect("it pauses");
        download.run(TWO_SECONDS).await
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_newer_of_two_processes_commits() {
    let homeserver = slow(30_000, 60, 12_000_000);
    let mut dice = Dice(20_261_121);
    let (mut between, mut inside, mut rounds) = (0, 0, 0);
    let mut setup = Setup::new(&homeserver);
    let mut here = setup.open_unlocked().await;
    while rounds < 100 {
        homeserver.set_faults(Vec::new());
        let mut phone = Phone::start(&homeserver, &setup, &[]).ready();
        phone.send_command("run");
        taken_by(&here, phone.id()).await;
        tokio::time::sleep(Duration::from_millis(20) + Duration::from_millis(200).mul_f64(dice.next())).await;
        if !phone.suspend() {
            continue;
        }
        // The newer run gets no answers, so whatever changes now was changed by the older one.
        homeserver.set_faults(vec![Fault::from(FaultKind::Silence)]);
        let newer = idle_run(&here);
        tokio::time::sleep(Duration::from_millis(150)).await;
        rounds += 1;
        if newer.is_finished() || holder(&here).await.is_none_or(|holder| !holder.is_this_process) {
            // The older run was stopped inside a transaction and has the write lock. The newer one reports that.
            let outcome = newer.await.expect("it ends").outcome;
            let RunOutcome::Blocked {
                reason: BlockedReason::VaultBusy { by: Some(by) },
                ..
            } = outcome
            else {
                panic!("round {rounds}: {outcome:?}");
            };
            assert_eq!(by.process_id, phone.id());
            inside += 1;
            phone.kill();
            assert!(matches!(
                here.download().run(SECOND).await.outcome,
                RunOutcome::OutOfBudget
            ));
        } else {
            between += 1;
            let before = figures(&here).await;
            phone.signal(Signal::CONT);
            let outcome = phone.outcome();
            let overtaken = RunOutcome::Failed {
                reason: RunFailure::Overtaken,
            };
            assert_eq!(outcome, format!("{overtaken:?}"));
            assert_eq!(figures(&here).await, before, "round {rounds}");
            here.download().end_run();
            newer.await.expect("it ends");
        }
        here.download().resume(PauseCause::Thermal).await.expect("it resumes");
        if figures(&here).await.0 > 20_000 {
            setup = Setup::new(&homeserver);
            here = setup.open_unlocked().await;
        }
    }
    eprintln!("{between} were stopped between transactions, {inside} inside one");
    assert!(between > 50, "most of the time a run is not writing");
    homeserver.set_faults(Vec::new());
    assert_eq!(here.download().run(RunBudget::default()).await.outcome, WHOLE);
    assert_vault_complete(&here, &homeserver).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_write_lock_blocks_a_run_until_it_is_released() {
    let homeserver = homeserver(500, 5);
    let setup = Setup::new(&homeserver);
    let here = setup.open_unlocked().await;
    let other = rusqlite::Connection::open(setup.vault_file()).expect("the vault");
    other.execute_batch("BEGIN IMMEDIATE").expect("the write lock");
    let outcome = here.download().run(SECOND).await.outcome;
    let blocked = RunOutcome::Blocked {
        reason: BlockedReason::VaultBusy { by: None },
        retry_after: None,
    };
    assert_eq!(outcome, blocked);
    // A run continues as soon as the lock is free.
    let run = spawn_run(&here);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!run.is_finished());
    drop(other);
    assert_eq!(run.await.expect("it ends").outcome, WHOLE);
}

#[tokio::test]
async fn a_run_that_waits_for_the_server_is_not_overtaken() {
    let homeserver = homeserver(100, 1);
    homeserver.set_faults(vec![Fault::from(FaultKind::Silence).on(EndpointKind::AllKeys)]);
    let setup = Setup::new(&homeserver);
    let (holding, other) = (setup.open_unlocked().await, setup.open().await);
    let run = spawn_run(&holding);
    // Longer than a holder may be silent.
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let outcome = other.download().run(SECOND).await.outcome;
        assert!(matches!(outcome, RunOutcome::AlreadyRunning { .. }), "{outcome:?}");
    }
    holding.download().end_run();
    run.await.expect("it ends");
}
