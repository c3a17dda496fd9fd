//! An answer before it is sent: status, headers, and a body that may lie in a file.

use std::{io, ops::Range, sync::Arc};

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

/// A body in three parts: text, a part of a document, text. An endless one goes on from there.
#[derive(Default)]
pub(crate) struct Body {
    pub before: Vec<u8>,
    pub part: Option<(Arc<Store>, Range<u64>)>,
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

    /// Puts text around a part of a document.
    pub(crate) fn around(before: &str, store: &Arc<Store>, part: Range<u64>, after: &str) -> Self {
        Self {
            before: before.into(),
            part: Some((Arc::clone(store), part)),
            after: after.into(),
            endless: false,
        }
    }

    /// Reads from a position on; 0 is the end.
    pub(crate) fn read(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let before = self.before.len() as u64;
        if position < before {
            return Ok(copy(&self.before, position, buffer));
        }
        let mut position = position - before;
        if let Some((store, part)) = &self.part {
            let rest = (part.end - part.start).saturating_sub(position);
            if rest > 0 {
                let length = buffer.len().min(usize::try_from(rest).unwrap_or(usize::MAX));
                store.read(part.start + position, &mut buffer[..length])?;
                return Ok(length);
            }
            position -= part.end - part.start;
        }
        if position < self.after.len() as u64 {
            return Ok(copy(&self.after, position, buffer));
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
