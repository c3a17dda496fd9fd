//! A response before it is sent: status, headers, body, and how the end of the body is marked.

use serde_json::Value;

use crate::body::Body;

/// How the end of the body is marked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// A `Content-Length`, which may be wrong.
    Length(u64),
    Chunked,
}

pub(crate) struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Body,
    pub framing: Framing,
}

impl Response {
    /// Returns a JSON response of known length.
    pub(crate) fn json(status: u16, content: &Value) -> Self {
        Self::text(status, "application/json", content.to_string())
    }

    /// Returns a text response of known length.
    pub(crate) fn text(status: u16, content_type: &str, text: String) -> Self {
        Self {
            status,
            headers: vec![("Content-Type".to_owned(), content_type.to_owned())],
            framing: Framing::Length(text.len() as u64),
            body: Body::text(text),
        }
    }

    /// Returns a Matrix error.
    pub(crate) fn error(status: u16, errcode: &str, error: &str) -> Self {
        Self::json(status, &serde_json::json!({ "errcode": errcode, "error": error }))
    }

    /// Returns entries without a `Content-Length`, as Synapse sends them.
    pub(crate) fn entries(body: Body) -> Self {
        Self {
            status: 200,
            headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
            framing: Framing::Chunked,
            body,
        }
    }
}
