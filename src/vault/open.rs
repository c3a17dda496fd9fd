//! Creates and opens vaults: checks the account and the key, and moves a vault aside.
//!
//! A new vault is written to a temporary name and renamed when it is complete, so that a failure leaves nothing
//! behind. Only one process at a time creates a vault.

use std::{
    fs, io,
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::pbkdf2;
use rusqlite::{OpenFlags, OptionalExtension, config::DbConfig, params};
use zeroize::Zeroizing;

use super::{
    Connection, Vault, VaultError,
    bodies::SegmentFiles,
    file_identity::FileIdentity,
    migrations, private_file, reserve, schema,
    seal::{Sealed, VaultKeys, account_hash},
};
use crate::{random::random, secret::KeyBytes};

const FILE: &str = "keyferry.sqlite3";
const NEW_FILE: &str = "keyferry.sqlite3.new";
/// A lock file, always empty: a process holds a lock on it while it creates a vault. It is never removed, because
/// two processes could then lock two different files of this name.
const MAKING_FILE: &str = "keyferry.sqlite3.making";
/// Rounds of PBKDF2-HMAC-SHA-512 for a vault passphrase, as OWASP recommends. They take a tenth of a second on a
/// desktop.
const PASSPHRASE_ITERATIONS: u32 = 210_000;
/// The code in the header for a vault that is sealed with a key.
const KEY_PROTECTION: i64 = 1;
const KEY_CHECK: &[u8] = b"keyferry";

/// How a vault is protected.
pub(crate) enum Protection {
    /// No vault key: the vault stores no secrets.
    None,
    /// A 32-byte key, given by the app or from a keyring.
    Key(KeyBytes),
    /// A key derived from a passphrase.
    Passphrase(Zeroizing<String>),
}

impl Protection {
    fn code(&self) -> i64 {
        match self {
            Self::None => 0,
            Self::Key(_) => KEY_PROTECTION,
            Self::Passphrase(_) => 2,
        }
    }
}

/// The reason why a vault does not open.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenVaultError {
    #[error("the directory cannot be used")]
    Directory(#[source] io::Error),
    #[error("the key or passphrase is wrong")]
    WrongKey,
    #[error("the vault is protected in another way")]
    OtherProtection,
    #[error("the vault is another account's")]
    OtherAccount,
    #[error("the vault was written by a newer version")]
    TooNew { found: i64 },
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl From<rusqlite::Error> for OpenVaultError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Vault(error.into())
    }
}

impl Vault {
    /// Whether there is a vault in `directory`.
    pub(crate) fn exists(directory: &Path) -> bool {
        directory.join(FILE).exists()
    }

    /// Whether the vault in `directory` is sealed with a key, given by the app or from a keyring. Blocks.
    pub(crate) fn is_sealed_with_a_key(directory: &Path) -> Result<bool, OpenVaultError> {
        let connection = connect(&directory.join(FILE))?;
        schema_version(&connection)?;
        Ok(read_header(&connection)?.protection == KEY_PROTECTION)
    }

    /// Moves the vault in `directory` aside, with its log and other side files, so that a new one can be created.
    /// Returns its new path, or `None` if there is no vault. Blocks.
    ///
    /// # Errors
    /// [`VaultError::Busy`] if another connection, in this process or another, has the vault open.
    pub(crate) fn set_aside(directory: &Path) -> Result<Option<PathBuf>, OpenVaultError> {
        let path = directory.join(FILE);
        let identity = || FileIdentity::of(&path).map_err(OpenVaultError::Directory);
        let before = identity()?;
        if before.is_none() {
            return Ok(None);
        }
        let _nobody_else = lock_out_others(&path)?;
        // Another process has set the vault aside in the meantime, or has created a new one.
        if identity()? != before {
            return Err(VaultError::Busy.into());
        }
        move_aside(directory, &path).map_err(OpenVaultError::Directory)
    }

    /// Opens the vault in `directory`, or creates it. To create it, `protection` is called while no other process
    /// can create a vault there. Blocks, with a passphrase also for the time of its key derivation.
    pub(crate) fn open<E: From<OpenVaultError>>(
        directory: &Path,
        user_id: &str,
        device_id: &str,
        protection: impl FnOnce() -> Result<Protection, E>,
    ) -> Result<Self, E> {
        let path = directory.join(FILE);
        let making = match path.exists() {
            true => None,
            false => Some(begin_making(directory)?),
        };
        let protection = protection()?;
        if making.is_some() && !path.exists() {
            create(directory, &path, user_id, device_id, &protection)?;
        }
        drop(making);
        Ok(open_existing(path, user_id, device_id, &protection)?)
    }
}

