//! The format of the key export file, written as a stream (client-server API, "Key export format").
//!
//! matrix-sdk-crypto writes it too, but from a list that is in memory as a whole, which is too much for a million
//! keys.

use std::io::{self, BufWriter, Write};
use std::num::NonZeroU32;

use aws_lc_rs::{
    cipher::{AES_256, EncryptionContext, StreamingEncryptingKey, UnboundCipherKey},
    hmac,
    iv::FixedLength,
    pbkdf2,
};
use base64::write::EncoderWriter;
use base64::{
    alphabet::STANDARD,
    engine::{GeneralPurpose, GeneralPurposeConfig},
};
use serde::Serialize;
use zeroize::{Zeroize, Zeroizing};

use crate::{
    backup::{RoomKey, RoomKeyContent},
    random::random,
};

const HEADER: &str = "-----BEGIN MEGOLM SESSION DATA-----\n";
const FOOTER: &str = "\n-----END MEGOLM SESSION DATA-----\n";
const VERSION: u8 = 1;
/// Characters per line.
const LINE: usize = 96;
/// Bytes that are encrypted at a time.
const BLOCK: usize = 64 * 1024;
const PADDED: GeneralPurpose = GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new());

/// Writes keys into an export file, one at a time.
pub(crate) struct KeyExportWriter<W: Write> {
    out: EncoderWriter<'static, GeneralPurpose, Lines<BufWriter<W>>>,
    cipher: StreamingEncryptingKey,
    mac: hmac::Context,
    plaintext: Zeroizing<Vec<u8>>,
    ciphertext: Vec<u8>,
    first: bool,
}

impl<W: Write> KeyExportWriter<W> {
    /// Derives the keys from the passphrase in this many rounds, and writes the header.
    pub(crate) fn new(out: W, passphrase: &str, rounds: NonZeroU32) -> io::Result<Self> {
        let salt = *random::<16>();
        let mut iv = *random::<16>();
        // Bit 63 is clear in every file, because some implementations count in 64 bits.
        iv[8] &= 0x7f;
        let mut keys = Zeroizing::new([0; 64]);
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA512,
            rounds,
            &salt,
            passphrase.as_bytes(),
            keys.as_mut_slice(),
        );
        let cipher = StreamingEncryptingKey::less_safe_ctr(
            UnboundCipherKey::new(&AES_256, &keys[..32]).map_err(crypto)?,
            EncryptionContext::Iv128(FixedLength::from(iv)),
        )
        .map_err(crypto)?;
        let mac = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &keys[32..]));
        let mut out = BufWriter::new(out);
        out.write_all(HEADER.as_bytes())?;
        let mut writer = Self {
            out: EncoderWriter::new(Lines { out, column: 0 }, &PADDED),
            cipher,
            mac,
            plaintext: Zeroizing::new(Vec::with_capacity(2 * BLOCK)),
            ciphertext: Vec::new(),
            first: true,
        };
        for part in [&[VERSION][..], &salt, &iv, &rounds.get().to_be_bytes()] {
            writer.emit(part)?;
        }
        writer.plaintext.push(b'[');
        Ok(writer)
    }

    /// Adds a key.
    pub(crate) fn key(&mut self, key: &RoomKey) -> io::Result<()> {
        if !std::mem::take(&mut self.first) {
            self.plaintext.push(b',');
        }
        serde_json::to_writer(&mut *self.plaintext, &ExportedKey::from(key))?;
        if self.plaintext.len() >= BLOCK {
            self.encrypt()
        } else {
            Ok(())
        }
    }

    /// Writes the end of the file and returns the output.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.plaintext.push(b']');
        self.encrypt()?;
        let tag = self.mac.clone().sign();
        self.out.write_all(tag.as_ref())?;
        let mut out = self.out.finish()?.out;
        out.write_all(FOOTER.as_bytes())?;
        out.into_inner().map_err(io::IntoInnerError::into_error)
    }

    fn encrypt(&mut self) -> io::Result<()> {
        let mut ciphertext = std::mem::take(&mut self.ciphertext);
        ciphertext.resize(self.plaintext.len() + 16, 0);
        let written = self
            .cipher
            .update(&self.plaintext, &mut ciphertext)
            .map_err(crypto)?
            .written()
            .len();
        self.plaintext.as_mut_slice().zeroize();
        self.plaintext.clear();
        let result = self.emit(&ciphertext[..written]);
        self.ciphertext = ciphertext;
        result
    }

    fn emit(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.mac.update(bytes);
        self.out.write_all(bytes)
    }
}

/// One key in the form of the file.
#[derive(Serialize)]
pub(super) struct ExportedKey<'a> {
    room_id: &'a str,
    session_id: &'a str,
    #[serde(flatten)]
    content: RoomKeyContent<'a>,
}

impl<'a> From<&'a RoomKey> for ExportedKey<'a> {
    fn from(key: &'a RoomKey) -> Self {
        Self {
            room_id: &key.room_id,
            session_id: &key.session_id,
            content: key.into(),
        }
    }
}

/// Breaks the output into lines.
struct Lines<W: Write> {
    out: W,
    column: usize,
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Write everything: the encoder takes a partial write for a full output.
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.column == LINE {
                self.out.write_all(b"\n")?;
                self.column = 0;
            }
            let (part, more) = rest.split_at(rest.len().min(LINE - self.column));
            self.out.write_all(part)?;
            self.column += part.len();
            rest = more;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn crypto(_: aws_lc_rs::error::Unspecified) -> io::Error {
    io::Error::other("the export cannot be encrypted")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_export_is_valid_and_has_short_lines() {
        let file = KeyExportWriter::new(Vec::new(), "p", NonZeroU32::MIN)
            .and_then(KeyExportWriter::finish)
            .expect("an export");
        let text = String::from_utf8(file.clone()).expect("text");
        assert!(text.starts_with(HEADER) && text.ends_with(FOOTER));
        assert!(text.lines().all(|line| line.len() <= LINE));
        let keys = matrix_sdk_crypto::decrypt_room_key_export(file.as_slice(), "p").expect("a sound export");
        assert!(keys.is_empty());
    }
}
