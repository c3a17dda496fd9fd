//! Moves on homeservers other than Synapse, and behind proxies, as the small homeserver imitates them.

use keyferry::{ResetCause, ResetError, ResetOutcome, ResetStop, RunBudget};
use keyferry_test_homeserver::{Config, EndpointKind, Fault, FaultKind, ServerKind};
use serde_json::json;

use super::world::World;

async fn complete(world: &World) {
    let client = world.open_complete().await;
    let reset = client.reset();
    let begun = reset.move_backup(ResetCause::BackupDamaged, Vec::new()).await;
    begun.expect("it begins");
    let report = reset.run(RunBudget::default()).await;
    assert_eq!(report.outcome, ResetOutcome::Completed, "{report:?}");
    let status = report.status.expect("a status");
    assert_eq!(status.unreplaced, 0);
    world.assert_restores().await;
    let old = status.old_version.expect("there was one");
    reset.delete_version(old, Vec::new()).await.expect("it is deleted");
    world.assert_restores().await;
}

#[tokio::test]
async fn a_backup_moves_on_every_server_that_serves_its_keys() {
    for server in ServerKind::ALL {
        if server == ServerKind::Palpo {
            continue;
        }
        let world = World::in_old_storage(Config {
            server,
            keys: 60,
            rooms: 5,
            ..Config::default()
        });
        complete(&world.await).await;
    }
}

#[tokio::test]
async fn palpos_backup_cannot_be_moved_because_it_cannot_be_read() {
    let world = World::new(Config {
        server: ServerKind::Palpo,
        keys: 60,
        rooms: 5,
        ..Config::default()
    });
    let world = world.await;
    let client = world.open().await;
    client.unlock(world.setup.recovery_key()).await.expect("the key fits");
    client.download().run(RunBudget::default()).await;
    let begun = client.reset().move_backup(ResetCause::BackupDamaged, Vec::new()).await;
    assert!(matches!(begun, Err(ResetError::LosesKeys { .. })), "{begun:?}");
    assert_eq!(world.homeserver.versions(), ["1"]);
}

#[tokio::test]
async fn where_the_old_version_stays_current_the_new_ones_are_deleted_again() {
    // These servers sort versions as text: 999 comes after 1000.
    for server in [ServerKind::Conduit, ServerKind::Continuwuity, ServerKind::Conduwuit] {
        let world = World::in_old_storage(Config {
            server,
            keys: 20,
            first_version: 999,
            ..Config::default()
        });
        let world = world.await;
        let client = world.open_complete().await;
        let begun = client.reset().move_backup(ResetCause::BackupDamaged, Vec::new()).await;
        begun.expect("it begins");
        let report = client.reset().run(RunBudget::default()).await;
        let why = ResetStop::OldVersionStays;
        assert_eq!(report.outcome, ResetOutcome::Halted { why });
        assert_eq!(world.homeserver.versions(), ["999"]);
        let posts = world.homeserver.requests().of(EndpointKind::CreateVersion);
        assert_eq!(posts, 3);
    }
}

#[tokio::test]
async fn uploads_adapt_to_a_proxy_that_takes_small_requests_only() {
    let world = World::in_old_storage(Config {
        keys: 600,
        rooms: 5,
        most_body: Some(100_000),
        ..Config::default()
    });
    let world = world.await;
    complete(&world).await;
    let uploads = world.homeserver.requests().of(EndpointKind::PutKeys);
    // 600 keys take some 500 KB. The first tries are too large.
    assert!((6..30).contains(&uploads), "{uploads}");
}

#[tokio::test]
async fn an_upload_waits_when_the_server_asks_for_it() {
    let world = World::in_old_storage(Config {
        keys: 60,
        ..Config::default()
    });
    let world = world.await;
    let limited = FaultKind::Status {
        code: 429,
        body: json!({ "errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 300 }),
        headers: Default::default(),
    };
    let faults = [EndpointKind::CreateVersion, EndpointKind::PutKeys];
    let faults = faults.map(|endpoint| Fault::from(limited.clone()).on(endpoint).times(2));
    world.homeserver.set_faults(faults.to_vec());
    complete(&world).await;
}