struct Header {
    protection: i64,
    salt: Vec<u8>,
    kdf_iterations: u32,
    key_check: Option<Vec<u8>>,
    index_key: Vec<u8>,
    user_hash: Vec<u8>,
    device_hash: Vec<u8>,
}

fn open_existing(
    path: PathBuf,
    user_id: &str,
    device_id: &str,
    protection: &Protection,
) -> Result<Vault, OpenVaultError> {
    let mut connection = connect(&path)?;
    let version = schema_version(&connection)?;
    let header = read_header(&connection)?;
    if header.user_hash != account_hash(&header.salt, "user", user_id) {
        return Err(OpenVaultError::OtherAccount);
    }
    if header.protection != protection.code() {
        return Err(OpenVaultError::OtherProtection);
    }
    let keys = match derive_key(protection, &header.salt, header.kdf_iterations) {
        Some(key) => VaultKeys::sealed(&key),
        None => VaultKeys::open(
            header
                .index_key
                .as_slice()
                .try_into()
                .map_err(|_| VaultError::Corrupt)?,
        ),
    };
    if let Some(check) = &header.key_check
        && !keys
            .unseal(Sealed::KeyCheck, check)
            .is_ok_and(|value| *value == KEY_CHECK)
    {
        return Err(OpenVaultError::WrongKey);
    }
    if version < schema::SCHEMA_VERSION {
        migrations::upgrade(&mut connection.inner, version, &keys)?;
    }
    let device_hash = account_hash(&header.salt, "device", device_id);
    if header.device_hash != device_hash {
        // Another device has another crypto store, without the keys that were delivered to the old one.
        connection.write(|transaction| {
            transaction.execute("UPDATE vault SET device_hash = ?1", [device_hash])?;
            super::outcomes::forget_deliveries(transaction)
        })?;
    }
    Ok(Vault::new(path, keys, header.salt))
}

/// Opens a connection that is used without keys, which are known only after the header has been read.
fn connect(path: &Path) -> Result<Connection, VaultError> {
    Connection::open(&path.into(), Arc::new(VaultKeys::open([0; 16])))
}

/// Returns the version of the schema. Fails if this crate cannot read that version.
fn schema_version(connection: &Connection) -> Result<i64, OpenVaultError> {
    let version: i64 = connection
        .inner
        .query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version > schema::SCHEMA_VERSION {
        return Err(OpenVaultError::TooNew { found: version });
    }
    // SQLite takes a file that was truncated to nothing for an empty database, but it is no longer a vault.
    if version < 1 {
        return Err(VaultError::Corrupt.into());
    }
    Ok(version)
}

fn read_header(connection: &Connection) -> Result<Header, VaultError> {
    let header = connection
        .inner
        .query_row(
            "SELECT protection, salt, kdf_iterations, key_check, index_key, user_hash, device_hash FROM vault",
            [],
            |row| {
                Ok(Header {
                    protection: row.get(0)?,
                    salt: row.get(1)?,
                    kdf_iterations: row.get(2)?,
                    key_check: row.get(3)?,
                    index_key: row.get(4)?,
                    user_hash: row.get(5)?,
                    device_hash: row.get(6)?,
                })
            },
        )
        .optional()?;
    header.ok_or(VaultError::Corrupt)
}

