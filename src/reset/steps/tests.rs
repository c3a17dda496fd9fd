use super::*;
use crate::{backup::version::Algorithm, vault::MoveRow};

fn info(version: &str, public_key: [u8; 32]) -> VersionInfo {
    VersionInfo {
        version: version.to_owned(),
        algorithm: Algorithm::Curve25519AesSha2,
        public_key: Some(public_key),
        count: Some(0),
        etag: "0".to_owned(),
        passphrase: None,
    }
}

fn moving() -> Move {
    let old = OldVersion::from(&info("1", [1; 32]));
    Move::new(
        Some(ResetCause::KeyCompromised),
        Some(old),
        KeyBytes::new([7; 32]),
        None,
    )
}

fn sent(keys: u64, through: i64) -> Sent {
    Sent {
        keys,
        bytes: 0,
        through: EntryId(through),
        mark: VersionMark::default(),
        is_last: false,
    }
}

#[test]
fn what_the_server_calls_current_decides_about_a_post() {
    let mut state = moving();
    let (old, ours) = (info("1", [1; 32]), info("2", state.public_key));
    assert_eq!(state.look(Some(&old)), Look::Post);
    // Another key under the old number, another number with the old key, or none: somebody else was there.
    for theirs in [Some(info("1", [9; 32])), Some(info("2", [1; 32])), None] {
        assert_eq!(state.look(theirs.as_ref()), Look::Overtaken);
    }
    // The answer to a post may be lost: whatever was sent, only the server knows.
    state.announce_post();
    assert_eq!(state.look(Some(&old)), Look::Post);
    assert_eq!(state.look(Some(&ours)), Look::Created);
    assert!(!state.can_be_cancelled());
    state.note_post(Some("2".to_owned()));
    for number in ["3", "4"] {
        assert_eq!(state.look(Some(&old)), Look::Post);
        state.announce_post();
        state.note_post(Some(number.to_owned()));
    }
    let posted = ["2", "3", "4"].map(str::to_owned).to_vec();
    assert_eq!(state.look(Some(&old)), Look::GiveUp(posted));
}

#[test]
fn a_post_that_had_no_effect_does_not_count() {
    let mut state = moving();
    for _ in 0..10 {
        state.announce_post();
        state.note_post(None);
    }
    assert!(state.can_be_cancelled());
    assert_eq!(state.look(Some(&info("1", [1; 32]))), Look::Post);
}

#[test]
fn a_round_that_sends_nothing_proves_the_version_if_nobody_has_changed_it() {
    let mut state = moving();
    state.mark_created(VersionRowId(7), VersionMark::default());
    state.step = ResetStep::Adopted;
    assert_eq!(state.reads_back(), Some(VersionRowId(7)));
    state.begin_to_send(VersionMark::default());
    assert_eq!(state.reads_back(), None);
    state.note_sent(&sent(90, 100));
    state.end_round(true);
    assert_eq!(
        (state.step, state.sent_through),
        (ResetStep::ReadingBack, EntryId::NONE)
    );
    // Nothing was sent, but somebody else has been there.
    state.begin_to_send(VersionMark::default());
    state.note_sent(&sent(0, 200));
    state.end_round(false);
    assert_eq!(state.step, ResetStep::ReadingBack);
    state.begin_to_send(VersionMark::default());
    state.note_sent(&sent(0, 200));
    state.end_round(true);
    assert_eq!((state.step, state.unreplaced, state.sent), (ResetStep::Proved, 0, 90));
}

#[test]
fn what_the_server_does_not_take_is_named_after_the_last_round() {
    let mut state = moving();
    let mut rounds = 0;
    while state.step != ResetStep::Proved {
        state.begin_to_send(VersionMark::default());
        state.note_sent(&sent(3, 100));
        state.end_round(true);
        rounds += 1;
    }
    assert_eq!((rounds, state.unreplaced), (MOST_ROUNDS, 3));
    state.prove_again();
    assert_eq!((state.step, state.round), (ResetStep::ReadingBack, 0));
}

#[test]
fn an_upload_in_doubt_is_remembered_until_its_end_is_known() {
    let mut state = moving();
    let upload = Announced {
        through: EntryId(50),
        new_keys: 40,
    };
    state.announce(upload);
    let again = Move::from(MoveRow::from(&state));
    assert_eq!(again.in_doubt(), Some(upload));
    state.note_sent(&sent(40, 50));
    assert_eq!(Move::from(MoveRow::from(&state)).in_doubt(), None);
}

#[test]
fn a_stopped_move_is_taken_up_with_its_key_and_storage() {
    let mut stopped = moving();
    stopped.mark_stopped(ResetStop::Overtaken);
    assert!(!stopped.is_under_way());
    let key = stopped.key.clone();
    let again = stopped.begin_again(None, None);
    assert!(again.key == key && again.is_under_way());
    assert_eq!(again.first_storage, None, "it has renewed the storage itself");
}
