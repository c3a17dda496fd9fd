//! What other clients do while a backup moves.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use keyferry::{
    HttpExchange, HttpHead, HttpMethod, HttpRequest, KeyBackupClient, KeyLoss, LossKind, ResetCause, ResetError,
    ResetOutcome, ResetReport, ResetStep, ResetStop, RunBudget, TransportError,
};
use keyferry_test_homeserver::{Config, ServerKind, VersionAction};
use serde_json::json;

use super::{other_device::OtherDevice, world::World};
use crate::support::{
    backup_entry::from_index,
    transport::{HookedTransport, Hooks},
};

type Deed = Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// Does something once, before or after the first request of a kind.
struct Meddler {
    is_after: bool,
    method: HttpMethod,
    /// A part of the URL.
    part: &'static str,
    deed: Deed,
    is_done: AtomicBool,
}

#[async_trait]
impl Hooks for Meddler {
    async fn head(&self, request: &HttpRequest, answer: &dyn HttpExchange) -> Result<HttpHead, TransportError> {
        let is_it = request.method == self.method && request.url.contains(self.part);
        let is_due = is_it && !self.is_done.swap(true, Ordering::SeqCst);
        if is_due && !self.is_after {
            (self.deed)().await;
        }
        let head = answer.head().await;
        if is_due && self.is_after {
            (self.deed)().await;
        }
        head
    }
}

fn before<F: Future<Output = ()> + Send + 'static>(
    method: HttpMethod,
    part: &'static str,
    deed: impl Fn() -> F + Send + Sync + 'static,
) -> Arc<HookedTransport<Meddler>> {
    hooked(false, method, part, deed)
}

/// Does something after the server has answered the first request of a kind, and before that answer is read.
fn after<F: Future<Output = ()> + Send + 'static>(
    method: HttpMethod,
    part: &'static str,
    deed: impl Fn() -> F + Send + Sync + 'static,
) -> Arc<HookedTransport<Meddler>> {
    hooked(true, method, part, deed)
}

fn hooked<F: Future<Output = ()> + Send + 'static>(
    is_after: bool,
    method: HttpMethod,
    part: &'static str,
    deed: impl Fn() -> F + Send + Sync + 'static,
) -> Arc<HookedTransport<Meddler>> {
    Arc::new(HookedTransport::new(Meddler {
        is_after,
        method,
        part,
        deed: Box::new(move || Box::pin(deed())),
        is_done: AtomicBool::new(false),
    }))
}

async fn world(server: ServerKind) -> World {
    World::new(Config {
        server,
        keys: 40,
        rooms: 4,
        ..Config::default()
    })
    .await
}

/// Moves the backup of a device that has every key, over this transport.
async fn move_over(world: &World, transport: Arc<HookedTransport<Meddler>>) -> (Arc<KeyBackupClient>, ResetReport) {
    world.open_complete().await.shutdown();
    let client = world.open_over(transport).await;
    let begun = client.reset().move_backup(ResetCause::KeyCompromised, Vec::new()).await;
    begun.expect("it begins");
    let report = client.reset().run(RunBudget::default()).await;
    (client, report)
}

const OVERTAKEN: ResetOutcome = ResetOutcome::Halted {
    why: ResetStop::Overtaken,
};

#[tokio::test]
async fn a_version_of_another_client_stops_the_move_before_or_after_ours_exists() {
    for (method, part) in [
        (HttpMethod::Put, "io.keyferry.backup_key"),
        (HttpMethod::Put, "account_data/m.megolm_backup.v1"),
        (HttpMethod::Put, "room_keys/keys"),
    ] {
        let world = world(ServerKind::Synapse).await;
        let other = OtherDevice::new(&world.homeserver);
        let deed = move || {
            let other = other.clone();
            async move { other.create_version().await }
        };
        let (client, report) = move_over(&world, before(method, part, deed)).await;
        assert_eq!(report.outcome, OVERTAKEN, "{part}");
        assert!(world.homeserver.versions().contains(&"1".to_owned()));
        // Nothing more is written by itself.
        world.homeserver.reset_requests();
        assert_eq!(
            client.reset().run(RunBudget::default()).await.outcome,
            ResetOutcome::NothingToDo
        );
        assert_eq!(world.homeserver.requests().total(), 0);
        // It goes on when the user says so. The other client's version is locked, and empty.
        let begun = client.reset().move_backup(ResetCause::KeyCompromised, Vec::new()).await;
        let losses = match begun {
            Err(ResetError::LosesKeys { losses }) => losses,
            other => panic!("{part}: {other:?}"),
        };
        assert_eq!(losses[0].kind, LossKind::NotFetched);
        client.download().run(RunBudget::default()).await;
        let begun = client.reset().move_backup(ResetCause::KeyCompromised, Vec::new()).await;
        begun.expect("it begins");
        let report = client.reset().run(RunBudget::default()).await;
        assert_eq!(report.outcome, ResetOutcome::Completed, "{part}");
        world.assert_restores().await;
    }
}

