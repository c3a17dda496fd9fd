//! The encrypted key export file: everything opened, in the form that Element and others import.

mod file;

use std::{
    collections::{HashMap, hash_map::Entry},
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use file::KeyExportWriter;

use crate::{
    backup::{
        copies::{Copy, Standing, best_of_all, judge, may_be_shared},
        ratchet::Ratchet,
    },
    blocking::blocking,
    context::Context,
    job::Jobs,
    secret::SecretString,
    vault::{Connection, ListedEntry, StoredCopy, StoredEntry, VaultError, VaultMeaning},
};

/// Keys that are in memory at a time.
const PAGE: usize = 500;

/// What an export holds, and what it does not.
#[derive(Clone, Debug, Default, PartialEq, Eq, uniffi::Record)]
pub struct ExportSummary {
    /// Keys in the file: of several copies of one, that which begins earliest.
    pub exported: u64,
    /// Keys that can never be opened; `KeyDownload.failures` lists them.
    pub failed: u64,
    /// Copies left out because they are held back (`KeyDownload.conflicts` lists them): the file has the one that counts, if
    /// any does.
    pub conflicts: u64,
    /// Keys left out because their backup version has not been unlocked.
    pub locked: u64,
}

/// The keys could not be exported. No file is left, and one that was there is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, uniffi::Error)]
#[uniffi::export(Display)]
#[non_exhaustive]
pub enum ExportError {
    /// The passphrase is empty.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// The file cannot be written, or the disk is full.
    #[error("the file cannot be written")]
    UnwritableFile,
    /// `cancel_export` was called, or the client was shut down.
    #[error("the export was cancelled")]
    Cancelled,
    /// The vault cannot be read now. Passes by itself.
    #[error("the vault cannot be accessed")]
    VaultInaccessible,
    /// The vault was deleted, set aside or replaced since this client was opened: shut it down, and open another one.
    #[error("the vault is gone")]
    VaultGone,
    /// The vault is damaged.
    #[error("the vault is damaged")]
    VaultDamaged,
    /// A bug in the crate: the log says more.
    #[error("a bug in the crate")]
    Internal,
}

impl From<VaultError> for ExportError {
    fn from(error: VaultError) -> Self {
        match error.meaning() {
            VaultMeaning::Busy | VaultMeaning::Overtaken | VaultMeaning::Inaccessible | VaultMeaning::DiskFull => {
                Self::VaultInaccessible
            }
            VaultMeaning::Gone => Self::VaultGone,
            VaultMeaning::Damaged => Self::VaultDamaged,
            VaultMeaning::Bug => Self::Internal,
        }
    }
}

impl From<std::io::Error> for ExportError {
    fn from(error: std::io::Error) -> Self {
        log::warn!("the export cannot be written: {error}");
        Self::UnwritableFile
    }
}

/// The exports of a client: one at a time, and what ends the one under way.
#[derive(Default)]
pub(crate) struct Export {
    current: Mutex<Arc<AtomicBool>>,
    /// Two at a time would write into each other's file.
    one_at_a_time: Arc<tokio::sync::Mutex<()>>,
}

impl Export {
    pub(crate) fn stop(&self) {
        if let Ok(current) = self.current.lock() {
            // Relaxed: a flag that is polled, and guards nothing.
            current.store(true, Ordering::Relaxed);
        }
    }

    /// Writes every key of the vault to an encrypted key export file.
    pub(crate) async fn run(
        &self,
        jobs: &Jobs,
        passphrase: SecretString,
        path: String,
    ) -> Result<ExportSummary, ExportError> {
        if passphrase.expose().is_empty() {
            return Err(ExportError::EmptyPassphrase);
        }
        let turn = self.one_at_a_time.clone().lock_owned().await;
        let context = jobs.context().ok_or(ExportError::Cancelled)?;
        let stop = self.begin();
        // A future that is dropped ends its thread.
        let _guard = CancelOnDrop(stop.clone());
        let work = move || {
            let result = export(&context, &passphrase, Path::new(&path), &stop);
            // The thread's own: a call that is given up leaves it at work for a while.
            drop(turn);
            result
        };
        blocking(work).await.unwrap_or(Err(ExportError::Internal))
    }

    fn begin(&self) -> Arc<AtomicBool> {
        let flag = Arc::new(AtomicBool::new(false));
        if let Ok(mut current) = self.current.lock() {
            *current = flag.clone();
        }
        flag
    }
}

struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn export(
    context: &Context,
    passphrase: &SecretString,
    path: &Path,
    stop: &AtomicBool,
) -> Result<ExportSummary, ExportError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    let beside = PathBuf::from(beside);
    let result = write(context, passphrase, &beside, stop)
        .and_then(|summary| fs::rename(&beside, path).map(|()| summary).map_err(ExportError::from));
    if result.is_err() {
        // The first failure is the one to tell.
        let _ = fs::remove_file(&beside);
    }
    result
}

