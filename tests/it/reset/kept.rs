//! A move that an earlier build has begun is completed by this one.

use std::time::Duration;

use keyferry::{ResetCause, ResetOutcome, ResetStep, RunBudget};
use keyferry_test_homeserver::Config;

use super::world::World;
use crate::support::kept_vault::{SCHEMA_OF_TODAY, keep_vault, kept, put_vault};

const NAME: &str = "move_begun";

async fn world() -> World {
    World::in_old_storage(Config {
        keys: 120,
        rooms: 4,
        ..Config::default()
    })
    .await
}

#[tokio::test]
async fn a_move_begun_by_an_earlier_build_is_completed() {
    for schema in [3] {
        let world = world().await;
        put_vault(&world.setup, &kept(schema, NAME));
        let client = world.open().await;
        let status = client.reset().status().await.expect("a status").expect("a reset");
        assert_eq!((status.step, status.total), (ResetStep::Begun, 120));
        let report = client.reset().run(RunBudget::default()).await;
        assert_eq!(report.outcome, ResetOutcome::Completed, "{report:?}");
        assert_eq!(world.homeserver.current_version().as_deref(), Some("2"));
        world.assert_restores().await;
    }
}

#[tokio::test]
#[ignore = "writes the file of today's schema; run it once before the schema changes"]
async fn make_a_vault() {
    let world = world().await;
    let client = world.open_complete().await;
    let begun = client.reset().move_backup(ResetCause::BackupDamaged, Vec::new()).await;
    begun.expect("it begins");
    client.download().await_quiescent().await;
    client.shutdown();
    tokio::time::sleep(Duration::from_millis(100)).await;
    keep_vault(&world.setup, &kept(SCHEMA_OF_TODAY, NAME));
}
