//! The ledger: what this device remembers of the preference. It determines what to tell the host and what to write
//! next.
//!
//! Pure: the vault stores it, and `writer` acts on it.

use super::wire::{FormReading, PreferenceForm, PreferenceSource, PreferenceValue, Reading, SharedPreference};

/// A change of the account's preference since the host was last told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct PreferenceNotice {
    /// The value that the host was last told; `None` if it has never been told one.
    pub before: Option<SharedPreference>,
    /// The current value.
    pub now: SharedPreference,
    /// The form that changed; the stable one if both did.
    pub changed: PreferenceForm,
}

/// The readings of both forms; `None` for a form that was not read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) stable: Option<FormReading>,
    pub(crate) unstable: Option<FormReading>,
}

/// The number of a wish. A later wish has a higher number and replaces the earlier one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WishNumber(pub(super) i64);

/// A choice made on this device, until it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) number: WishNumber,
    pub(crate) enabled: bool,
    /// Whether the user made it. A wish that the policy made gives way to the choice of another device.
    pub(crate) by_user: bool,
    /// The account's value when the wish was made, or as we have written it since; `None` if it was not known.
    pub(super) base: Option<PreferenceValue>,
}

/// Everything that is remembered of the preference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    pub(crate) seen: Seen,
    /// The readings that the host knows.
    pub(super) told: Seen,
    /// Writes whose outcome is not known: a reading that equals one of them is our own.
    pub(super) attempted: Seen,
    pub(crate) wish: Option<Wish>,
    pub(super) last_number: WishNumber,
    /// Number of failed attempts at writing the wish.
    pub(crate) tries: u32,
}

/// A notice for the host, and the readings that the host knows after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct News {
    pub(crate) notice: PreferenceNotice,
    to: Seen,
}

/// The next step for the wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextStep {
    /// There is no wish.
    Nothing,
    /// Another device has chosen the opposite meanwhile, and the user made the wish: ask the host.
    AskHost(SharedPreference),
    /// Another device has chosen the opposite meanwhile, and the policy made the wish: end it.
    GiveWay(SharedPreference),
    /// Write this form.
    Write(PreferenceForm),
    /// The account has the value that was wished for.
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
    /// Combines both forms into one value; `None` if neither was ever seen.
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

    /// Returns both readings, as if a form that was never seen did not exist.
    fn reading(self) -> Reading {
        Reading {
            stable: self.stable.unwrap_or(FormReading::Nothing),
            unstable: self.unstable.unwrap_or(FormReading::Nothing),
        }
    }
}

impl Ledger {
    /// Notes what was seen. A reading that we may have written ourselves is not news for the host.
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

    /// Notes both forms, which were read from the server while nothing was being written: every attempt has ended by
    /// then.
    pub(crate) fn observe_all(&mut self, reading: Reading) {
        self.observe(reading.into());
        self.attempted = Seen::default();
    }

    /// Returns what the host must be told.
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

    /// Notes that the host has been told. If we have written since, the host already knows what we wrote.
    pub(crate) fn mark_told(&mut self, news: News, has_written_since: bool) {
        for form in PreferenceForm::ALL {
            let is_ours = has_written_since && self.told.get(form) == self.seen.get(form);
            if !is_ours {
                self.told.set(form, news.to.get(form));
            }
        }
    }

    /// Notes a value that is seen for the first time as told: for a host that asked for it, it is not a change.
    pub(crate) fn first_sight_is_told(&mut self) {
        if self.told.shared().is_none() {
            self.told = self.seen;
        }
    }

    /// Notes what the user wants. Returns the number of the wish.
    pub(crate) fn wish(&mut self, enabled: bool) -> WishNumber {
        self.make_wish(enabled, true)
    }

    /// Notes the choice of the policy, if there is no other choice. Returns the number of the wish. Call it right
    /// after both forms were read.
    pub(crate) fn choose(&mut self, enabled: bool) -> Option<WishNumber> {
        let shared = self.seen.shared()?;
        let is_free = self.wish.is_none() && shared.value == PreferenceValue::Undetermined;
        is_free.then(|| self.make_wish(enabled, false))
    }

    fn make_wish(&mut self, enabled: bool, by_user: bool) -> WishNumber {
        self.last_number.0 += 1;
        self.tries = 0;
        self.wish = Some(Wish {
            number: self.last_number,
            enabled,
            by_user,
            base: self.seen.shared().map(|shared| shared.value),
        });
        self.last_number
    }

    /// Returns the next step for the wish, from what was seen last.
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

    /// Notes that this wish is about to be written. Returns false if that is no longer the next step. Until the
    /// outcome of the write is known, a reading that equals it is ours.
    pub(crate) fn mark_attempted(&mut self, wish: Wish, form: PreferenceForm, write_unstable: bool) -> bool {
        let is_due = self.wish.is_some_and(|current| current.number == wish.number)
            && self.next_step(write_unstable) == NextStep::Write(form);
        if is_due {
            self.attempted.set(form, Some(FormReading::Says(wish.enabled)));
        }
        is_due
    }

    /// Notes that the server has refused a write of this form.
    pub(crate) fn mark_refused(&mut self, form: PreferenceForm) {
        self.attempted.set(form, None);
    }

    /// Notes that the server has accepted a write. Its value is ours from now on, even if a later wish was made
    /// meanwhile.
    pub(crate) fn mark_written(&mut self, form: PreferenceForm, enabled: bool) {
        let written = Some(FormReading::Says(enabled));
        self.attempted.set(form, None);
        self.seen.set(form, written);
        self.told.set(form, written);
        if let (Some(wish), PreferenceForm::Stable) = (&mut self.wish, form) {
            wish.base = Some(PreferenceValue::of(enabled));
        }
    }

    /// Notes that this wish was made in full knowledge of the server's current value, so that the two are not in
    /// conflict.
    pub(crate) fn expect(&mut self, number: WishNumber, value: PreferenceValue) {
        if let Some(wish) = &mut self.wish
            && wish.number == number
        {
            wish.base = Some(value);
        }
    }

    /// Takes the server's current value as the one from when the wish was made, a moment ago, if that was not known.
    pub(crate) fn expect_if_unknown(&mut self, number: WishNumber) {
        if let Some(shared) = self.seen.shared()
            && self.wish.is_some_and(|wish| wish.base.is_none())
        {
            self.expect(number, shared.value);
        }
    }

    /// Ends the wish, because it is fulfilled or because the account's value is taken. Returns false if it has ended
    /// already.
    pub(crate) fn end_wish(&mut self, number: WishNumber) -> bool {
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
