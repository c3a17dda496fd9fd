//! This build opens vaults that an earlier build left half finished, and finishes them.
//!
//! The files are in `tests/vaults/`, in one directory for each schema. `make_vaults` writes those of today's schema;
//! files of earlier schemas are never written again.

use std::time::Duration;

use keyferry::{RunBudget, RunOutcome};
use keyferry_test_homeserver::{EndpointKind, Fault, FaultKind, Homeserver};

use crate::support::{
    Setup, assert_vault_complete, budget, homeserver,
    kept_vault::{SCHEMA_OF_TODAY, keep_vault, kept, put_vault},
};

const KEYS: u64 = 120;
const ROOMS: u64 = 4;
const BATCH: u64 = 50;

/// A state in which a run left a vault, and what the vault contained.
struct Kept {
    name: &'static str,
    fetched: u64,
    delivered: u64,
}

const STATES: [Kept; 3] = [
    Kept {
        name: "fresh",
        fetched: 0,
        delivered: 0,
    },
    Kept {
        name: "half_fetched",
        fetched: 2 * KEYS / ROOMS,
        delivered: 0,
    },
    Kept {
        name: "half_delivered",
        fetched: KEYS,
        delivered: BATCH,
    },
];

/// Makes all rooms but the first ones unreachable.
fn only_the_first_rooms(homeserver: &Homeserver, rooms: u64) {
    let unreachable = || FaultKind::CutBody { after_bytes: 10 };
    let mut faults = vec![Fault::from(unreachable()).on(EndpointKind::AllKeys)];
    faults.extend((rooms..ROOMS).map(|room| Fault::from(unreachable()).of_room(homeserver.truth().room_id(room))));
    homeserver.set_faults(faults);
}

#[tokio::test]
async fn a_download_begun_by_an_earlier_build_is_finished() {
    for schema in [2, 3] {
        for state in &STATES {
            let homeserver = homeserver(KEYS, ROOMS);
            let setup = Setup::with_sink(&homeserver);
            put_vault(&setup, &kept(schema, state.name));
            let client = setup.open().await;
            let before = client.download().status().await.expect("a status");
            assert_eq!(before.summary.fetched, state.fetched, "{}", state.name);
            assert_eq!(before.summary.delivered, state.delivered, "{}", state.name);
            if state.fetched == 0 {
                client.unlock(setup.recovery_key()).await.expect("the key fits");
            }
            let report = client.download().run(RunBudget::default()).await;
            assert!(
                matches!(report.outcome, RunOutcome::Completed { .. }),
                "{}: {report:?}",
                state.name
            );
            assert!(report.every_key_is_here);
            assert_vault_complete(&client, &homeserver).await;
            let delivered = setup.delivered().len();
            assert_eq!(delivered as u64, KEYS - state.delivered, "{}", state.name);
        }
    }
}

#[tokio::test]
#[ignore = "writes the files of today's schema; run it once before the schema changes"]
async fn make_vaults() {
    for state in &STATES {
        let homeserver = homeserver(KEYS, ROOMS);
        let setup = Setup::with_sink(&homeserver);
        let client = setup.open().await;
        setup.sink.as_ref().expect("a sink").limit_batches(BATCH as u32);
        if state.fetched > 0 {
            client.unlock(setup.recovery_key()).await.expect("the key fits");
            *setup
                .sink
                .as_ref()
                .expect("a sink")
                .fails_after
                .lock()
                .expect("not poisoned") = Some((state.delivered / BATCH) as usize);
            only_the_first_rooms(&homeserver, state.fetched * ROOMS / KEYS);
            if state.fetched == KEYS {
                homeserver.set_faults(Vec::new());
            }
            client.download().run(budget(5_000)).await;
        }
        client.download().await_quiescent().await;
        client.shutdown();
        tokio::time::sleep(Duration::from_millis(100)).await;
        keep_vault(&setup, &kept(SCHEMA_OF_TODAY, state.name));
    }
}
