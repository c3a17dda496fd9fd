//! How far the job is as a whole.

use super::{Connection, VaultError};

impl Connection {
    /// Every entry up to this id needs no more work: opened or failed, and with a sink delivered too.
    pub(crate) fn settled_through(&self, with_sink: bool) -> Result<i64, VaultError> {
        let sql = if with_sink {
            "SELECT min(opened_through, delivered_through) FROM job"
        } else {
            "SELECT opened_through FROM job"
        };
        Ok(self.inner.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }
}
