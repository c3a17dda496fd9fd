//! Several devices upload different copies in any order while a backup moves. In the end the server has the best
//! connected copy of each session.
//!
//! No device can upload between our look at the version and our upload: where a server replaces without a look, nobody
//! could prevent that.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use keyferry::{
    HttpExchange, HttpHead, HttpMethod, HttpRequest, ResetCause, ResetOutcome, RoomKeyLookup, RunBudget,
    TransportError, UnlockSecret,
};
use keyferry_test_homeserver::{Config, ServerKind, TrueKey};
use proptest::{collection::vec, prelude::*};

use super::{
    other_device::OtherDevice,
    world::{World, unknown_key},
};
use crate::support::{
    Setup,
    backup_entry::from_index,
    run_to_completion,
    transport::{HookedTransport, Hooks},
};

const SESSIONS: usize = 8;

/// The index from which our copies begin.
const OURS: u32 = 2;

/// A copy that another device uploads.
#[derive(Clone, Debug)]
struct Copy {
    session: usize,
    begins: u32,
    forwarded: u32,
    /// After how many of our requests it comes.
    after: u32,
}

fn copies() -> impl Strategy<Value = Vec<Copy>> {
    let copy = (0..SESSIONS, 0..6_u32, 0..2_u32, 0..30_u32);
    vec(
        copy.prop_map(|(session, begins, forwarded, after)| Copy {
            session,
            begins,
            forwarded,
            after,
        }),
        0..12,
    )
}

/// Uploads copies in between, once the new version exists.
struct InBetween {
    device: OtherDevice,
    requests: Mutex<u32>,
    copies: Mutex<VecDeque<(u32, Copy)>>,
    sessions: Vec<TrueKey>,
    /// The first index of the best copy of each session that there has been.
    best: Arc<Mutex<[u32; SESSIONS]>>,
}

impl InBetween {
    fn due(&self) -> Vec<Copy> {
        let mut requests = self.requests.lock().expect("not poisoned");
        *requests += 1;
        let mut copies = self.copies.lock().expect("not poisoned");
        let mut due = Vec::new();
        while let Some((_, copy)) = copies.pop_front_if(|(after, _)| *after <= *requests) {
            due.push(copy);
        }
        due
    }
}

#[async_trait]
impl Hooks for InBetween {
    async fn head(&self, request: &HttpRequest, answer: &dyn HttpExchange) -> Result<HttpHead, TransportError> {
        if request.method != HttpMethod::Put && self.device.has_version("2") {
            for copy in self.due() {
                let key = from_index(&self.sessions[copy.session], copy.begins);
                self.device.upload("2", &key, copy.forwarded).await;
                let best = &mut self.best.lock().expect("not poisoned")[copy.session];
                *best = copy.begins.min(*best);
            }
        }
        answer.head().await
    }
}

async fn move_amid(server: ServerKind, copies: &[Copy]) {
    let world = World::in_old_storage(Config {
        server,
        keys: 0,
        rooms: 0,
        ..Config::default()
    })
    .await;
    let sessions: Vec<TrueKey> = (0..SESSIONS).map(|_| unknown_key()).collect();
    let device = OtherDevice::new(&world.homeserver);
    for session in &sessions {
        device.upload("1", &from_index(session, OURS), 1).await;
    }
    world.open_complete().await.shutdown();

    let best = Arc::new(Mutex::new([OURS; SESSIONS]));
    let mut scheduled: Vec<_> = copies.iter().map(|copy| (copy.after, copy.clone())).collect();
    scheduled.sort_by_key(|(after, _)| *after);
    let transport = HookedTransport::new(InBetween {
        device,
        requests: Mutex::new(0),
        copies: Mutex::new(scheduled.into()),
        sessions: sessions.clone(),
        best: best.clone(),
    });
    let client = world.open_over(Arc::new(transport)).await;
    let begun = client.reset().move_backup(ResetCause::BackupDamaged, Vec::new()).await;
    begun.expect("it begins");
    let report = client.reset().run(RunBudget::default()).await;
    assert_eq!(report.outcome, ResetOutcome::Completed, "{report:?}");
    client.shutdown();

    let fresh = Setup::new(&world.homeserver);
    let client = fresh.open().await;
    let text = world.recovery_key.as_str().into();
    let unlocked = client.unlock(UnlockSecret::RecoveryKey { text }).await;
    unlocked.expect("the recovery key fits");
    run_to_completion(&client).await;
    let best = *best.lock().expect("not poisoned");
    for (session, best) in sessions.iter().zip(best) {
        let (room_id, session_id) = (session.room_id.clone(), session.session_id.clone());
        let found = client.find_room_key(room_id, session_id).await.expect("a look-up");
        let RoomKeyLookup::Found { key, .. } = found else {
            panic!("{server:?}: {found:?}")
        };
        assert_eq!(key.first_known_index, best, "{server:?}");
        assert!(key.shared_history);
    }
}

fn check(server: ServerKind, copies: &[Copy]) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(move_amid(server, copies));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_server_that_compares_ends_with_the_best_of_all_copies(copies in copies()) {
        check(ServerKind::Dendrite, &copies);
    }

    // Where a server replaces a better copy by a worse one, another device can lose what we never saw. So here only one
    // other device has each session.
    #[test]
    fn a_server_that_replaces_too_much_ends_with_the_best_of_two(copies in copies(), is_synapse in any::<bool>()) {
        let mut seen = HashSet::new();
        let copies: Vec<Copy> = copies.into_iter().filter(|copy| seen.insert(copy.session)).collect();
        check(if is_synapse { ServerKind::Synapse } else { ServerKind::Conduit }, &copies);
    }
}
