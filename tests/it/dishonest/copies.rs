//! Copies of one session that the server forges, and what an event proves about them.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use keyferry::{KeyBackupClient, KeyProof, RoomKey, RoomKeyLookup, RunBudget, RunOutcome, RunReport, UnlockSecret};
use matrix_sdk_crypto::{
    store::types::BackupDecryptionKey,
    vodozemac::megolm::{ExportedSessionKey, GroupSession, InboundGroupSession, SessionConfig},
};
use serde_json::{Value, json};

use super::{server::Name, transport::Server};
use crate::support::{Setup, backup_entry::seal, homeserver, run_to_completion};

const ROOM: &str = "!room:localhost";
/// More copies than the vault keeps of one session.
const MANY: u8 = 33;
/// Where the last of the four parts of a ratchet lies in an exported session. Every 256th message replaces this part
/// by one that is derived from the others.
const LAST_PART: usize = 5 + 96;

/// A sender in a room, and a server that can forge copies of its session.
struct Lab {
    sender: GroupSession,
    session: InboundGroupSession,
    server: Server,
    setup: Setup,
    client: Arc<KeyBackupClient>,
}

impl Lab {
    async fn new() -> Self {
        let lab = Self::locked().await;
        lab.unlock().await;
        lab
    }

    async fn locked() -> Self {
        let homeserver = homeserver(1, 1);
        let setup = Setup::with_sink(&homeserver);
        let server = Server::default();
        server.state().joined = vec![ROOM.to_owned()];
        server.state().new_version(&key());
        let sender = GroupSession::new(SessionConfig::version_1());
        let session = InboundGroupSession::new(&sender.session_key(), SessionConfig::version_1());
        let client = setup.open_over(setup.options(), Arc::new(server.clone())).await;
        Self {
            sender,
            session,
            server,
            client: client.expect("it opens"),
            setup,
        }
    }

    fn name(&self, room: &str) -> Name {
        (room.to_owned(), self.sender.session_id())
    }

    /// Returns the session as it is exported from a message onwards.
    fn from(&self, index: u32) -> Vec<u8> {
        // Exporting advances a session for good, so this exports a copy.
        let mut copy = InboundGroupSession::from_pickle(self.session.pickle());
        copy.export_at(index).expect("the session begins at 0").to_bytes()
    }

    /// Returns a forgery that claims to be the session from a message onwards. Making it takes no key of the session.
    fn forged(&self, index: u32, fill: u8) -> Vec<u8> {
        let mut session = self.from(0);
        session[1..5].copy_from_slice(&index.to_be_bytes());
        session[5..133].fill(fill);
        session
    }

    /// Puts a copy into a room on the server.
    fn put(&self, room: &str, session: &[u8]) {
        let plaintext = json!({
            "algorithm": "m.megolm.v1.aes-sha2",
            "sender_key": STANDARD_NO_PAD.encode([3; 32]),
            "session_key": STANDARD_NO_PAD.encode(session),
            "sender_claimed_keys": {},
            "forwarding_curve25519_key_chain": [],
        });
        let index = u32::from_be_bytes(session[1..5].try_into().expect("four bytes"));
        let mut state = self.server.state();
        let version = state.current().expect("there is one");
        let entry = seal(&plaintext, index, version.public_key);
        version.put(self.name(room), entry);
    }

    fn spoil(&self, room: &str) {
        let name = self.name(room);
        self.server
            .state()
            .current()
            .expect("there is one")
            .put(name, Value::Null);
    }

    /// Returns the next event of the sender, which names this room as its own.
    fn event(&mut self, room: &str) -> String {
        let plaintext = json!({"room_id": room, "type": "m.room.message", "content": {}});
        let ciphertext = self.sender.encrypt(plaintext.to_string()).to_base64();
        json!({"type": "m.room.encrypted", "content": {"ciphertext": ciphertext}}).to_string()
    }

    fn skip_events(&mut self, count: u32) {
        (0..count).for_each(|_| drop(self.sender.encrypt("")));
    }

    async fn unlock(&self) {
        let base64 = key().to_base64().into();
        let unlocked = self.client.unlock(UnlockSecret::DecryptionKey { base64 }).await;
        unlocked.expect("it fits");
    }

    async fn run(&self) -> RunReport {
        run_to_completion(&self.client).await
    }

    async fn find(&self, room: &str) -> RoomKey {
        let (room, session) = self.name(room);
        match self.client.find_room_key(room, session).await {
            Ok(RoomKeyLookup::Found { key, .. }) => key,
            other => panic!("{other:?}"),
        }
    }

    async fn prove(&self, room: &str, event: &str) -> KeyProof {
        let (room, session) = self.name(room);
        let proof = self.client.prove_room_key(room, session, event.to_owned()).await;
        proof.expect("the vault can be read")
    }

    async fn restart(&mut self) {
        self.client.shutdown();
        let client = self
            .setup
            .open_over(self.setup.options(), Arc::new(self.server.clone()));
        self.client = client.await.expect("it opens");
    }

    fn assert_is(&self, key: &RoomKey, session: &[u8]) {
        assert_eq!(key.session_key.expose(), STANDARD_NO_PAD.encode(session));
    }
}

fn key() -> BackupDecryptionKey {
    BackupDecryptionKey::from_bytes(&[1; 32])
}

