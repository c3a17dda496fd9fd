//! An HTTP client that hides nothing: it returns all that arrived, and how the connection ended.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::Duration,
};

use keyferry_test_homeserver::{AccountInfo, Homeserver};
use serde_json::Value;

pub(crate) const V3: &str = "/_matrix/client/v3";

/// The reply to one request.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    /// Without chunk framing.
    pub(crate) body: Vec<u8>,
    /// Whether the body was as long as its framing said.
    pub(crate) complete: bool,
    /// The error that ended the connection, if it was not closed cleanly.
    pub(crate) error: Option<io::ErrorKind>,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    pub(crate) fn errcode(&self) -> (u16, String) {
        let code = self.json()["errcode"].as_str().map(str::to_owned);
        (self.status, code.expect("the body is a Matrix error"))
    }
}

/// Sends one request with a valid token on a new connection.
pub(crate) fn get(homeserver: &Homeserver, path: &str) -> Reply {
    let token = homeserver.account().access_token.clone();
    request(homeserver.account(), "GET", path, Some(&token), "")
}

pub(crate) fn request(account: &AccountInfo, method: &str, path: &str, token: Option<&str>, body: &str) -> Reply {
    let mut stream = connect(account);
    let authorization = token.map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{authorization}Content-Length: {length}\r\n\r\n{body}"
    )
    .expect("the homeserver reads the request");
    read_reply(&mut stream)
}

/// Escapes a path segment, including characters that do not need it.
pub(crate) fn escape(segment: &str) -> String {
    segment.bytes().fold(String::new(), |text, byte| {
        text + &match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        }
    })
}

pub(crate) fn connect(account: &AccountInfo) -> TcpStream {
    let address = account.homeserver_url.trim_start_matches("http://");
    let stream = TcpStream::connect(address).expect("the homeserver is there");
    stream
        .set_read_timeout(Some(Duration::from_millis(500)))
        .expect("the timeout is not zero");
    stream
}

/// Reads until the connection ends, breaks, or stays silent for half a second.
fn read_reply(stream: &mut TcpStream) -> Reply {
    let mut bytes = Vec::new();
    let error = stream.read_to_end(&mut bytes).err();
    let split = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let split = split.map_or(bytes.len(), |at| at + 4);
    let head = String::from_utf8_lossy(&bytes[..split]).to_ascii_lowercase();
    let rest = &bytes[split..];
    let (body, complete) = if head.contains("transfer-encoding: chunked") {
        unchunk(rest)
    } else {
        let length = head.split("content-length: ").nth(1);
        let length = length.and_then(|text| text.split("\r\n").next()?.parse().ok());
        (rest.to_vec(), length == Some(rest.len()))
    };
    Reply {
        status: head.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0),
        head,
        body,
        complete,
        error: error.map(|error| error.kind()),
    }
}

fn unchunk(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(at) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&rest[..at]).expect("a size is text");
        let size = usize::from_str_radix(size, 16).expect("a size is hexadecimal");
        rest = &rest[at + 2..];
        if size == 0 {
            return (body, true);
        }
        let have = size.min(rest.len());
        body.extend_from_slice(&rest[..have]);
        rest = rest.get(size + 2..).unwrap_or_default();
    }
    (body, false)
}