fn write(
    context: &Context,
    passphrase: &SecretString,
    path: &Path,
    stop: &AtomicBool,
) -> Result<ExportSummary, ExportError> {
    // What lies there may be readable by others.
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    let connection = context.vault.connect()?;
    let keys = context.keys.snapshot(&connection)?;
    let mut writer = KeyExportWriter::new(file, passphrase.expose())?;
    let mut summary = ExportSummary::default();
    let mut origins = HashMap::new();
    let mut buffer = Vec::new();
    let mut after = 0;
    loop {
        let entries = connection.all_entries(after, PAGE)?;
        let Some(last) = entries.last() else { break };
        after = last.entry.id;
        for ListedEntry { entry, has_copies } in &entries {
            if stop.load(Ordering::Relaxed) {
                return Err(ExportError::Cancelled);
            }
            let shared_history = match has_copies {
                true => match choose(&connection, entry)? {
                    Choice::ThisOne { shared_history } => shared_history,
                    Choice::AnotherOne => continue,
                    Choice::HeldBack => {
                        summary.conflicts += 1;
                        continue;
                    }
                },
                false => false,
            };
            let Some(key) = keys.get(entry.version) else {
                summary.locked += 1;
                continue;
            };
            let origin = match origins.entry(entry.version) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(connection.origin_of(entry.version)?),
            };
            let opened = key.open(&entry.body, &entry.session, &mut buffer, |found| {
                Ratchet::import(found.session()).map(|_| found.room_key(&entry.room_id, origin))
            });
            match opened {
                Ok(Some(mut key)) => {
                    key.shared_history |= shared_history;
                    writer.key(&key)?;
                    summary.exported += 1;
                }
                Ok(None) | Err(_) => summary.failed += 1,
            }
        }
    }
    let mut file = writer.finish()?;
    file.flush()?;
    file.sync_all()?;
    Ok(summary)
}

/// What an export does with an entry whose session the vault has several times.
enum Choice {
    ThisOne {
        shared_history: bool,
    },
    AnotherOne,
    /// It counts in no room, or not in this one, or does not connect to the one that counts.
    HeldBack,
}

/// Of the copies that count the earliest is exported: whoever imports several may keep a worse one. What has not been opened yet
/// stands behind what has.
fn choose(connection: &Connection, entry: &StoredEntry) -> Result<Choice, VaultError> {
    let copies = connection.copies_of_entry(entry.id)?;
    let facts: Vec<Copy> = copies.iter().filter_map(StoredCopy::facts).collect();
    let own = facts.iter().zip(judge(&facts)).find(|(copy, _)| copy.entry == entry.id);
    Ok(match own {
        Some((copy, Standing::Counts)) => match best_of_all(&facts) {
            Some(best) if facts[best].entry == entry.id => Choice::ThisOne {
                shared_history: may_be_shared(&facts, copy.room, copy.class),
            },
            _ => Choice::AnotherOne,
        },
        Some(_) => Choice::HeldBack,
        // Alone among copies that have failed or wait, it is what there is.
        None if facts.is_empty() && copies.iter().all(|copy| copy.entry >= entry.id) => {
            Choice::ThisOne { shared_history: false }
        }
        None => Choice::AnotherOne,
    })
}