#[tokio::test]
async fn a_version_of_another_client_stops_a_move_that_reads_its_own_back() {
    for has_keys in [false, true] {
        let world = world(ServerKind::Synapse).await;
        world.open_complete().await.shutdown();
        let interrupted = Arc::new(OnceLock::<Arc<KeyBackupClient>>::new());
        let slot = interrupted.clone();
        let transport = before(HttpMethod::Get, "room_keys/keys?version=2", move || {
            let client = slot.get().expect("it is open").clone();
            async move { client.download().end_run() }
        });
        let client = world.open_over(transport).await;
        assert!(interrupted.set(client.clone()).is_ok());
        let begun = client.reset().move_backup(ResetCause::KeyCompromised, Vec::new()).await;
        begun.expect("it begins");
        let report = client.reset().run(RunBudget::default()).await;
        let step = report.status.expect("a status").step;
        assert!(matches!(step, ResetStep::Adopted | ResetStep::ReadingBack), "{step:?}");

        match has_keys {
            true => world.homeserver.set_version_state(VersionAction::NewWithKeys),
            false => OtherDevice::new(&world.homeserver).create_version().await,
        }
        assert_eq!(client.reset().run(RunBudget::default()).await.outcome, OVERTAKEN);
    }
}

#[tokio::test]
async fn an_earlier_version_of_ours_that_is_current_again_stops_the_move() {
    let world = world(ServerKind::Synapse).await;
    let other = OtherDevice::new(&world.homeserver);
    // Version 2 is ours, 3 is theirs, and 4 has the key of 2. They delete 4 and 3.
    let (first, second) = (other.clone(), other.clone());
    let transport = before(HttpMethod::Put, "room_keys/keys", move || {
        let other = first.clone();
        async move { other.create_version().await }
    });
    let (client, report) = move_over(&world, transport).await;
    assert_eq!(report.outcome, OVERTAKEN);
    client.download().run(RunBudget::default()).await;
    client.shutdown();
    let transport = before(HttpMethod::Get, "room_keys/keys?version=4", move || {
        let other = second.clone();
        async move {
            other.delete_current_version().await;
            other.delete_current_version().await;
        }
    });
    let client = world.open_over(transport).await;
    let begun = client.reset().move_backup(ResetCause::KeyCompromised, Vec::new()).await;
    begun.expect("it begins");
    assert_eq!(client.reset().run(RunBudget::default()).await.outcome, OVERTAKEN);
    assert_eq!(world.homeserver.current_version().as_deref(), Some("2"));
}

#[tokio::test]
async fn an_earlier_version_of_ours_does_not_count_as_the_proved_one() {
    let world = world(ServerKind::Synapse).await;
    let other = OtherDevice::new(&world.homeserver);
    // Version 2 is ours, 3 is theirs. Version 4 has the key of 2, and the same etag and count.
    let first = other.clone();
    let transport = after(HttpMethod::Put, "room_keys/keys", move || {
        let other = first.clone();
        async move { other.create_version().await }
    });
    let (client, report) = move_over(&world, transport).await;
    assert_eq!(report.outcome, OVERTAKEN);
    client.download().run(RunBudget::default()).await;
    let begun = client.reset().move_backup(ResetCause::KeyCompromised, Vec::new()).await;
    begun.expect("it begins");
    let report = client.reset().run(RunBudget::default()).await;
    assert_eq!(report.outcome, ResetOutcome::Completed);
    other.delete_current_version().await;
    other.delete_current_version().await;
    assert_eq!(world.homeserver.current_version().as_deref(), Some("2"));

    let deleted = client.reset().delete_version("1".to_owned(), Vec::new()).await;
    let why = ResetStop::Overtaken;
    assert_eq!(deleted, Err(ResetError::Halted { why }));
    assert!(world.homeserver.versions().contains(&"1".to_owned()));
}

