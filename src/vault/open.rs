//! Creating and opening a vault: whose it is, and with which key.
//!
//! A new vault is made beside its place and moved there when it is whole: a failure leaves nothing behind. One process at a time
//! makes one.

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
    file_identity::FileIdentity,
    schema,
    seal::{Sealed, VaultKeys, account_hash},
};
use crate::{random::random, secret::KeyBytes};

const FILE: &str = "keyferry.sqlite3";
const NEW_FILE: &str = "keyferry.sqlite3.new";
/// Empty: what counts is who has it locked. It is not removed, or two might lock two of them.
const MAKING_FILE: &str = "keyferry.sqlite3.making";
/// Rounds of PBKDF2-HMAC-SHA-512 for a vault passphrase (OWASP's figure): a tenth of a second on a desktop.
const PASSPHRASE_ITERATIONS: u32 = 210_000;
/// How the header says that a vault is sealed with a key.
const KEY_PROTECTION: i64 = 1;
const KEY_CHECK: &[u8] = b"keyferry";

/// How a vault is protected.
pub(crate) enum Protection {
    /// Nothing secret is kept.
    None,
    /// By a 32-byte key, given or from a keyring.
    Key(KeyBytes),
    /// By a key derived from a passphrase.
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

/// Why a vault does not open.
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
    /// Whether there is a vault in that directory.
    pub(crate) fn exists(directory: &Path) -> bool {
        directory.join(FILE).exists()
    }

    /// Whether the vault in that directory is sealed with a key, given or from a keyring. Blocks.
    pub(crate) fn is_sealed_with_a_key(directory: &Path) -> Result<bool, OpenVaultError> {
        let connection = connect(&directory.join(FILE))?;
        schema_version(&connection)?;
        Ok(read_header(&connection)?.protection == KEY_PROTECTION)
    }

    /// Moves the vault in that directory aside, with all that belongs to it, so that a new one can be made. Gives its new
    /// place; `None` if there is no vault. Blocks.
    ///
    /// # Errors
    /// [`VaultError::Busy`] if somebody has it open.
    pub(crate) fn set_aside(directory: &Path) -> Result<Option<PathBuf>, OpenVaultError> {
        let path = directory.join(FILE);
        let identity = || FileIdentity::of(&path).map_err(OpenVaultError::Directory);
        let before = identity()?;
        if before.is_none() {
            return Ok(None);
        }
        let _nobody_else = lock_out_others(&path)?;
        // Somebody else has set it aside meanwhile, or made a new one.
        if identity()? != before {
            return Err(VaultError::Busy.into());
        }
        move_aside(directory, &path).map_err(OpenVaultError::Directory)
    }

    /// Opens the vault in `directory`, or makes one: then `protection` is asked for while no other process does the same.
    /// Blocks; with a passphrase for the time of its key derivation.
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
        schema::upgrade(&mut connection.inner, version, &keys)?;
    }
    let device_hash = account_hash(&header.salt, "device", device_id);
    if header.device_hash != device_hash {
        // Another device has another crypto store: what the old one was given, this one lacks.
        connection.write(|transaction| {
            transaction.execute("UPDATE vault SET device_hash = ?1", [device_hash])?;
            super::outcomes::forget_deliveries(transaction)
        })?;
    }
    Ok(Vault::new(path, keys, header.salt))
}

/// A connection for what needs no keys: they are only known once the header is read.
fn connect(path: &Path) -> Result<Connection, VaultError> {
    Connection::open(&path.into(), Arc::new(VaultKeys::open([0; 16])))
}

/// The version of its schema, if that is one that this crate can read.
fn schema_version(connection: &Connection) -> Result<i64, OpenVaultError> {
    let version: i64 = connection
        .inner
        .query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version > schema::SCHEMA_VERSION {
        return Err(OpenVaultError::TooNew { found: version });
    }
    // A file that was cut to nothing is an empty database to SQLite, and not a vault.
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

/// A connection beside which nobody has another one, in this process or another; `None` where the file is too damaged to
/// tell. It leaves the log as it is.
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
            log::info!("whether somebody has the damaged vault open cannot be told: {error}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// `None` if there is nothing any more.
fn move_aside(directory: &Path, path: &Path) -> io::Result<Option<PathBuf>> {
    let aside = (1..)
        .map(|number| directory.join(format!("{FILE}.aside-{number}")))
        .find(|aside| !aside.exists())
        .expect("numbers do not end");
    // The database itself last: killed in between, the next try finds it.
    for suffix in ["-wal", "-shm", ""] {
        match fs::rename(with_suffix(path, suffix), with_suffix(&aside, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) if suffix.is_empty() => return Ok(None),
            _ => {}
        }
    }
    Ok(Some(aside))
}

/// Waits until no other process is making a vault there, and keeps others from it until what this gives is dropped.
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
    // What a killed process left; and a log whose vault was deleted, which would be taken for the new one's.
    remove_all(&new, &["", "-wal", "-shm"])
        .and_then(|()| remove_all(path, &["-wal", "-shm"]))
        .map_err(OpenVaultError::Directory)?;
    let made = write_new(&new, user_id, device_id, protection)
        .and_then(|()| fs::rename(&new, path).map_err(OpenVaultError::Directory));
    if made.is_err() {
        // The first failure is the one to tell.
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
    // Nobody sees the file before it is whole, and it is made durable as a whole.
    connection.inner.pragma_update(None, "synchronous", "OFF")?;
    schema::create(&mut connection.inner)?;
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
    // The log must be in the file before the file is moved. At the close alone, a disk that is full would not be told.
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

/// SQLite gives its side files the mode of the database.
fn touch_private(path: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
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
