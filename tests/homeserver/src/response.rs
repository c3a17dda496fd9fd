//! An answer before it is sent: status, headers, and a body that may lie in the file.

use std::{io, ops::Range};

use serde_json::Value;

use crate::store::Store;

/// How the end of the body is told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By a `Content-Length`, which may lie.
    Length(u64),
    Chunked,
}

/// One answer.
pub(crate) struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Body,
    pub framing: Framing,
}

impl Response {
    /// JSON of known length.
    pub(crate) fn json(status: u16, content: &Value) -> Self {
        Self::text(status, "application/json", content.to_string())
    }

    /// Text of known length.
    pub(crate) fn text(status: u16, content_type: &str, text: String) -> Self {
        Self {
            status,
            headers: vec![("Content-Type".to_owned(), content_type.to_owned())],
            framing: Framing::Length(text.len() as u64),
            body: Body::text(text),
        }
    }

    /// A Matrix error.
    pub(crate) fn error(status: u16, errcode: &str, error: &str) -> Self {
        Self::json(status, &serde_json::json!({ "errcode": errcode, "error": error }))
    }

    /// Entries, without a `Content-Length`, as Synapse sends them.
    pub(crate) fn entries(body: Body) -> Self {
        Self {
            status: 200,
            headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
            framing: Framing::Chunked,
            body,
        }
    }
}

/// A body in three parts: text, a part of the file, text. An endless one goes on from there.
#[derive(Default)]
pub(crate) struct Body {
    pub before: Vec<u8>,
    pub file: Range<u64>,
    pub after: Vec<u8>,
    pub endless: bool,
}

impl Body {
    pub(crate) fn text(text: impl Into<Vec<u8>>) -> Self {
        Self {
            before: text.into(),
            ..Self::default()
        }
    }

    /// Puts text around a part of the file.
    pub(crate) fn around(before: &str, file: Range<u64>, after: &str) -> Self {
        Self {
            before: before.into(),
            file,
            after: after.into(),
            endless: false,
        }
    }

    /// Reads from a position on; 0 is the end.
    pub(crate) fn read(&self, store: &Store, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let in_file = position.saturating_sub(self.before.len() as u64);
        let file_length = self.file.end - self.file.start;
        let in_after = in_file.saturating_sub(file_length);
        if position < self.before.len() as u64 {
            return Ok(copy(&self.before, position, buffer));
        }
        if in_file < file_length {
            let length = buffer
                .len()
                .min(usize::try_from(file_length - in_file).unwrap_or(usize::MAX));
            store.read(self.file.start + in_file, &mut buffer[..length])?;
            return Ok(length);
        }
        if in_after < self.after.len() as u64 {
            return Ok(copy(&self.after, in_after, buffer));
        }
        if self.endless {
            buffer.fill(b'A');
            return Ok(buffer.len());
        }
        Ok(0)
    }
}

fn copy(from: &[u8], position: u64, to: &mut [u8]) -> usize {
    let rest = usize::try_from(position).map_or(&[][..], |position| &from[position..]);
    let length = rest.len().min(to.len());
    to[..length].copy_from_slice(&rest[..length]);
    length
}
