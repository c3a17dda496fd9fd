//! The description of a backup version, as `GET /room_keys/version` returns it (client-server API, "Server-side key
//! backups").

use base64::Engine;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{
    base64::BASE64,
    limits::{MAX_VERSION_CHARS, MAX_VERSION_DETAIL_CHARS},
};

/// The only backup algorithm that exists so far.
const CURVE25519_AES_SHA2: &str = "m.megolm_backup.v1.curve25519-aes-sha2";

/// The algorithm of a backup version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// `m.megolm_backup.v1.curve25519-aes-sha2`.
    Curve25519AesSha2,
    /// An algorithm of this name, which the crate does not know: entries are kept, and cannot be opened.
    Unknown(String),
}

impl Algorithm {
    pub(crate) fn of_name(name: &str) -> Self {
        match name {
            CURVE25519_AES_SHA2 => Self::Curve25519AesSha2,
            name => Self::Unknown(name.chars().take(MAX_VERSION_DETAIL_CHARS).collect()),
        }
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Curve25519AesSha2 => CURVE25519_AES_SHA2,
            Self::Unknown(name) => name,
        }
    }
}

/// One backup version, as the server describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VersionInfo {
    pub(crate) version: String,
    pub(crate) algorithm: Algorithm,
    /// The public half of the backup's key; `None` if the algorithm is unknown or the key does not parse.
    pub(crate) public_key: Option<[u8; 32]>,
    /// Keys that the server says it has; `None` if it does not say. A hint: it may lie.
    pub(crate) count: Option<u64>,
    pub(crate) etag: String,
    /// How to derive the decryption key from a legacy passphrase, if the backup was made that way.
    pub(crate) passphrase: Option<PassphraseInfo>,
}

/// Key derivation parameters: `private_key_salt`, `private_key_iterations` and `private_key_bits` of a backup's
/// `auth_data`, or those of a secret storage key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PassphraseInfo {
    pub(crate) salt: String,
    /// As sent by the server; may be outside any sensible range.
    pub(crate) iterations: i64,
    pub(crate) bits: i64,
}

/// Optional fields are parsed one by one: one that cannot be read costs only itself.
#[derive(Deserialize)]
struct Wire<'a> {
    version: Value,
    algorithm: String,
    #[serde(borrow)]
    auth_data: Option<&'a RawValue>,
    #[serde(borrow)]
    count: Option<&'a RawValue>,
    #[serde(borrow)]
    etag: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct AuthData<'a> {
    #[serde(borrow)]
    public_key: Option<&'a RawValue>,
    #[serde(borrow)]
    private_key_salt: Option<&'a RawValue>,
    #[serde(borrow)]
    private_key_iterations: Option<&'a RawValue>,
    #[serde(borrow)]
    private_key_bits: Option<&'a RawValue>,
}

impl VersionInfo {
    /// Reads the body; `None` if it is not a backup version.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let wire: Wire<'_> = serde_json::from_slice(body).ok()?;
        let version = read_version_number(&wire.version)?;
        let auth_data = wire
            .auth_data
            .and_then(|raw| serde_json::from_str::<AuthData<'_>>(raw.get()).ok())
            .unwrap_or_default();
        let passphrase = read(auth_data.private_key_salt).as_str().map(|salt| PassphraseInfo {
            salt: salt.to_owned(),
            iterations: read(auth_data.private_key_iterations).as_i64().unwrap_or(0),
            bits: read(auth_data.private_key_bits).as_i64().unwrap_or(256),
        });
        let algorithm = Algorithm::of_name(&wire.algorithm);
        let public_key = (algorithm == Algorithm::Curve25519AesSha2)
            .then(|| {
                BASE64
                    .decode(read(auth_data.public_key).as_str()?)
                    .ok()?
                    .try_into()
                    .ok()
            })
            .flatten();
        Some(Self {
            version,
            algorithm,
            public_key,
            count: read_count(wire.count),
            etag: read_etag(wire.etag),
            passphrase,
        })
    }

    /// Returns the mark of the version.
    pub(crate) fn mark(&self) -> VersionMark {
        VersionMark {
            count: self.count,
            etag: self.etag.clone(),
        }
    }
}

/// What changes when somebody puts keys into a version: `count` and `etag`, in the description of the version and in
/// the answer to an upload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct VersionMark {
    /// Keys that the server says it has; `None` if it does not say.
    pub(crate) count: Option<u64>,
    pub(crate) etag: String,
}

impl VersionMark {
    /// Reads the answer to an upload; `None` if it is no JSON object.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Wire<'a> {
            #[serde(borrow)]
            count: Option<&'a RawValue>,
            #[serde(borrow)]
            etag: Option<&'a RawValue>,
        }
        let wire: Wire<'_> = serde_json::from_slice(body).ok()?;
        Some(Self {
            count: read_count(wire.count),
            etag: read_etag(wire.etag),
        })
    }
}

