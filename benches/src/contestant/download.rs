//! A plain download to a file, which is durable at the end, as keyferry's is.

use futures_util::StreamExt;
use tokio::{fs::File, io::AsyncWriteExt, runtime::Runtime};

use crate::{Failure, account::Account, child};

pub(crate) fn run(account: &Account) -> Result<(), Failure> {
    let (runtime, directory) = (Runtime::new()?, tempfile::tempdir()?);
    child::answer(reqwest::Client::new(), |client| {
        runtime.block_on(async {
            let response = account.everything(&client).send().await?.error_for_status()?;
            let mut body = response.bytes_stream();
            let mut file = File::create(directory.path().join("backup.json")).await?;
            while let Some(chunk) = body.next().await {
                file.write_all(&chunk?).await?;
            }
            file.flush().await?;
            Ok(file.sync_all().await?)
        })
    })
}
