use super::*;
use crate::vault::PreferenceRow;
use FormReading::{Malformed, Nothing, Says};

const READINGS: [FormReading; 4] = [Nothing, Malformed, Says(true), Says(false)];
const BASES: [Option<PreferenceValue>; 4] = [
    None,
    Some(PreferenceValue::Undetermined),
    Some(PreferenceValue::Enabled),
    Some(PreferenceValue::Disabled),
];

fn both(stable: FormReading, unstable: FormReading) -> Reading {
    Reading { stable, unstable }
}

fn reading(stable: FormReading, unstable: FormReading) -> Seen {
    both(stable, unstable).into()
}

/// Notes `seen`, and returns what the host is told then.
fn told(ledger: &mut Ledger, seen: Seen) -> Option<PreferenceNotice> {
    ledger.observe(seen);
    let news = ledger.news()?;
    ledger.mark_told(news, false);
    assert_eq!(ledger.news(), None, "told once");
    Some(news.notice)
}

fn every_ledger() -> impl Iterator<Item = Ledger> {
    READINGS.into_iter().flat_map(|stable| {
        READINGS.into_iter().flat_map(move |unstable| {
            BASES.into_iter().flat_map(move |base| {
                [true, false].into_iter().map(move |enabled| Ledger {
                    seen: reading(stable, unstable),
                    wish: Some(Wish {
                        number: WishNumber(1),
                        enabled,
                        by_user: true,
                        base,
                    }),
                    last_number: WishNumber(1),
                    ..Ledger::default()
                })
            })
        })
    })
}

#[test]
fn no_value_is_overruled_silently_and_every_wish_ends() {
    for write_unstable in [true, false] {
        for mut ledger in every_ledger() {
            let wish = ledger.wish.expect("a wish");
            let before = ledger.seen.shared().expect("it was seen").value;
            let overrules = before.choice().is_some_and(|theirs| theirs != wish.enabled);
            let mut asked = false;
            let mut written = Vec::new();
            let end = loop {
                match ledger.next_step(write_unstable) {
                    NextStep::AskHost(theirs) => {
                        assert!(!asked, "asked twice: {ledger:?}");
                        asked = true;
                        ledger.expect(WishNumber(1), theirs.value);
                    }
                    NextStep::Write(form) => {
                        written.push(form);
                        assert!(written.len() <= 2, "{ledger:?}");
                        ledger.mark_written(form, wish.enabled);
                    }
                    end => break end,
                }
            };
            assert_eq!(end, NextStep::Done);
            assert_eq!(
                asked,
                overrules && wish.base != Some(before),
                "{wish:?} over {before:?}"
            );
            let shared = ledger.seen.shared().expect("it was seen");
            assert_eq!(shared.value, PreferenceValue::of(wish.enabled));
            assert!(!write_unstable || !shared.forms_disagree);
            assert!(written.is_sorted_by_key(|form| *form == PreferenceForm::Unstable));
            ledger.end_wish(WishNumber(1));
            assert_eq!(ledger.next_step(write_unstable), NextStep::Nothing);
        }
    }
}

#[test]
fn a_choice_between_our_two_writes_is_asked_about_unless_it_is_ours() {
    let mut ledger = Ledger::default();
    ledger.observe(reading(Says(true), Says(true)));
    ledger.wish(false);
    assert_eq!(ledger.next_step(true), NextStep::Write(PreferenceForm::Stable));
    ledger.mark_written(PreferenceForm::Stable, false);
    // The process is killed here, and the server is read again.
    ledger.observe_all(both(Says(false), Says(true)));
    assert_eq!(ledger.next_step(true), NextStep::Write(PreferenceForm::Unstable));
    // Meanwhile another device turns backups on again.
    ledger.observe_all(both(Says(true), Says(true)));
    assert!(matches!(ledger.next_step(true), NextStep::AskHost(_)));
}

#[test]
fn a_choice_made_during_our_second_write_is_asked_about() {
    let mut ledger = Ledger::default();
    ledger.observe_all(both(Nothing, Nothing));
    ledger.wish(true);
    ledger.mark_written(PreferenceForm::Stable, true);
    ledger.observe(reading(Says(false), Nothing));
    ledger.mark_written(PreferenceForm::Unstable, true);
    assert!(matches!(ledger.next_step(true), NextStep::AskHost(_)));
}

#[test]
fn a_reported_notice_does_not_undo_a_write_made_meanwhile() {
    let mut ledger = Ledger::default();
    ledger.observe_all(both(Says(true), Nothing));
    ledger.first_sight_is_told();
    ledger.observe_all(both(Says(false), Nothing));
    let news = ledger.news().expect("news");
    // The user answers the notice before the host has returned from it.
    ledger.wish(true);
    ledger.mark_written(PreferenceForm::Stable, true);
    ledger.mark_told(news, true);
    assert_eq!(ledger.news(), None, "our own write is no news");
    // A change by another device is news, even if it is a change back.
    ledger.observe_all(both(Says(false), Nothing));
    let news = ledger.news().expect("news");
    ledger.observe_all(both(Says(true), Nothing));
    ledger.mark_told(news, false);
    assert!(ledger.news().is_some(), "the host still shows what it was told");
}

