//! Stores what is remembered of the backup preference: what was seen of it, and the wish that is not yet written.
//! Contains only numbers; `preference::stored` defines what they mean.

use rusqlite::{Row, params};

use super::{Connection, VaultError};

/// The readings of the stable and the unstable form, as numbers that `preference::stored` defines.
pub(crate) type FormCodes = (Option<i64>, Option<i64>);

/// The stored row: everything that is remembered of the preference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PreferenceRow {
    pub(crate) seen: FormCodes,
    pub(crate) told: FormCodes,
    pub(crate) attempted: FormCodes,
    pub(crate) wish: Option<WishRow>,
    pub(crate) last_number: i64,
    pub(crate) tries: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WishRow {
    pub(crate) enabled: bool,
    pub(crate) by_user: bool,
    pub(crate) base: Option<i64>,
}

impl Connection {
    /// Changes the row in one transaction. The change is durable when this returns.
    pub(crate) fn change_preference<T>(
        &mut self,
        change: impl FnOnce(&mut PreferenceRow) -> T,
    ) -> Result<T, VaultError> {
        self.write(|transaction| {
            let before = read(transaction)?;
            let mut row = before;
            let result = change(&mut row);
            if row != before {
                transaction.execute(
                    "UPDATE preference SET seen_stable = ?1, seen_unstable = ?2, told_stable = ?3, told_unstable = ?4,
                        attempted_stable = ?5, attempted_unstable = ?6, wish = ?7, by_user = ?8, base = ?9,
                        last_number = ?10, tries = ?11",
                    params![
                        row.seen.0,
                        row.seen.1,
                        row.told.0,
                        row.told.1,
                        row.attempted.0,
                        row.attempted.1,
                        row.wish.map(|wish| wish.enabled),
                        row.wish.map(|wish| wish.by_user),
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
        "SELECT seen_stable, seen_unstable, told_stable, told_unstable, attempted_stable, attempted_unstable,
            wish, by_user, base, last_number, tries FROM preference",
        [],
        |row| {
            Ok(PreferenceRow {
                seen: (row.get(0)?, row.get(1)?),
                told: (row.get(2)?, row.get(3)?),
                attempted: (row.get(4)?, row.get(5)?),
                wish: wish(row)?,
                last_number: row.get(9)?,
                tries: row.get(10)?,
            })
        },
    )
}

fn wish(row: &Row<'_>) -> rusqlite::Result<Option<WishRow>> {
    let Some(enabled) = row.get(6)? else {
        return Ok(None);
    };
    Ok(Some(WishRow {
        enabled,
        by_user: row.get(7)?,
        base: row.get(8)?,
    }))
}
