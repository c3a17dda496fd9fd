//! Turns the faults that hit one request into a different answer, or a different way to send it.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use serde_json::Value;

use crate::{
    EndpointKind, FaultKind,
    body::Body,
    response::{Framing, Response},
};

const PORTAL: &str = "<!DOCTYPE html><html><head><title>Free Wi-Fi</title></head>\
    <body><form action=\"/accept\"><button>Accept the terms</button></form></body></html>";

/// How an answer is sent.
#[derive(Default)]
pub(crate) struct Delivery {
    pub latency: Duration,
    pub bytes_per_second: Option<u64>,
    pub ending: Ending,
    /// Whether the answer bypasses the limit of the link and is not counted.
    pub aside: bool,
}

/// How the sending of an answer ends. Numbers are bytes of the body.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    #[default]
    Whole,
    /// Sends the whole answer, after which the connection cannot be used again.
    WholeAndClose,
    Cut(u64),
    Reset(u64),
    Stall(u64),
    Silence,
}

impl Ending {
    /// Returns the number of bytes after which the body breaks off, if it does.
    pub(crate) fn limit(self) -> Option<u64> {
        match self {
            Self::Cut(limit) | Self::Reset(limit) | Self::Stall(limit) => Some(limit),
            Self::Whole | Self::WholeAndClose | Self::Silence => None,
        }
    }
}

/// What an answer says instead of the truth.
#[derive(Default)]
pub(crate) struct Lies {
    pub count: Option<u64>,
    pub etag: Option<String>,
    /// Replacement entries by session id.
    pub entries: BTreeMap<String, Value>,
    leave_out_every: Option<u64>,
}

impl Lies {
    pub(crate) fn of(faults: &[FaultKind]) -> Self {
        static LOOKS: AtomicU64 = AtomicU64::new(0);
        let mut lies = Self::default();
        for fault in faults {
            match fault {
                FaultKind::WrongCount { count } => lies.count = Some(*count),
                FaultKind::RestlessEtag => {
                    lies.etag = Some(format!("restless {}", LOOKS.fetch_add(1, Ordering::Relaxed)));
                }
                FaultKind::LeaveOutRooms { every } => lies.leave_out_every = Some((*every).max(1)),
                FaultKind::ReplaceEntry { session, entry } => {
                    lies.entries.insert(session.clone(), entry.clone());
                }
                _ => {}
            }
        }
        lies
    }

    /// Whether the answer for all keys leaves out this room.
    pub(crate) fn leaves_out(&self, room: u64) -> bool {
        self.leave_out_every.is_some_and(|every| room % every == every - 1)
    }
}

/// Returns the answer that a fault puts in place of the real one, if any. The request is then never looked at.
pub(crate) fn replacement(faults: &[FaultKind]) -> Option<Response> {
    faults.iter().find_map(|fault| match fault {
        FaultKind::Status { code, body, headers } => {
            let text = match body {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                content => content.to_string(),
            };
            let mut response = Response::text(*code, "application/json", text);
            for (name, value) in headers {
                let same = |known: &(String, String)| known.0.eq_ignore_ascii_case(name);
                response.headers.retain(|known| !same(known));
                response.headers.push((name.clone(), value.clone()));
            }
            Some(response)
        }
        FaultKind::NotJson => Some(Response::text(200, "text/html; charset=utf-8", PORTAL.to_owned())),
        FaultKind::Redirect { location } => {
            let mut response = Response::text(302, "text/html", String::new());
            let location = ("Location".to_owned(), location.clone());
            response.headers.push(location);
            Some(response)
        }
        FaultKind::GzipBomb { mebibytes } => {
            let bomb = blanks(*mebibytes).expect("memory can be written to");
            let mut response = Response::text(200, "application/json", String::new());
            response.framing = Framing::Length(bomb.len() as u64);
            response
                .headers
                .push(("Content-Encoding".to_owned(), "gzip".to_owned()));
            response.body = Body::text(bomb);
            Some(response)
        }
        _ => None,
    })
}

/// Returns how the answer must be sent. May change its body or its length.
pub(crate) fn delivery(faults: &[FaultKind], endpoint: EndpointKind, response: &mut Response) -> Delivery {
    let mut delivery = Delivery::default();
    for fault in faults {
        match *fault {
            FaultKind::CutBody { after_bytes } => delivery.ending = Ending::Cut(after_bytes),
            FaultKind::Reset { after_bytes } => delivery.ending = Ending::Reset(after_bytes),
            FaultKind::Stall { after_bytes } => delivery.ending = Ending::Stall(after_bytes),
            FaultKind::Silence => delivery.ending = Ending::Silence,
            FaultKind::WrongLength { declared } => {
                response.framing = Framing::Length(declared);
                delivery.ending = Ending::WholeAndClose;
            }
            FaultKind::Drip { bytes_per_second } => {
                delivery.bytes_per_second = Some(bytes_per_second);
            }
            FaultKind::Latency { ms } => delivery.latency += Duration::from_millis(ms),
            FaultKind::Endless => {
                response.status = 200;
                response.framing = Framing::Chunked;
                response.body = Body::text(endless_start(endpoint)).endless();
            }
            FaultKind::Status { .. }
            | FaultKind::NotJson
            | FaultKind::Redirect { .. }
            | FaultKind::GzipBomb { .. }
            | FaultKind::RestlessEtag
            | FaultKind::WrongCount { .. }
            | FaultKind::LeaveOutRooms { .. }
            | FaultKind::ReplaceEntry { .. } => {}
        }
    }
    delivery
}

fn blanks(mebibytes: u64) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    io::copy(&mut io::repeat(b' ').take(mebibytes << 20), &mut encoder)?;
    encoder.flush()?;
    encoder.finish()
}

/// Returns the start of a body that a reader has no reason to refuse, up to the inside of a string.
fn endless_start(endpoint: EndpointKind) -> &'static str {
    match endpoint {
        EndpointKind::AllKeys => {
            r#"{"rooms":{"!endless:localhost":{"sessions":{"AAAA":{"session_data":{"ciphertext":""#
        }
        EndpointKind::RoomKeys => r#"{"sessions":{"AAAA":{"session_data":{"ciphertext":""#,
        EndpointKind::SessionKey => r#"{"session_data":{"ciphertext":""#,
        EndpointKind::CurrentVersion | EndpointKind::Version => r#"{"auth_data":{"public_key":""#,
        EndpointKind::JoinedRooms => r#"{"joined_rooms":["!"#,
        EndpointKind::CreateVersion => r#"{"version":""#,
        EndpointKind::PutKeys => r#"{"etag":""#,
        EndpointKind::UpdateVersion
        | EndpointKind::DeleteVersion
        | EndpointKind::GetAccountData
        | EndpointKind::PutAccountData
        | EndpointKind::Other => r#"{"endless":""#,
    }
}
