//! What is remembered of the preference, and what follows from it: what to tell the host, and what to write next.
//!
//! Pure: the vault keeps it, `writer` acts on it.

use super::wire::{FormReading, PreferenceForm, PreferenceValue, Reading, SharedPreference};
use crate::vault::{PreferenceRow, WishRow};

/// A value that has changed since the host was last told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct PreferenceNotice {
    /// What it was; `None` if it was never seen on this device.
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

/// What the user wants on this device, until it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    /// Wishes are numbered: a later one takes the place of an earlier one.
    pub(crate) number: i64,
    pub(crate) enabled: bool,
    /// The account's value when the wish was made, or as we wrote it since; `None` if it was not known.
    pub(crate) base: Option<PreferenceValue>,
}

/// All of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    pub(crate) seen: Seen,
    pub(crate) wish: Option<Wish>,
    last_number: i64,
    /// Attempts at writing the wish that came to nothing.
    pub(crate) tries: u32,
}

/// What a wish asks for next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextStep {
    /// Nothing is wished for.
    Nothing,
    /// Another device has chosen the opposite meanwhile: ask the host.
    AskHost(SharedPreference),
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

    pub(crate) fn set(&mut self, form: PreferenceForm, reading: FormReading) {
        match form {
            PreferenceForm::Stable => self.stable = Some(reading),
            PreferenceForm::Unstable => self.unstable = Some(reading),
        }
    }

    /// Both forms, as if a form that was never seen were not there.
    pub(crate) fn reading(self) -> Reading {
        Reading {
            stable: self.stable.unwrap_or(FormReading::Nothing),
            unstable: self.unstable.unwrap_or(FormReading::Nothing),
        }
    }
}

impl Ledger {
    /// Takes note of what was seen. Gives what the host has to be told.
    pub(crate) fn observe(&mut self, seen: Seen) -> Option<PreferenceNotice> {
        let before = self.seen;
        self.seen = Seen {
            stable: seen.stable.or(before.stable),
            unstable: seen.unstable.or(before.unstable),
        };
        let now = self.seen.shared()?;
        let is_news = match before.shared() {
            Some(before) => now.value != before.value || (now.forms_disagree && !before.forms_disagree),
            None => now.value != PreferenceValue::Undetermined,
        };
        let changed = if self.seen.reading().stable != before.reading().stable {
            PreferenceForm::Stable
        } else {
            PreferenceForm::Unstable
        };
        is_news.then(|| PreferenceNotice {
            before: before.shared(),
            now,
            changed,
        })
    }

    /// Takes note of what the user wants. Gives the number of the wish.
    pub(crate) fn wish(&mut self, enabled: bool) -> i64 {
        self.last_number += 1;
        self.tries = 0;
        self.wish = Some(Wish {
            number: self.last_number,
            enabled,
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
            return NextStep::AskHost(shared);
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

    /// The server has taken this form. What it says from now on is ours, also if a later wish has been made meanwhile.
    pub(crate) fn wrote(&mut self, form: PreferenceForm, enabled: bool) {
        self.seen.set(form, FormReading::Says(enabled));
        if let (Some(wish), Some(shared)) = (&mut self.wish, self.seen.shared()) {
            wish.base = Some(shared.value);
        }
    }

    /// What the server says now is no surprise to this wish: the host keeps its own value, or it was there first.
    pub(crate) fn expect(&mut self, number: i64, value: PreferenceValue) {
        if let Some(wish) = &mut self.wish
            && wish.number == number
        {
            wish.base = Some(value);
        }
    }

    /// Gives the wish up, because it is fulfilled or because the host takes the account's value.
    pub(crate) fn end_wish(&mut self, number: i64) {
        if self.wish.is_some_and(|wish| wish.number == number) {
            self.wish = None;
            self.tries = 0;
        }
    }
}

impl From<PreferenceRow> for Ledger {
    fn from(row: PreferenceRow) -> Self {
        Self {
            seen: Seen {
                stable: row.stable.map(FormReading::from_code),
                unstable: row.unstable.map(FormReading::from_code),
            },
            wish: row.wish.map(|wish| Wish {
                number: row.last_number,
                enabled: wish.enabled,
                base: wish.base.map(PreferenceValue::from_code),
            }),
            last_number: row.last_number,
            tries: row.tries,
        }
    }
}

impl From<Ledger> for PreferenceRow {
    fn from(ledger: Ledger) -> Self {
        Self {
            stable: ledger.seen.stable.map(FormReading::code),
            unstable: ledger.seen.unstable.map(FormReading::code),
            wish: ledger.wish.map(|wish| WishRow {
                enabled: wish.enabled,
                base: wish.base.map(PreferenceValue::code),
            }),
            last_number: ledger.last_number,
            tries: ledger.tries,
        }
    }
}

/// The numbers that the vault keeps.
impl FormReading {
    fn code(self) -> i64 {
        match self {
            Self::Nothing => 0,
            Self::Malformed => 1,
            Self::Says(false) => 2,
            Self::Says(true) => 3,
        }
    }

    fn from_code(code: i64) -> Self {
        match code {
            1 => Self::Malformed,
            2 => Self::Says(false),
            3 => Self::Says(true),
            _ => Self::Nothing,
        }
    }
}

/// The numbers that the vault keeps.
impl PreferenceValue {
    fn code(self) -> i64 {
        match self {
            Self::Undetermined => 0,
            Self::Disabled => 1,
            Self::Enabled => 2,
        }
    }

    fn from_code(code: i64) -> Self {
        match code {
            1 => Self::Disabled,
            2 => Self::Enabled,
            _ => Self::Undetermined,
        }
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
