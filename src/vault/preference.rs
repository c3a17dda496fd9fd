//! The preference: what was seen of it, and the wish that is not yet written.

use rusqlite::params;

use super::{Connection, VaultError};

/// What is kept, as numbers whose meaning is the preference's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PreferenceRow {
    pub(crate) stable: Option<i64>,
    pub(crate) unstable: Option<i64>,
    pub(crate) wish: Option<WishRow>,
    pub(crate) last_number: i64,
    pub(crate) tries: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WishRow {
    pub(crate) enabled: bool,
    pub(crate) base: Option<i64>,
}

impl Connection {
    /// Changes the row in one transaction; durable when this returns.
    pub(crate) fn change_preference<T>(
        &mut self,
        change: impl FnOnce(&mut PreferenceRow) -> T,
    ) -> Result<T, VaultError> {
        self.write(|transaction, _| {
            let before = read(transaction)?;
            let mut row = before;
            let result = change(&mut row);
            if row != before {
                transaction.execute(
                    "UPDATE preference SET stable = ?1, unstable = ?2, wish = ?3, base = ?4, last_number = ?5, tries = ?6",
                    params![
                        row.stable,
                        row.unstable,
                        row.wish.map(|wish| wish.enabled),
                        row.wish.and_then(|wish| wish.base),
                        row.last_number,
                        row.tries
                    ],
                )?;
            }
            Ok(result)
        })
    }

    pub(crate) fn preference(&self) -> Result<PreferenceRow, VaultError> {
        Ok(read(&self.inner)?)
    }
}

fn read(connection: &rusqlite::Connection) -> rusqlite::Result<PreferenceRow> {
    connection.query_row(
        "SELECT stable, unstable, wish, base, last_number, tries FROM preference",
        [],
        |row| {
            let base = row.get(3)?;
            Ok(PreferenceRow {
                stable: row.get(0)?,
                unstable: row.get(1)?,
                wish: row.get::<_, Option<bool>>(2)?.map(|enabled| WishRow { enabled, base }),
                last_number: row.get(4)?,
                tries: row.get(5)?,
            })
        },
    )
}
