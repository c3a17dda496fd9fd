//! The encrypted key export file: every key that opens, in the form that Element and other clients import.

use std::{
    collections::{HashMap, hash_map::Entry},
    fs,
    io::{ErrorKind, Write},
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use zeroize::Zeroizing;

use crate::{
    backup::{
        BackupOrigin,
        copies::{Copy, Standing, best_of_all, judge, may_be_shared},
        ratchet::Ratchet,
    },
    blocking::blocking,
    context::Context,
    crypto::KeyExportWriter,
    decryption_keys::DecryptionKeys,
    ids::{EntryId, VersionRowId},
    job::{AccessError, Jobs},
    locked::locked,
    remedy::Remedy,
    secret::SecretString,
    vault::{Connection, ListedEntry, StoredCopy, StoredEntry, VaultError},
};

/// Rounds of the derivation of the file's key from what a person has typed: as many as Element takes.
const ROUNDS: NonZeroU32 = NonZeroU32::new(500_000).expect("not zero");
/// Keys in memory at a time.
const PAGE: usize = 500;

/// What an export contains, and what it leaves out.
#[derive(Clone, Debug, Default, PartialEq, Eq, uniffi::Record)]
pub struct ExportSummary {
    /// Keys in the file. Of several copies of one key, the file has the one that begins earliest.
    pub exported: u64,
    /// Keys that can never be opened; `KeyDownload.failures` lists them.
    pub failed: u64,
    /// Copies left out because they are held back; `KeyDownload.conflicts` lists them. The file has the copy that
    /// counts, if any does.
    pub conflicts: u64,
    /// Keys left out because their backup version has not been unlocked.
    pub locked: u64,
}

/// Why the keys could not be exported. No new file is left, and an existing file is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, uniffi::Error)]
#[uniffi::export(Display)]
#[non_exhaustive]
pub enum ExportError {
    /// The passphrase is empty.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// The file cannot be written: the user can choose another place.
    #[error("the file cannot be written")]
    UnwritableFile,
    /// `cancel_export` was called, or the client was shut down.
    #[error("the export was cancelled")]
    Cancelled,
    /// The vault cannot be read, or the disk is full.
    #[error(transparent)]
    Access {
        /// What was not accessible.
        #[from]
        error: AccessError,
    },
}

impl ExportError {
    /// Returns what an app can do about this error.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::EmptyPassphrase | Self::UnwritableFile => Remedy::AskUser,
            Self::Cancelled => Remedy::Retry,
            Self::Access { error } => error.remedy(),
        }
    }
}

impl From<VaultError> for ExportError {
    fn from(error: VaultError) -> Self {
        AccessError::from(error).into()
    }
}

impl From<std::io::Error> for ExportError {
    fn from(error: std::io::Error) -> Self {
        log::warn!("the export cannot be written: {error}");
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => AccessError::DiskFull.into(),
            _ => Self::UnwritableFile,
        }
    }
}

/// The exports of a client: runs one at a time, and can stop the current one.
#[derive(Default)]
pub(crate) struct Export {
    current: Mutex<Arc<AtomicBool>>,
    /// Two exports at a time would write into each other's file.
    one_at_a_time: Arc<tokio::sync::Mutex<()>>,
}

impl Export {
    pub(crate) fn stop(&self) {
        // Relaxed is enough: the flag is polled, and guards no other data.
        locked(&self.current).store(true, Ordering::Relaxed);
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
        // Dropping the future stops its thread.
        let _guard = CancelOnDrop(stop.clone());
        let work = move || {
            let result = export(&context, &passphrase, Path::new(&path), &stop);
            // Held by the thread, which works on for a while if its call is dropped.
            drop(turn);
            result
        };
        blocking(work)
            .await
            .unwrap_or(Err(ExportError::from(AccessError::Internal)))
    }

    fn begin(&self) -> Arc<AtomicBool> {
        let flag = Arc::new(AtomicBool::new(false));
        *locked(&self.current) = flag.clone();
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
        // The first failure is the one to report.
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
    let file = create_private(path)?;
    let connection = context.vault.connect()?;
    let mut exporter = Exporter {
        keys: context.keys.snapshot(&connection)?,
        writer: KeyExportWriter::new(file, passphrase.expose(), ROUNDS)?,
        summary: ExportSummary::default(),
        origins: HashMap::new(),
        buffer: Zeroizing::default(),
        connection,
    };
    let mut after = EntryId::NONE;
    loop {
        let entries = exporter.connection.all_entries(after, PAGE)?;
        let Some(last) = entries.last() else { break };
        after = last.entry.id;
        for listed in &entries {
            if stop.load(Ordering::Relaxed) {
                return Err(ExportError::Cancelled);
            }
            exporter.export(listed)?;
        }
    }
    let mut file = exporter.writer.finish()?;
    file.flush()?;
    file.sync_all()?;
    Ok(exporter.summary)
}

/// Makes a file that only this user can read.
fn create_private(path: &Path) -> Result<fs::File, ExportError> {
    // A file that is already there may be readable by others.
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    Ok(options.open(path)?)
}

/// An export under way.
struct Exporter {
    connection: Connection,
    keys: DecryptionKeys,
    writer: KeyExportWriter<fs::File>,
    summary: ExportSummary,
    origins: HashMap<VersionRowId, BackupOrigin>,
    buffer: Zeroizing<Vec<u8>>,
}

impl Exporter {
    /// Writes the key of an entry, or counts why it is left out.
    fn export(&mut self, ListedEntry { entry, has_copies, .. }: &ListedEntry) -> Result<(), ExportError> {
        let shared_history = match has_copies {
            true => match choose(&self.connection, entry)? {
                Choice::ThisOne { shared_history } => shared_history,
                Choice::AnotherOne => return Ok(()),
                Choice::HeldBack => {
                    self.summary.conflicts += 1;
                    return Ok(());
                }
            },
            false => false,
        };
        let Some(key) = self.keys.get(entry.version) else {
            self.summary.locked += 1;
            return Ok(());
        };
        let origin = match self.origins.entry(entry.version) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(self.connection.origin_of(entry.version)?),
        };
        let opened = key.open(&entry.body, &entry.session, &mut self.buffer, |found| {
            Ratchet::import(found.session()).map(|_| found.room_key(&entry.room_id, origin))
        });
        match opened {
            Ok(Some(mut key)) => {
                key.shared_history |= shared_history;
                self.writer.key(&key)?;
                self.summary.exported += 1;
            }
            Ok(None) | Err(_) => self.summary.failed += 1,
        }
        Ok(())
    }
}

/// What an export does with an entry whose session is in the vault several times.
enum Choice {
    ThisOne {
        shared_history: bool,
    },
    AnotherOne,
    /// The entry counts in no room or not in this one, or does not connect to the copy that counts.
    HeldBack,
}

/// Chooses, of the copies that count, the one that begins earliest, because an app that imports several may keep a
/// worse one. Copies that are not opened yet rank behind opened ones.
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
        // All copies have failed or wait to be opened: take the first.
        None if facts.is_empty() && copies.iter().all(|copy| copy.entry >= entry.id) => {
            Choice::ThisOne { shared_history: false }
        }
        None => Choice::AnotherOne,
    })
}
