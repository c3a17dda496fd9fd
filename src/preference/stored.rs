//! Reads and writes the ledger in the vault, which stores numbers. Their meaning is defined here.

use super::{
    PreferenceValue,
    ledger::{Ledger, Seen, Wish, WishNumber},
    wire::FormReading,
};
use crate::{
    job::{AccessError, Jobs},
    vault::{Connection, FormCodes, PreferenceRow, WishRow},
};

/// Changes the ledger in one transaction.
pub(super) async fn change<T: Send + 'static>(
    jobs: &Jobs,
    change: impl Fn(&mut Ledger) -> T + Send + 'static,
) -> Result<T, AccessError> {
    let write = move |vault: &mut Connection| {
        vault.change_preference(|row| {
            let mut ledger = Ledger::from(*row);
            let result = change(&mut ledger);
            *row = ledger.into();
            result
        })
    };
    jobs.write(write).await
}

/// Reads the ledger.
pub(super) async fn read_ledger(jobs: &Jobs) -> Result<Ledger, AccessError> {
    let row = jobs.read(|vault| vault.preference()).await?;
    Ok(row.into())
}

impl From<PreferenceRow> for Ledger {
    fn from(row: PreferenceRow) -> Self {
        Self {
            seen: row.seen.into(),
            told: row.told.into(),
            attempted: row.attempted.into(),
            wish: row.wish.map(|wish| Wish {
                number: WishNumber(row.last_number),
                enabled: wish.enabled,
                by_user: wish.by_user,
                base: wish.base.map(PreferenceValue::from_code),
            }),
            last_number: WishNumber(row.last_number),
            tries: row.tries,
        }
    }
}

impl From<Ledger> for PreferenceRow {
    fn from(ledger: Ledger) -> Self {
        Self {
            seen: ledger.seen.into(),
            told: ledger.told.into(),
            attempted: ledger.attempted.into(),
            wish: ledger.wish.map(|wish| WishRow {
                enabled: wish.enabled,
                by_user: wish.by_user,
                base: wish.base.map(PreferenceValue::code),
            }),
            last_number: ledger.last_number.0,
            tries: ledger.tries,
        }
    }
}

impl From<FormCodes> for Seen {
    fn from((stable, unstable): FormCodes) -> Self {
        Self {
            stable: stable.map(FormReading::from_code),
            unstable: unstable.map(FormReading::from_code),
        }
    }
}

impl From<Seen> for FormCodes {
    fn from(seen: Seen) -> Self {
        (seen.stable.map(FormReading::code), seen.unstable.map(FormReading::code))
    }
}

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