#[test]
fn a_later_wish_replaces_an_earlier_one() {
    let mut ledger = Ledger::default();
    ledger.observe(reading(Nothing, Nothing));
    let first = ledger.wish(true);
    let second = ledger.wish(false);
    // The first write was under way, and arrives.
    ledger.mark_written(PreferenceForm::Stable, true);
    ledger.end_wish(first);
    assert_eq!(ledger.next_step(false), NextStep::Write(PreferenceForm::Stable));
    ledger.mark_written(PreferenceForm::Stable, false);
    assert_eq!(ledger.next_step(false), NextStep::Done);
    ledger.end_wish(second);
    assert_eq!(ledger.wish, None);
}

#[test]
fn the_policy_chooses_only_without_a_value_and_gives_way_to_one() {
    for stable in READINGS {
        for unstable in READINGS {
            let mut ledger = Ledger::default();
            assert_eq!(ledger.choose(true), None, "nothing has been read");
            ledger.observe_all(both(stable, unstable));
            let is_free = both(stable, unstable).shared().value == PreferenceValue::Undetermined;
            assert_eq!(ledger.choose(true).is_some(), is_free);
            assert_eq!(ledger.choose(false), None, "there is a wish, or a value");
            if is_free {
                ledger.observe_all(both(Says(false), Nothing));
                assert!(matches!(ledger.next_step(true), NextStep::GiveWay(_)));
                ledger.observe_all(both(Says(true), Nothing));
                assert_eq!(ledger.next_step(true), NextStep::Write(PreferenceForm::Unstable));
            }
        }
    }
}

#[test]
fn each_change_is_reported_once_and_nothing_else_is() {
    let mut ledger = Ledger::default();
    assert_eq!(told(&mut ledger, Seen::default()), None);
    assert_eq!(
        told(&mut ledger, reading(Nothing, Malformed)),
        None,
        "nothing is no news"
    );
    let stable = |enabled| Seen {
        stable: Some(Says(enabled)),
        unstable: None,
    };
    let unstable = |enabled| Seen {
        stable: None,
        unstable: Some(Says(enabled)),
    };
    ledger.first_sight_is_told();
    use PreferenceForm::{Stable, Unstable};
    use PreferenceValue::{Disabled, Enabled, Undetermined};
    for (seen, news) in [
        (unstable(false), Some((Disabled, Unstable, false))),
        (stable(true), Some((Enabled, Stable, true))),
        (stable(true), None),
        (unstable(true), None),
        (stable(false), Some((Disabled, Stable, true))),
        (unstable(false), None),
        (stable(true), Some((Enabled, Stable, true))),
        (stable(false), Some((Disabled, Stable, false))),
        (reading(Nothing, Nothing), Some((Undetermined, Stable, false))),
    ] {
        let notice = told(&mut ledger, seen);
        let notice = notice.map(|notice| (notice.now.value, notice.changed, notice.now.forms_disagree));
        assert_eq!(notice, news, "{seen:?}");
    }
}

#[test]
fn a_missed_notice_is_reported_later_and_only_the_latest() {
    let mut ledger = Ledger::default();
    ledger.observe(reading(Says(true), Nothing));
    ledger.first_sight_is_told();
    ledger.observe(reading(Says(false), Nothing));
    assert!(ledger.news().is_some(), "nobody has called has_told");
    assert!(ledger.news().is_some());
    ledger.observe(reading(Says(true), Nothing));
    assert_eq!(ledger.news(), None, "it is what it was");
}

#[test]
fn the_notice_of_a_first_value_has_no_value_before() {
    let notice = told(&mut Ledger::default(), reading(Says(false), Nothing)).expect("news");
    assert_eq!((notice.before, notice.now.value), (None, PreferenceValue::Disabled));
}

#[test]
fn a_write_with_unknown_result_is_ours_unless_the_server_contradicts() {
    let mut ledger = Ledger::default();
    ledger.observe_all(both(Says(true), Nothing));
    ledger.first_sight_is_told();
    ledger.wish(false);
    let wish = ledger.wish.expect("a wish");
    assert!(
        !ledger.mark_attempted(wish, PreferenceForm::Unstable, true),
        "the stable form comes first"
    );
    assert!(ledger.mark_attempted(wish, PreferenceForm::Stable, true));
    // The write had arrived, and only the answer was lost.
    let mut arrived = ledger;
    arrived.observe_all(both(Says(false), Nothing));
    assert_eq!(arrived.news(), None);
    // If the user changes their mind, the value does not count as another device's objection either.
    let mut changed_mind = ledger;
    changed_mind.wish(true);
    changed_mind.observe_all(both(Says(false), Nothing));
    assert_eq!(changed_mind.next_step(true), NextStep::Write(PreferenceForm::Stable));
    // The write had not arrived: from then on, the same value comes from another device.
    ledger.observe_all(both(Says(true), Nothing));
    assert!(told(&mut ledger, reading(Says(false), Nothing)).is_some());
}

#[test]
fn a_ledger_survives_the_vault_unchanged() {
    for ledger in every_ledger() {
        assert_eq!(Ledger::from(PreferenceRow::from(ledger)), ledger);
    }
    assert_eq!(Ledger::from(PreferenceRow::default()), Ledger::default());
}