#[tokio::test]
async fn a_forgery_in_one_version_never_replaces_the_stored_key() {
    let lab = Lab::new().await;
    lab.put(ROOM, &lab.from(7));
    lab.run().await;
    for fill in 0..MANY {
        lab.put(ROOM, &lab.forged(0, fill));
        let report = lab.run().await;
        assert!(!report.every_key_is_here, "the server may be tampering");
        lab.assert_is(&lab.find(ROOM).await, &lab.from(7));
    }
    // A genuine copy that begins earlier is still taken.
    lab.put(ROOM, &lab.from(2));
    lab.run().await;
    lab.assert_is(&lab.find(ROOM).await, &lab.from(2));
    for key in lab.setup.delivered() {
        lab.assert_is(&key, &lab.from(key.first_known_index));
    }
}

#[tokio::test]
async fn earlier_forgeries_do_not_keep_the_genuine_key_out() {
    let mut lab = Lab::new().await;
    for fill in 0..MANY {
        lab.put(ROOM, &lab.forged(40 - u32::from(fill), fill));
        lab.run().await;
    }
    lab.assert_is(&lab.find(ROOM).await, &lab.forged(40, 0));
    lab.put(ROOM, &lab.from(9));
    lab.run().await;
    lab.skip_events(12);
    let event = lab.event(ROOM);
    assert_eq!(lab.prove(ROOM, &event).await, KeyProof::Proved);
    lab.restart().await;
    lab.assert_is(&lab.find(ROOM).await, &lab.from(9));
    // From now on no forgery counts, and the proved copy is not evicted.
    for fill in 0..MANY {
        lab.put(ROOM, &lab.forged(0, 100 + fill));
        lab.run().await;
        lab.assert_is(&lab.find(ROOM).await, &lab.from(9));
    }
    let last = lab.setup.delivered().pop().expect("it was delivered");
    lab.assert_is(&last, &lab.from(9));
}

#[tokio::test]
async fn a_key_behind_a_better_looking_forgery_is_found_on_request() {
    let mut lab = Lab::new().await;
    lab.put(ROOM, &lab.forged(0, 1));
    lab.run().await;
    lab.put(ROOM, &lab.from(9));
    lab.run().await;
    lab.skip_events(12);
    let event = lab.event(ROOM);
    assert_eq!(lab.prove(ROOM, &event).await, KeyProof::NotProved);
    lab.client.fetch_room(ROOM.to_owned()).await.expect("the room");
    assert_eq!(lab.prove(ROOM, &event).await, KeyProof::Proved);
    lab.assert_is(&lab.find(ROOM).await, &lab.from(9));
}

#[tokio::test]
async fn copies_that_connect_at_some_indexes_only_do_not_displace_each_other() {
    let mut lab = Lab::new().await;
    // This copy is genuine from message 256 onwards, but not before.
    let mut damaged = lab.from(0);
    damaged[LAST_PART..LAST_PART + 32].fill(9);
    for copy in [&lab.from(300), &damaged, &lab.from(10)] {
        lab.put(ROOM, copy);
        lab.run().await;
    }
    lab.client.fetch_room(ROOM.to_owned()).await.expect("the room");
    lab.run().await;
    // Nothing that was here is lost.
    let mut found = import(&lab.find(ROOM).await);
    assert_eq!(
        found.export_at(300).expect("it begins earlier").to_bytes(),
        lab.from(300)
    );
    lab.skip_events(20);
    let event = lab.event(ROOM);
    assert_eq!(lab.prove(ROOM, &event).await, KeyProof::Proved);
    lab.assert_is(&lab.find(ROOM).await, &lab.from(10));
}

fn import(key: &RoomKey) -> InboundGroupSession {
    let exported = ExportedSessionKey::from_base64(key.session_key.expose()).expect("a session");
    InboundGroupSession::import(&exported, SessionConfig::version_1())
}

#[tokio::test]
async fn an_event_proves_which_of_two_rooms_a_key_belongs_to() {
    const OTHER: &str = "!other:localhost";
    let mut lab = Lab::new().await;
    lab.put(ROOM, &lab.from(0));
    lab.put(OTHER, &lab.from(0));
    lab.run().await;
    assert!(lab.setup.delivered().is_empty(), "one answer brought both copies");
    let event = lab.event(OTHER);
    assert_eq!(
        lab.prove(ROOM, &event).await,
        KeyProof::NotProved,
        "the event names another room"
    );
    assert_eq!(lab.prove(OTHER, &event).await, KeyProof::Proved);
    lab.restart().await;
    let report = lab.run().await;
    let delivered: Vec<_> = lab.setup.delivered().into_iter().map(|key| key.room_id).collect();
    assert_eq!(delivered, [OTHER]);
    assert_eq!(report.summary.conflicts, 1, "the other copy is held back");
}

#[tokio::test]
async fn an_entry_that_was_replaced_before_the_unlock_opens() {
    let lab = Lab::locked().await;
    lab.spoil(ROOM);
    let locked = lab.client.download().run(RunBudget::default()).await;
    assert!(matches!(locked.outcome, RunOutcome::NeedsUnlock { .. }), "{locked:?}");
    lab.put(ROOM, &lab.from(0));
    lab.unlock().await;
    lab.run().await;
    let report = lab.run().await;
    assert_eq!((report.summary.failed, report.summary.opened), (0, 1));
    lab.assert_is(&lab.find(ROOM).await, &lab.from(0));
}