/// Reads the number of a version, which becomes part of a URL; `None` if it cannot be one.
pub(crate) fn read_version_number(value: &Value) -> Option<String> {
    let version = text_or_number(value)?;
    // `.` and `..` change a path even if they are percent-encoded.
    let is_a_path = matches!(version.as_str(), "." | "..");
    let is_usable = !version.is_empty() && version.chars().count() <= MAX_VERSION_CHARS && !is_a_path;
    is_usable.then_some(version)
}

fn read_count(raw: Option<&RawValue>) -> Option<u64> {
    // SQLite stores no integer above `i64::MAX`, which stands for anything larger.
    read(raw).as_u64().map(|count| count.min(i64::MAX.cast_unsigned()))
}

fn read_etag(raw: Option<&RawValue>) -> String {
    let etag = text_or_number(&read(raw)).unwrap_or_default();
    etag.chars().take(MAX_VERSION_DETAIL_CHARS).collect()
}

/// Returns the value, or null if it is missing or cannot be parsed.
fn read(raw: Option<&RawValue>) -> Value {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default()
}

/// Returns the text of a string or a number. Old servers sent numbers where a string belongs.
fn text_or_number(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_synapse_and_of_old_servers_are_read() {
        let key = BASE64.encode([4; 32]);
        let body = format!(
            r#"{{"auth_data":{{"public_key":"{key}","private_key_salt":"salt","private_key_iterations":500000,"signatures":{{}}}},
               "version":"2","algorithm":"{CURVE25519_AES_SHA2}","etag":"10","count":50000}}"#
        );
        let info = VersionInfo::parse(body.as_bytes()).expect("a version");
        assert_eq!(info.public_key, Some([4; 32]));
        assert_eq!(
            (info.version.as_str(), info.count, info.etag.as_str()),
            ("2", Some(50000), "10")
        );
        assert_eq!(
            info.passphrase,
            Some(PassphraseInfo {
                salt: "salt".to_owned(),
                iterations: 500_000,
                bits: 256
            })
        );
        let old = VersionInfo::parse(br#"{"version":7,"algorithm":"x","etag":3}"#).expect("a version");
        assert_eq!(
            (old.version.as_str(), old.etag.as_str(), old.count, old.public_key),
            ("7", "3", None, None)
        );
    }

    #[test]
    fn numbers_and_texts_out_of_bounds_are_limited() {
        let long = "x".repeat(100_000);
        for (count, expected) in [
            ("18446744073709551615", Some(i64::MAX.cast_unsigned())),
            ("0", Some(0)),
            ("1e300", None),
            ("1e400", None),
            ("99999999999999999999999", None),
            ("-5", None),
            (r#""7""#, None),
            ("null", None),
        ] {
            let body = format!(r#"{{"version":"1","algorithm":"{long}","etag":"{long}","count":{count}}}"#);
            let info = VersionInfo::parse(body.as_bytes()).expect("a version");
            assert_eq!(info.count, expected, "{count}");
            assert_eq!((info.algorithm.name().len(), info.etag.len()), (128, 128));
        }
        let body = format!(r#"{{"version":"{long}","algorithm":"x"}}"#);
        assert_eq!(VersionInfo::parse(body.as_bytes()), None);
    }

    #[test]
    fn odd_fields_beside_the_public_key_do_not_lose_it() {
        let key = BASE64.encode([4; 32]);
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        for odd in ["1e400", &deep, r#""\ud800""#] {
            let body = format!(
                r#"{{"auth_data":{{"x":{odd},"private_key_bits":{odd},"public_key":"{key}"}},"etag":{odd},
                   "version":"2","algorithm":"{CURVE25519_AES_SHA2}"}}"#
            );
            let info = VersionInfo::parse(body.as_bytes()).expect("a version");
            assert_eq!((info.public_key, info.etag.as_str()), (Some([4; 32]), ""));
        }
    }

    #[test]
    fn the_answer_to_an_upload_is_read_leniently() {
        let mark = |body: &str| VersionMark::parse(body.as_bytes()).map(|mark| (mark.count, mark.etag));
        assert_eq!(mark(r#"{"count":5,"etag":"7"}"#), Some((Some(5), "7".to_owned())));
        assert_eq!(mark(r#"{"count":"5","etag":7}"#), Some((None, "7".to_owned())));
        assert_eq!(mark("{}"), Some((None, String::new())));
        assert_eq!(mark("<html>"), None);
        assert_eq!(mark("[]"), None);
    }

    #[test]
    fn a_body_without_a_version_is_no_version() {
        for body in [
            "",
            "{}",
            "<html>",
            r#"{"version":null,"algorithm":"x"}"#,
            r#"{"version":"","algorithm":"x"}"#,
        ] {
            assert_eq!(VersionInfo::parse(body.as_bytes()), None);
        }
    }
}
