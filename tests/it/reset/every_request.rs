//! Walks through every request of a move, and fails it, cuts it off, loses its answer, or kills the client around it.
//! Whatever happens, no key is lost, the old version stays, and a new device could open the current version at any
//! moment.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use keyferry::{
    HttpExchange, HttpHead, HttpRequest, KeyBackupClient, ResetCause, ResetOutcome, RunBudget, TransportError,
};
use keyferry_test_homeserver::Config;
use tokio::{sync::Notify, task::JoinSet};

use super::world::World;
use crate::support::transport::{HookedTransport, Hooks};

const KEYS: u64 = 40;
/// Moves that are made at the same time.
const AT_ONCE: usize = 8;

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mishap {
    /// There is no network.
    Fail,
    /// The server answers 500, and has done nothing.
    Fault,
    /// The request has its effect, and its answer is cut off in the body.
    Cut,
    /// The request has its effect, and its answer is lost.
    Lose,
    /// The process is killed before the request is sent.
    KillBefore,
    /// The process is killed after the request has had its effect.
    KillAfter,
}

const MISHAPS: [Mishap; 6] = [
    Mishap::Fail,
    Mishap::Fault,
    Mishap::Cut,
    Mishap::Lose,
    Mishap::KillBefore,
    Mishap::KillAfter,
];

/// Lets one mishap happen to the request with this number.
struct OneMishap {
    at: usize,
    mishap: Mishap,
    requests: Arc<AtomicUsize>,
    victim: Mutex<Option<HttpRequest>>,
    killed: Arc<Notify>,
}

impl OneMishap {
    fn hits(&self, request: &HttpRequest) -> bool {
        self.victim.lock().expect("not poisoned").as_ref() == Some(request)
    }

    /// Whether this is the request that is hit. Forgets it, so that it is hit once.
    fn takes(&self, request: &HttpRequest) -> bool {
        let mut victim = self.victim.lock().expect("not poisoned");
        victim.take_if(|victim| victim == request).is_some()
    }
}

#[async_trait]
impl Hooks for OneMishap {
    fn before(&self, request: &HttpRequest) -> Result<(), TransportError> {
        if self.requests.fetch_add(1, Ordering::SeqCst) != self.at {
            return Ok(());
        }
        if self.mishap == Mishap::Fail {
            return Err(TransportError::Offline);
        }
        *self.victim.lock().expect("not poisoned") = Some(request.clone());
        Ok(())
    }

    async fn head(&self, request: &HttpRequest, answer: &dyn HttpExchange) -> Result<HttpHead, TransportError> {
        if self.mishap == Mishap::Cut || !self.takes(request) {
            return answer.head().await;
        }
        match self.mishap {
            Mishap::Fault => Ok(HttpHead {
                status: 500,
                headers: Vec::new(),
            }),
            Mishap::KillBefore => {
                self.killed.notify_one();
                std::future::pending().await
            }
            Mishap::KillAfter => {
                answer.head().await?;
                self.killed.notify_one();
                std::future::pending().await
            }
            _ => {
                answer.head().await?;
                Err(TransportError::Interrupted)
            }
        }
    }

    async fn chunk(
        &self,
        request: &HttpRequest,
        _number: usize,
        answer: &dyn HttpExchange,
    ) -> Result<Option<Vec<u8>>, TransportError> {
        if self.hits(request) && self.takes(request) {
            return Err(TransportError::Interrupted);
        }
        // The body of an invented answer is empty: nothing was sent.
        match answer.next_chunk().await {
            Err(TransportError::Closed) => Ok(None),
            chunk => chunk,
        }
    }
}

async fn world() -> World {
    World::new(Config {
        keys: KEYS,
        rooms: 3,
        ..Config::default()
    })
    .await
}

/// Begins a move on a device that has every key.
async fn begun(world: &World) {
    let client = world.open_complete().await;
    let begun = client.reset().move_backup(ResetCause::KeyCompromised, Vec::new()).await;
    begun.expect("it begins");
    client.shutdown();
}

async fn open(world: &World, at: usize, mishap: Mishap) -> (Arc<KeyBackupClient>, Arc<AtomicUsize>, Arc<Notify>) {
    let (requests, killed) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let transport = HookedTransport::new(OneMishap {
        at,
        mishap,
        requests: requests.clone(),
        victim: Mutex::default(),
        killed: killed.clone(),
    });
    (world.open_over(Arc::new(transport)).await, requests, killed)
}

/// Runs the move to its end, and asserts after every run that nothing is lost.
async fn complete(world: &World, client: &KeyBackupClient, context: &str) {
    for _ in 0..20 {
        let report = client.reset().run(RunBudget::default()).await;
        world.assert_nothing_is_lost(context);
        match report.outcome {
            ResetOutcome::Completed => return,
            ResetOutcome::Blocked { .. } | ResetOutcome::OutOfBudget => {}
            outcome => panic!("{context}: {outcome:?}, {:?}", report.status),
        }
    }
    panic!("{context}: it does not complete");
}

/// Moves a backup while one request of the move meets with a mishap.
async fn move_with(at: usize, mishap: Mishap) {
    let context = format!("request {at}, {mishap:?}");
    let world = world().await;
    begun(&world).await;
    let (client, _, killed) = open(&world, at, mishap).await;
    let is_killed = tokio::select! {
        () = complete(&world, &client, &context) => false,
        () = killed.notified() => true,
    };
    client.shutdown();
    if is_killed {
        world.assert_nothing_is_lost(&context);
        client.download().await_quiescent().await;
        complete(&world, &*world.open().await, &context).await;
    }
    world.assert_restores().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_of_a_move_can_go_wrong_and_lose_a_key() {
    let world = world().await;
    begun(&world).await;
    let (client, requests, _) = open(&world, usize::MAX, Mishap::Fail).await;
    complete(&world, &client, "undisturbed").await;
    let requests = requests.load(Ordering::SeqCst);
    assert!(requests > 30, "{requests} requests");

    let cases = (0..requests).flat_map(|at| MISHAPS.map(|mishap| (at, mishap)));
    let mut moves = JoinSet::new();
    for (at, mishap) in cases {
        if moves.len() >= AT_ONCE {
            moves
                .join_next()
                .await
                .expect("one of them")
                .expect("it does not panic");
        }
        moves.spawn(async move {
            let moved = tokio::time::timeout(Duration::from_secs(120), move_with(at, mishap)).await;
            moved.unwrap_or_else(|_| panic!("request {at}, {mishap:?}: it takes too long"));
        });
    }
    while let Some(moved) = moves.join_next().await {
        moved.expect("it does not panic");
    }
}
