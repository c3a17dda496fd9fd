//! Random sequences of honest and dishonest answers, and the rules that hold for all of them.
//!
//! The server is a transport without a network, so that a case takes milliseconds. Time passes a thousand times as
//! fast. For more cases: `PROPTEST_CASES=1000 cargo test --release --test it dishonest`.

mod copies;
mod play;
mod server;
mod transport;

use std::time::Duration;

use keyferry::RunOutcome;
use play::{Copy, KEYS, Play, ROOMS};
use proptest::prelude::*;
use server::{Count, Current, Document, Sickness};

const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const USUAL_CASES: u32 = 40;
/// The most requests in a week in which the server's answers stay the same. Some rooms are sick and are requested
/// again and again.
const MOST_REQUESTS_IN_A_WEEK: u64 = 600;

/// One step of a sequence.
#[derive(Clone, Debug)]
enum Act {
    Run,
    Restart,
    FetchSession(u64),
    FetchRoom(u64),
    WantRoom(u64),
    /// Adds this many missing keys, as late copies.
    Add(u64),
    /// Replaces the entry of a key.
    Replace(u64, Copy),
    /// Adds a copy of a key to a room that is not its own.
    Misplace(u64, u64, Copy),
    Count(Count),
    Document(Document),
    SickEverything(Option<Sickness>),
    SickRoom(u64, Option<Sickness>),
    Freeze(bool),
    Tell(Current),
    /// Creates a version with one of two backup keys, either empty or with copies of half of all room keys.
    NewVersion(usize, Option<Copy>),
    DeleteVersion,
}

fn act() -> impl Strategy<Value = Act> {
    let copy = || {
        prop_oneof![
            Just(Copy::Early),
            Just(Copy::Late),
            Just(Copy::Forged),
            Just(Copy::Garbage)
        ]
    };
    let sickness = || {
        proptest::option::of(prop_oneof![
            prop_oneof![Just(504_u16), Just(500), Just(404), Just(403)].prop_map(Sickness::Status),
            Just(Sickness::NotJson),
            Just(Sickness::WrongShape),
            Just(Sickness::Cut),
        ])
    };
    prop_oneof![
        6 => Just(Act::Run),
        1 => Just(Act::Restart),
        1 => (0..KEYS).prop_map(Act::FetchSession),
        1 => (0..ROOMS).prop_map(Act::FetchRoom),
        1 => (0..ROOMS).prop_map(Act::WantRoom),
        4 => (1..5_u64).prop_map(Act::Add),
        3 => (0..KEYS, copy()).prop_map(|(key, copy)| Act::Replace(key, copy)),
        1 => (0..KEYS, 0..ROOMS, copy()).prop_map(|(key, room, copy)| Act::Misplace(key, room, copy)),
        2 => prop_oneof![
            2 => Just(Count::Honest),
            1 => Just(Count::Missing),
            1 => (0..20_u64).prop_map(Count::Of),
            1 => (1..4_u64).prop_map(Count::TooMany),
            1 => (1..4_u64).prop_map(Count::TooFew),
        ]
        .prop_map(Act::Count),
        2 => prop_oneof![
            Just(Document::Honest),
            Just(Document::Empty),
            Just(Document::ErrorWithin),
            Just(Document::NoRooms),
            Just(Document::RoomsInAList),
            Just(Document::BareEntries),
            Just(Document::EveryOtherRoom),
        ]
        .prop_map(Act::Document),
        1 => sickness().prop_map(Act::SickEverything),
        2 => (0..ROOMS, sickness()).prop_map(|(room, sickness)| Act::SickRoom(room, sickness)),
        1 => any::<bool>().prop_map(Act::Freeze),
        1 => prop_oneof![Just(Current::Told), Just(Current::NotFound), Just(Current::Fault)].prop_map(Act::Tell),
        1 => (0..2_usize, proptest::option::of(copy())).prop_map(|(key, copies)| Act::NewVersion(key, copies)),
        1 => Just(Act::DeleteVersion),
    ]
}

fn cases() -> u32 {
    let asked_for = std::env::var("PROPTEST_CASES").ok();
    asked_for.and_then(|cases| cases.parse().ok()).unwrap_or(USUAL_CASES)
}

proptest! {
    #![proptest_config(ProptestConfig {
        max_shrink_iters: 60,
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases())
    })]

    #[test]
    fn no_server_answer_loses_a_key_or_causes_a_false_claim(acts in proptest::collection::vec(act(), 1..30)) {
        play_all(acts);
    }
}

