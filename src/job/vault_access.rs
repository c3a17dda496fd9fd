//! Single pieces of work with the vault, outside a run or taking turns with it.

use std::time::Instant;

use super::{access_error::AccessError, jobs::Jobs};
use crate::{
    blocking::blocking,
    vault::{BUSY_TIMEOUT, Connection, SharedWriter, VaultError, Writer},
};

impl Jobs {
    /// Reads from the vault, outside any run.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Connection) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, AccessError> {
        self.in_vault(None, work).await
    }

    /// Writes to the vault. If a run of this client is under way, the write takes turns with it, because the run
    /// leaves hardly a gap to other writers. `work` is repeated while another process is writing.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Connection) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, AccessError> {
        let lent = self.current().and_then(|run| run.lent_writer());
        self.in_vault(lent, work).await
    }

    async fn in_vault<T: Send + 'static>(
        &self,
        lent: Option<SharedWriter>,
        work: impl Fn(&mut Connection) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, AccessError> {
        if self.gate.now().is_shut_down() {
            return Err(AccessError::ShutDown);
        }
        let (vault, at_work) = (self.vault.clone(), self.begin_request());
        // Even if the future is dropped, the work counts as active until it ends.
        let result = blocking(move || {
            let result = match lent {
                Some(writer) => in_turn(&writer, &work),
                None => vault.connect().and_then(|mut connection| work(&mut connection)),
            };
            drop(at_work);
            result
        });
        Ok(result.await.unwrap_or(Err(VaultError::Panicked))?)
    }
}

/// Does one piece of work with the writer of a run.
pub(crate) async fn in_writer<T: Send + 'static>(
    writer: &SharedWriter,
    work: impl FnOnce(&mut Writer) -> Result<T, VaultError> + Send + 'static,
) -> Result<T, VaultError> {
    let writer = writer.clone();
    let result = blocking(move || writer.with(work)).await;
    result.unwrap_or(Err(VaultError::Panicked))
}

/// Does `work` with the writer of a run, between two transactions of the run. Waits as long as any other writer
/// would. Blocks.
fn in_turn<T>(
    writer: &SharedWriter,
    work: &impl Fn(&mut Connection) -> Result<T, VaultError>,
) -> Result<T, VaultError> {
    let began = Instant::now();
    loop {
        match writer.with(|writer| work(writer.beside())) {
            Err(VaultError::Busy) if began.elapsed() < BUSY_TIMEOUT => {}
            result => return result,
        }
    }
}
