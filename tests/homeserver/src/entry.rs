//! The entries of the backup: encrypted room keys as JSON.

use std::io::Write;

use crate::{
    Oddity, TrueKey, Truth,
    crypto::{self, CbcKey, Seed},
};

/// How many entries share an ephemeral key. Real entries never do; sharing only makes generating them faster.
pub(crate) const GROUP: u64 = 64;

const FLAG_NAMES: [&str; 3] = [
    "shared_history",
    "m.shared_history",
    "org.matrix.msc3061.shared_history",
];

/// Writes the entries of one homeserver.
pub(crate) struct EntryWriter<'a> {
    truth: &'a Truth,
    seed: Seed,
    backup_public_key: [u8; 32],
    group: Option<Group>,
    buffer: Vec<u8>,
}

/// The values that all entries with the same ephemeral key share.
struct Group {
    number: u64,
    ephemeral: String,
    mac: String,
    key: CbcKey,
}

impl Group {
    fn new(seed: Seed, backup_public_key: &[u8; 32], number: u64) -> Self {
        let private = seed.bytes("ephemeral", number);
        let secret = crypto::x25519_shared(&private, backup_public_key);
        let keys: [u8; 80] = crypto::hkdf(&secret, "");
        // A known flaw of this algorithm: the MAC covers the empty string.
        let mac = crypto::hmac_sha256(&keys[32..64], b"");
        Self {
            number,
            ephemeral: crypto::base64(&crypto::x25519_public(&private)),
            mac: crypto::base64(&mac[..8]),
            key: CbcKey::new(&keys[..32], &keys[64..]),
        }
    }
}

impl<'a> EntryWriter<'a> {
    pub(crate) fn new(truth: &'a Truth, seed: u64, backup_public_key: [u8; 32]) -> Self {
        Self {
            truth,
            seed: Seed(seed),
            backup_public_key,
            group: None,
            buffer: Vec::new(),
        }
    }

    /// Appends `"SESSION ID":{…}` and returns the session id.
    pub(crate) fn write(&mut self, index: u64, out: &mut Vec<u8>) -> String {
        let key = self.truth.key(index);
        let oddity = key.oddity;
        self.buffer.clear();
        write_plaintext(index, &key, &mut self.buffer);

        let number = index / GROUP;
        if self.group.as_ref().is_none_or(|group| group.number != number) {
            self.group = Some(Group::new(self.seed, &self.backup_public_key, number));
        }
        let group = self.group.as_ref().expect("it was set just now");
        group.key.encrypt(&mut self.buffer);
        if oddity == Some(Oddity::Undecryptable) {
            for (block, bytes) in (0..).zip(self.buffer.chunks_mut(32)) {
                let noise = self.seed.bytes("noise", index.wrapping_mul(64) + block);
                bytes.copy_from_slice(&noise[..bytes.len()]);
            }
        }

        let hints = match oddity {
            Some(Oddity::HintsMissing) => r#""forwarded_count":"0""#.to_owned(),
            _ => format!(
                r#""first_message_index":{},"forwarded_count":0,"is_verified":false"#,
                key.first_known_index
            ),
        };
        let ciphertext = crypto::base64(&self.buffer);
        let data = match oddity {
            Some(Oddity::SessionDataIsText) => format!(r#""{ciphertext}""#),
            _ => format!(
                r#"{{"ciphertext":"{ciphertext}","ephemeral":"{}","mac":"{}"}}"#,
                group.ephemeral, group.mac
            ),
        };
        let session_id = key.session_id;
        write!(out, r#""{session_id}":{{{hints},"session_data":{data}}}"#).expect("a vector takes every write");
        session_id
    }
}

/// Writes the plaintext with the fields of matrix-js-sdk, in its order. No value needs escaping.
fn write_plaintext(index: u64, key: &TrueKey, out: &mut Vec<u8>) {
    let claimed = match &key.sender_claimed_ed25519 {
        Some(ed25519) => format!(r#""sender_claimed_keys":{{"ed25519":"{ed25519}"}},"#),
        None => String::new(),
    };
    let flag = match (key.oddity, key.shared_history) {
        (Some(Oddity::FlagIsNull), _) => "null",
        (_, true) => "true",
        (_, false) => "false",
    };
    // From the index alone, all odd entries of one kind would get the same flag name.
    let turn = (index + index / GROUP) % 3;
    let flag_name = FLAG_NAMES[usize::try_from(turn).expect("it is below 3")];
    write!(
        out,
        r#"{{"algorithm":"m.megolm.v1.aes-sha2","sender_key":"{}","session_key":"{}",{claimed}"forwarding_curve25519_key_chain":[],"{flag_name}":{flag}}}"#,
        key.sender_key, key.session_key,
    )
    .expect("a vector takes every write");
}