#[tokio::test]
async fn a_client_that_deletes_the_current_version_finds_the_new_one_empty() {
    // Element's automatic repair deletes the current version when the secret does not fit it. After the POST, that is
    // the new and still empty one.
    let world = world(ServerKind::Synapse).await;
    let other = OtherDevice::new(&world.homeserver);
    let deed = move || {
        let other = other.clone();
        async move { other.delete_current_version().await }
    };
    let transport = before(HttpMethod::Put, "account_data/m.megolm_backup.v1", deed);
    let (client, report) = move_over(&world, transport).await;
    assert_eq!(report.outcome, OVERTAKEN);
    assert_eq!(world.homeserver.versions(), ["1"], "the old one is untouched");
    // The download finds out that the new one is gone.
    client.download().run(RunBudget::default()).await;
    let begun = client.reset().move_backup(ResetCause::KeyCompromised, Vec::new()).await;
    begun.expect("it begins again");
    let report = client.reset().run(RunBudget::default()).await;
    assert_eq!(report.outcome, ResetOutcome::Completed);
    world.assert_restores().await;
}

#[tokio::test]
async fn new_secret_storage_of_another_client_stops_the_move() {
    let world = world(ServerKind::Synapse).await;
    let homeserver = world.homeserver.clone();
    let deed = move || {
        let homeserver = homeserver.clone();
        async move { homeserver.set_account_data("m.secret_storage.default_key", json!({ "key": "theirs" })) }
    };
    let (_, report) = move_over(&world, before(HttpMethod::Post, "room_keys/version", deed)).await;
    let why = ResetStop::SecretStorageChanged;
    assert_eq!(report.outcome, ResetOutcome::Halted { why });
    assert!(world.homeserver.versions().contains(&"1".to_owned()));
}

#[tokio::test]
async fn copies_that_other_devices_upload_meanwhile_are_kept_or_repaired() {
    for server in [ServerKind::Synapse, ServerKind::Dendrite, ServerKind::Conduit] {
        let world = world(server).await;
        let other = OtherDevice::new(&world.homeserver);
        let truth = |index| world.homeserver.truth().key(index);
        // A copy that begins later, one that is as good, and a key that the vault does not have.
        let worse = from_index(&truth(3), truth(3).first_known_index + 7);
        let copies = [worse, truth(8), crate::reset::world::unknown_key()];
        let deed = move || {
            let (other, copies) = (other.clone(), copies.clone());
            async move {
                for copy in &copies {
                    other.upload("2", copy, 0).await;
                }
            }
        };
        let (client, report) = move_over(&world, before(HttpMethod::Put, "room_keys/keys", deed)).await;
        assert_eq!(report.outcome, ResetOutcome::Completed, "{server:?}");
        assert_eq!(report.status.expect("a status").unreplaced, 0, "{server:?}");
        world.assert_restores().await;
        client
            .reset()
            .delete_version("1".to_owned(), Vec::new())
            .await
            .expect("deleted");
        world.assert_restores().await;
    }
}

#[tokio::test]
async fn a_forgery_that_the_server_does_not_replace_is_named_as_a_loss() {
    let world = world(ServerKind::Synapse).await;
    let other = OtherDevice::new(&world.homeserver);
    let victim = world.homeserver.truth().key(5);
    let deed = {
        let victim = victim.clone();
        move || {
            let (other, victim) = (other.clone(), victim.clone());
            async move { other.upload_forgery("2", &victim).await }
        }
    };
    let (client, report) = move_over(&world, before(HttpMethod::Put, "room_keys/keys", deed)).await;
    assert_eq!(report.outcome, ResetOutcome::Completed);
    assert_eq!(report.status.expect("a status").unreplaced, 1);
    let reset = client.reset();
    let delete = async |accepted| reset.delete_version("1".to_owned(), accepted).await;
    let losses = match delete(Vec::new()).await {
        Err(ResetError::LosesKeys { losses }) => losses,
        other => panic!("{other:?}"),
    };
    let loss = |kind, keys| KeyLoss { kind, keys };
    assert_eq!(losses, [loss(LossKind::Conflict, 1), loss(LossKind::CannotReplace, 1)]);
    assert_eq!(world.homeserver.versions(), ["1", "2"]);
    delete(losses).await.expect("the loss is accepted");
    assert_eq!(world.homeserver.versions(), ["2"]);
}
