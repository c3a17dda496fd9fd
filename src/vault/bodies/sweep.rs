//! Removes segments that are no longer needed. If only few bodies of a segment are, they move to their rows first.

use rusqlite::{OptionalExtension, params};

use super::{BODY, Stored};
use crate::{
    ids::EntryId,
    vault::{Connection, VaultError, VaultTx, Writer},
};

/// Whether a segment has few needed bytes left, or none.
const IS_SPARSE: &str = "live < length / 4";
/// Maximum number of bodies that one step moves to their rows.
const STEP: i64 = 500;

impl Connection {
    /// Whether a segment can be removed.
    pub(crate) fn can_sweep(&self) -> Result<bool, VaultError> {
        let sql = format!("SELECT 1 FROM segment WHERE {IS_SPARSE}");
        Ok(self.inner.prepare_cached(&sql)?.exists([])?)
    }
}

impl Writer {
    /// Removes segments without needed bodies, and moves a few bodies out of another one that is hardly needed.
    /// Returns false if there is no more to do.
    pub(crate) fn sweep_step(&mut self) -> Result<bool, VaultError> {
        let (removed, goes_on) = self.write(|tx| {
            move_bodies(tx)?;
            let mut remove = tx.prepare_cached("DELETE FROM segment WHERE live = 0 RETURNING id")?;
            let removed: Vec<i64> = remove.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            let mut others = tx.prepare_cached(&format!("SELECT 1 FROM segment WHERE {IS_SPARSE}"))?;
            Ok((removed, others.exists([])?))
        })?;
        for number in removed {
            if let Err(error) = self.reader().bodies.files().remove(number) {
                // It is removed when the next segment is made.
                log::debug!("a segment was not removed: {error}");
            }
        }
        Ok(goes_on)
    }
}

/// Moves a few bodies of a sparse segment to their rows.
fn move_bodies(tx: &VaultTx<'_>) -> Result<(), VaultError> {
    let sql = format!("SELECT id, first_entry, last_entry FROM segment WHERE {IS_SPARSE} AND live > 0 LIMIT 1");
    let sparse = tx.prepare_cached(&sql)?.query_row([], |row| {
        Ok((
            row.get::<_, i64>(0)?,
            row.get::<_, EntryId>(1)?,
            row.get::<_, EntryId>(2)?,
        ))
    });
    let Some((segment, first, last)) = sparse.optional()? else {
        return Ok(());
    };
    let mut moved: Vec<(EntryId, Vec<u8>)> = Vec::new();
    let mut select = tx.prepare_cached(&format!(
        "SELECT id, {BODY} FROM entry WHERE id BETWEEN ?2 AND ?3 AND segment = ?1 ORDER BY id LIMIT ?4"
    ))?;
    let mut rows = select.query(params![segment, first, last, STEP])?;
    while let Some(row) = rows.next()? {
        moved.push((row.get(0)?, tx.bodies.read(Stored::from_row(row, 1)?)?));
    }
    let mut update =
        tx.prepare_cached("UPDATE entry SET body = ?2, segment = NULL, at = NULL, length = NULL WHERE id = ?1")?;
    let mut bytes = 0;
    for (entry, body) in &moved {
        update.execute(params![entry, body])?;
        bytes += body.len() as i64;
    }
    // The last ones leave nothing behind, whatever was counted.
    let is_last = (moved.len() as i64) < STEP;
    tx.prepare_cached("UPDATE segment SET live = iif(?3, 0, max(1, live - ?2)) WHERE id = ?1")?
        .execute(params![segment, bytes, is_last])?;
    Ok(())
}