/// Returns a connection that locks out all other connections, in this process and in others. Returns `None` if the
/// file is too damaged to tell whether it is in use. Does not checkpoint the write-ahead log.
fn lock_out_others(path: &Path) -> Result<Option<rusqlite::Connection>, VaultError> {
    let lock = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = rusqlite::Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(Duration::ZERO)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE; SELECT * FROM sqlite_schema LIMIT 1;")?;
        Ok(connection)
    };
    match lock().map_err(|error: rusqlite::Error| VaultError::from(error)) {
        Ok(connection) => Ok(Some(connection)),
        Err(error @ (VaultError::Corrupt | VaultError::Sqlite(_))) => {
            log::info!("the vault is damaged, so whether another process has it open is unknown: {error}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Renames all files of a vault, and returns the new path. Returns `None` if the database no longer exists.
fn move_aside(directory: &Path, path: &Path) -> io::Result<Option<PathBuf>> {
    let aside = (1..)
        .map(|number| directory.join(format!("{FILE}.aside-{number}")))
        .find(|aside| !aside.exists())
        .expect("some number is free");
    // Rename the database itself last: if the process is killed before that, the next call still finds it.
    SegmentFiles::of(path.into()).move_to(&SegmentFiles::of(aside.as_path().into()))?;
    for suffix in ["-wal", "-shm", reserve::SUFFIX, ""] {
        match fs::rename(with_suffix(path, suffix), with_suffix(&aside, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) if suffix.is_empty() => return Ok(None),
            _ => {}
        }
    }
    Ok(Some(aside))
}

/// Waits, at most [`schema::BUSY_TIMEOUT`], until no other process is creating a vault in `directory`, and locks
/// other processes out until the returned connection is dropped.
fn begin_making(directory: &Path) -> Result<rusqlite::Connection, OpenVaultError> {
    make_directory(directory).map_err(OpenVaultError::Directory)?;
    let path = directory.join(MAKING_FILE);
    match touch_private(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(OpenVaultError::Directory(error)),
        _ => {}
    }
    let lock = rusqlite::Connection::open(path)?;
    lock.busy_timeout(schema::BUSY_TIMEOUT)?;
    lock.execute_batch("BEGIN EXCLUSIVE")?;
    Ok(lock)
}

fn create(
    directory: &Path,
    path: &Path,
    user_id: &str,
    device_id: &str,
    protection: &Protection,
) -> Result<(), OpenVaultError> {
    let new = directory.join(NEW_FILE);
    // Remove what a killed process left, and a log that outlived its vault: SQLite would apply it to the new one.
    remove_all(&new, &["", "-wal", "-shm"])
        .and_then(|()| remove_all(path, &["-wal", "-shm", reserve::SUFFIX]))
        .and_then(|()| SegmentFiles::of(path.into()).remove_all())
        .map_err(OpenVaultError::Directory)?;
    let made = write_new(&new, user_id, device_id, protection)
        .and_then(|()| fs::rename(&new, path).map_err(OpenVaultError::Directory));
    if made.is_err() {
        // Report the first failure, not one of the cleanup.
        let _ = remove_all(&new, &["", "-wal", "-shm"]);
    }
    made
}

fn write_new(path: &Path, user_id: &str, device_id: &str, protection: &Protection) -> Result<(), OpenVaultError> {
    touch_private(path).map_err(OpenVaultError::Directory)?;
    let salt = random::<16>();
    let index_key = random::<16>();
    let key = derive_key(protection, salt.as_slice(), PASSPHRASE_ITERATIONS);
    let key_check = key.map(|key| VaultKeys::sealed(&key).seal(Sealed::KeyCheck, KEY_CHECK));
    let mut connection = connect(path)?;
    // No other process uses the file before it is complete, and it is made durable as a whole at the end.
    connection.inner.pragma_update(None, "synchronous", "OFF")?;
    migrations::create(&mut connection.inner)?;
    connection.inner.execute(
        "INSERT INTO vault (id, protection, salt, kdf_iterations, key_check, index_key, user_hash, device_hash)
         VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            protection.code(),
            salt.as_slice(),
            PASSPHRASE_ITERATIONS,
            key_check,
            index_key.as_slice(),
            account_hash(salt.as_slice(), "user", user_id),
            account_hash(salt.as_slice(), "device", device_id),
        ],
    )?;
    // The content of the log must be in the file before the file is renamed. Closing would move it too, but would
    // not report a full disk.
    connection
        .inner
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    connection.inner.close().map_err(|(_, error)| error)?;
    fs::File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(OpenVaultError::Directory)
}

fn derive_key(protection: &Protection, salt: &[u8], iterations: u32) -> Option<KeyBytes> {
    match protection {
        Protection::None => None,
        Protection::Key(key) => Some(key.clone()),
        Protection::Passphrase(passphrase) => {
            let mut key = Zeroizing::new([0; 32]);
            let iterations = NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN);
            let algorithm = pbkdf2::PBKDF2_HMAC_SHA512;
            pbkdf2::derive(algorithm, iterations, salt, passphrase.as_bytes(), key.as_mut_slice());
            Some(key)
        }
    }
}

fn make_directory(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

fn touch_private(path: &Path) -> io::Result<()> {
    private_file::options().create_new(true).open(path).map(drop)
}

fn remove_all(path: &Path, suffixes: &[&str]) -> io::Result<()> {
    for suffix in suffixes {
        match fs::remove_file(with_suffix(path, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