fn play_all(acts: Vec<Act>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        // A thread of each run is always busy, so the paused clock would stand still without this task.
        let clock = tokio::spawn(async {
            loop {
                tokio::time::advance(Duration::from_secs(1)).await;
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let mut play = Play::new().await;
        for act in acts {
            perform(&mut play, act).await;
        }
        the_server_settles(&mut play).await;
        clock.abort();
    });
}

async fn perform(play: &mut Play, act: Act) {
    match act {
        Act::Run => drop(play.run().await),
        Act::Restart => play.restart().await,
        Act::FetchSession(key) => play.fetch_session(key).await,
        Act::FetchRoom(room) => play.fetch_room(room).await,
        Act::WantRoom(room) => play.want_room(room).await,
        act => change(play, act),
    }
}

/// Performs an act of the server.
fn change(play: &Play, act: Act) {
    let mut state = play.server.state();
    let versions = state.versions.len();
    match act {
        Act::Tell(current) => state.tells_current = Some(current),
        Act::NewVersion(key, copies) if versions < 4 => {
            let version = state.new_version(&play.keys[key]);
            for key in (0..KEYS / 2).filter(|_| copies.is_some()) {
                let entry = play.entry(key, copies.unwrap_or(Copy::Late), version);
                version.put(play.name(key), entry);
            }
        }
        Act::DeleteVersion => {
            if let Some(version) = state.current() {
                version.is_gone = true;
            }
            state.current = (0..versions).rev().find(|index| !state.versions[*index].is_gone);
        }
        act => {
            if let Some(version) = state.current() {
                change_version(play, version, act);
            }
        }
    }
}

fn change_version(play: &Play, version: &mut server::Version, act: Act) {
    match act {
        Act::Add(count) => {
            let missing = (0..KEYS).filter(|key| !version.entries.contains_key(&play.name(*key)));
            for key in missing.take(count as usize).collect::<Vec<_>>() {
                let entry = play.entry(key, Copy::Late, version);
                version.put(play.name(key), entry);
            }
        }
        Act::Replace(key, copy) if version.entries.contains_key(&play.name(key)) => {
            let entry = play.entry(key, copy, version);
            version.put(play.name(key), entry);
        }
        Act::Misplace(key, room, copy) => {
            let (_, session) = play.name(key);
            let entry = play.entry(key, copy, version);
            version.put((play.room_id(room), session), entry);
        }
        Act::Count(count) => version.lie_about_the_count(count),
        Act::Document(document) => version.document = document,
        Act::SickEverything(sickness) => version.sick_everything = sickness,
        Act::SickRoom(room, sickness) => {
            let room = play.room_id(room);
            version.sick_rooms.remove(&room);
            version.sick_rooms.extend(sickness.map(|sickness| (room, sickness)));
        }
        Act::Freeze(is_frozen) => version.is_frozen = is_frozen,
        _ => {}
    }
}

/// Checks how the client settles. For a week the server's answers do not change, not even its refusals; after that it
/// answers honestly.
async fn the_server_settles(play: &mut Play) {
    {
        let mut state = play.server.state();
        if let Some(version) = state.current() {
            version.etag += 1;
        }
    }
    a_week(play).await;
    every_room_that_answers_is_here(play).await;
    {
        let mut state = play.server.state();
        state.tells_current = Some(Current::Told);
        if state.current.is_none() {
            return;
        }
        for version in &mut state.versions {
            version.etag += 1;
            version.lie_about_the_count(Count::Honest);
            version.document = Document::Honest;
            version.sick_everything = None;
            version.sick_rooms.clear();
        }
    }
    let outcome = a_week(play).await;
    assert!(
        matches!(outcome, RunOutcome::Completed { .. }),
        "the server is honest: {outcome:?}"
    );
    every_room_that_answers_is_here(play).await;
}

/// Follows the wake-ups for a week and returns the last outcome.
async fn a_week(play: &mut Play) -> RunOutcome {
    let mut left = WEEK;
    play.server.state().requests = 0;
    loop {
        let requests = play.server.state().requests;
        assert!(requests <= MOST_REQUESTS_IN_A_WEEK, "{requests} requests in a week");
        let report = play.run().await;
        // A host may wake the client late, but never early.
        let wait = report.wake_up.map_or(WEEK, |wake_up| wake_up.not_before.into());
        let wait = wait.max(Duration::from_secs(1));
        play.let_pass(wait.min(left));
        left = left.saturating_sub(wait);
        if left.is_zero() {
            return play.run().await.outcome;
        }
    }
}

/// Asserts that nothing that is served room by room is missing: if the honest key is not here, another copy is.
async fn every_room_that_answers_is_here(play: &Play) {
    let names: Vec<_> = {
        let mut state = play.server.state();
        let is_told = state.tells_current.is_none_or(|tells| tells == Current::Told);
        let Some(version) = state.current().filter(|_| is_told) else {
            return;
        };
        if version.hides_entries_unnoticed() {
            // Nothing shows the client that these entries exist.
            return;
        }
        let names = version.entries.keys();
        names
            .filter(|(room, _)| !version.sick_rooms.contains_key(room))
            .cloned()
            .collect()
    };
    for name in names {
        assert!(play.is_here(&name).await, "{name:?} is not here");
    }
}
