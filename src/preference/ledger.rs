//! What is remembered of the preference, and what follows from it: what to tell the host, and what to write next.
//!
//! Pure: the vault keeps it, `writer` acts on it.

use super::wire::{FormReading, PreferenceForm, PreferenceSource, PreferenceValue, Reading, SharedPreference};

/// A value that has changed since the host was last told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct PreferenceNotice {
    /// What it was when the host was told last; `None` if it never was told of a value.
    pub before: Option<SharedPreference>,
    /// What it is now.
    pub now: SharedPreference,
    /// The form that changed; the stable one if both did.
    pub changed: PreferenceForm,
}

/// Forms as they came, perhaps not both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) stable: Option<FormReading>,
    pub(crate) unstable: Option<FormReading>,
}

/// What is wanted on this device, until it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    /// Wishes are numbered: a later one takes the place of an earlier one.
    pub(crate) number: i64,
    pub(crate) enabled: bool,
    /// The user made it. One that the policy made gives way to what another device has chosen.
    pub(crate) by_user: bool,
    /// The account's value when the wish was made, or as we wrote it since; `None` if it was not known.
    pub(super) base: Option<PreferenceValue>,
}

/// All of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    pub(crate) seen: Seen,
    /// As the host knows it.
    pub(super) told: Seen,
    /// Writes whose end is not known: what reads like one of them is our own.
    pub(super) attempted: Seen,
    pub(crate) wish: Option<Wish>,
    pub(super) last_number: i64,
    /// Attempts at writing the wish that came to nothing.
    pub(crate) tries: u32,
}

/// A notice, and what the host knows after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct News {
    pub(crate) notice: PreferenceNotice,
    to: Seen,
}

/// What a wish asks for next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextStep {
    /// Nothing is wished for.
    Nothing,
    /// Another device has chosen the opposite meanwhile: ask the host.
    AskHost(SharedPreference),
    /// The same, and the wish is the policy's: it ends.
    GiveWay(SharedPreference),
    /// Write this form.
    Write(PreferenceForm),
    /// The account says what was wished for.
    Done,
}

impl From<Reading> for Seen {
    fn from(reading: Reading) -> Self {
        Self {
            stable: Some(reading.stable),
            unstable: Some(reading.unstable),
        }
    }
}

impl Seen {
    /// Both forms together; `None` if neither was ever seen.
    pub(crate) fn shared(self) -> Option<SharedPreference> {
        let seen = self.stable.is_some() || self.unstable.is_some();
        seen.then(|| self.reading().shared())
    }

    pub(crate) fn get(self, form: PreferenceForm) -> Option<FormReading> {
        match form {
            PreferenceForm::Stable => self.stable,
            PreferenceForm::Unstable => self.unstable,
        }
    }

    pub(crate) fn set(&mut self, form: PreferenceForm, reading: Option<FormReading>) {
        match form {
            PreferenceForm::Stable => self.stable = reading,
            PreferenceForm::Unstable => self.unstable = reading,
        }
    }

    /// As if a form that was never seen were not there.
    fn reading(self) -> Reading {
        Reading {
            stable: self.stable.unwrap_or(FormReading::Nothing),
            unstable: self.unstable.unwrap_or(FormReading::Nothing),
        }
    }
}

impl Ledger {
    /// Takes note of what was seen. What we may have written ourselves is no news.
    pub(crate) fn observe(&mut self, seen: Seen) {
        for form in PreferenceForm::ALL {
            let Some(reading) = seen.get(form) else { continue };
            self.seen.set(form, Some(reading));
            if self.attempted.get(form) == Some(reading) {
                self.told.set(form, Some(reading));
            }
        }
        let shared = self.seen.reading().shared();
        let decides = match shared.source {
            PreferenceSource::Stable => Some(PreferenceForm::Stable),
            PreferenceSource::Unstable => Some(PreferenceForm::Unstable),
            PreferenceSource::Nothing | PreferenceSource::Malformed => None,
        };
        if let (Some(wish), Some(form)) = (&mut self.wish, decides)
            && self.attempted.get(form) == self.seen.get(form)
        {
            wish.base = Some(shared.value);
        }
    }

    /// The same for both forms, read from the server while nothing was being written: then every attempt has come to an
    /// end.
    pub(crate) fn observe_all(&mut self, reading: Reading) {
        self.observe(reading.into());
        self.attempted = Seen::default();
    }

    /// What the host is to be told.
    pub(crate) fn news(&self) -> Option<News> {
        let now = self.seen.shared()?;
        let before = self.told.shared();
        let is_news = match before {
            Some(before) => now.value != before.value || (now.forms_disagree && !before.forms_disagree),
            None => now.value != PreferenceValue::Undetermined,
        };
        let changed = if self.seen.reading().stable != self.told.reading().stable {
            PreferenceForm::Stable
        } else {
            PreferenceForm::Unstable
        };
        is_news.then_some(News {
            notice: PreferenceNotice { before, now, changed },
            to: self.seen,
        })
    }

    /// The host has been told of that. Where we have written since, it knows what we wrote already.
    pub(crate) fn has_told(&mut self, news: News, has_written_since: bool) {
        for form in PreferenceForm::ALL {
            let is_ours = has_written_since && self.told.get(form) == self.seen.get(form);
            if !is_ours {
                self.told.set(form, news.to.get(form));
            }
        }
    }

    /// The first sight of a value is no change for one who has asked for it.
    pub(crate) fn first_sight_is_told(&mut self) {
        if self.told.shared().is_none() {
            self.told = self.seen;
        }
    }

    /// Takes note of what the user wants. Gives the number of the wish.
    pub(crate) fn wish(&mut self, enabled: bool) -> i64 {
        self.make_wish(enabled, true)
    }

    /// Takes note of what the policy chooses, if nobody else has chosen. To be called with what has just been read.
    pub(crate) fn choose(&mut self, enabled: bool) -> Option<i64> {
        let shared = self.seen.shared()?;
        let is_free = self.wish.is_none() && shared.value == PreferenceValue::Undetermined;
        is_free.then(|| self.make_wish(enabled, false))
    }

    fn make_wish(&mut self, enabled: bool, by_user: bool) -> i64 {
        self.last_number += 1;
        self.tries = 0;
        self.wish = Some(Wish {
            number: self.last_number,
            enabled,
            by_user,
            base: self.seen.shared().map(|shared| shared.value),
        });
        self.last_number
    }

    /// What the wish asks for, by what was seen last.
    pub(crate) fn next_step(&self, write_unstable: bool) -> NextStep {
        let Some(wish) = self.wish else {
            return NextStep::Nothing;
        };
        let reading = self.seen.reading();
        let shared = reading.shared();
        let overruled = shared.value.choice().is_some_and(|theirs| theirs != wish.enabled);
        if overruled && wish.base != Some(shared.value) {
            return if wish.by_user {
                NextStep::AskHost(shared)
            } else {
                NextStep::GiveWay(shared)
            };
        }
        let wanted = FormReading::Says(wish.enabled);
        if reading.stable != wanted {
            NextStep::Write(PreferenceForm::Stable)
        } else if write_unstable && reading.unstable != wanted {
            NextStep::Write(PreferenceForm::Unstable)
        } else {
            NextStep::Done
        }
    }

    /// A write of this wish is about to be made, unless something has come in between. Until its end is known, what reads
    /// like it is ours.
    pub(crate) fn attempts(&mut self, wish: Wish, form: PreferenceForm, write_unstable: bool) -> bool {
        let is_due = self.wish.is_some_and(|current| current.number == wish.number)
            && self.next_step(write_unstable) == NextStep::Write(form);
        if is_due {
            self.attempted.set(form, Some(FormReading::Says(wish.enabled)));
        }
        is_due
    }

    /// The server has refused it.
    pub(crate) fn was_refused(&mut self, form: PreferenceForm) {
        self.attempted.set(form, None);
    }

    /// The server has taken it. What it says from now on is ours, also if a later wish has been made meanwhile.
    pub(crate) fn wrote(&mut self, form: PreferenceForm, enabled: bool) {
        let written = Some(FormReading::Says(enabled));
        self.attempted.set(form, None);
        self.seen.set(form, written);
        self.told.set(form, written);
        if let (Some(wish), PreferenceForm::Stable) = (&mut self.wish, form) {
            wish.base = Some(PreferenceValue::of(enabled));
        }
    }

    /// What the server says now is no surprise to this wish: the host keeps its own value.
    pub(crate) fn expect(&mut self, number: i64, value: PreferenceValue) {
        if let Some(wish) = &mut self.wish
            && wish.number == number
        {
            wish.base = Some(value);
        }
    }

    /// What the server says now was there when the wish was made, a moment ago, if it was not known better.
    pub(crate) fn expect_if_unknown(&mut self, number: i64) {
        if let Some(shared) = self.seen.shared()
            && self.wish.is_some_and(|wish| wish.base.is_none())
        {
            self.expect(number, shared.value);
        }
    }

    /// Gives the wish up, because it is fulfilled or because the account's value is taken. False if it is gone already.
    pub(crate) fn end_wish(&mut self, number: i64) -> bool {
        let is_it = self.wish.is_some_and(|wish| wish.number == number);
        if is_it {
            self.wish = None;
            self.tries = 0;
        }
        is_it
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
