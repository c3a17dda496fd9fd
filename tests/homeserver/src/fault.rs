//! Misbehaviour on demand: what can go wrong, where, and how often.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The kinds of request that faults and counts distinguish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointKind {
    /// `GET /room_keys/version`
    CurrentVersion,
    /// `GET /room_keys/version/{version}`
    Version,
    /// `GET /room_keys/keys`
    AllKeys,
    /// `GET /room_keys/keys/{room}`
    RoomKeys,
    /// `GET /room_keys/keys/{room}/{session}`
    SessionKey,
    /// `POST /room_keys/version`
    CreateVersion,
    /// `PUT /room_keys/version/{version}`
    UpdateVersion,
    /// `DELETE /room_keys/version/{version}`
    DeleteVersion,
    /// `PUT /room_keys/keys`, for all rooms, one room or one session
    PutKeys,
    /// `GET /joined_rooms`
    JoinedRooms,
    /// `GET /user/{user}/account_data/{type}`
    GetAccountData,
    /// `PUT /user/{user}/account_data/{type}`
    PutAccountData,
    /// Any request that is not recognised.
    Other,
}

/// One way to misbehave, and when.
///
/// In JSON it is one flat object: `{"kind":"cut_body","after_bytes":1000,"endpoint":"all_keys","times":1}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// The kind of misbehaviour.
    #[serde(flatten)]
    pub kind: FaultKind,
    /// Limits the fault to requests of this kind; `None` means all requests.
    #[serde(default)]
    pub endpoint: Option<EndpointKind>,
    /// Limits the fault to requests for this room or for a session of it; `None` means all requests.
    #[serde(default)]
    pub room: Option<String>,
    /// The number of hits after which the fault stops; `None` means never.
    #[serde(default)]
    pub times: Option<u32>,
    /// The number of matching requests to spare first.
    #[serde(default)]
    pub skip: u32,
}

/// A kind of misbehaviour. Byte numbers refer to the body, without chunk framing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FaultKind {
    /// Closes the connection cleanly in the middle of the body.
    CutBody {
        /// The number of body bytes that arrive.
        after_bytes: u64,
    },
    /// Resets the connection in the middle of the body.
    Reset {
        /// The number of body bytes that are sent.
        after_bytes: u64,
    },
    /// Stops sending in the middle of the body, and keeps the connection open until the client closes it.
    Stall {
        /// The number of body bytes that arrive.
        after_bytes: u64,
    },
    /// Sends nothing, not even a head, and keeps the connection open until the client closes it.
    Silence,
    /// Replaces the answer.
    Status {
        /// The status code.
        code: u16,
        /// The body. A JSON string is sent as its text, null as an empty body, and everything else as JSON.
        #[serde(default)]
        body: Value,
        /// Headers. The content type is JSON unless one is given here.
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
    /// Declares a wrong `Content-Length` for the body, and closes the connection after it.
    WrongLength {
        /// The `Content-Length` that the head declares.
        declared: u64,
    },
    /// Answers 200 with the page of a captive portal.
    NotJson,
    /// Answers with a 302 redirect.
    Redirect {
        /// The value of `Location`.
        location: String,
    },
    /// Sends the body slowly.
    Drip {
        /// The speed of the body.
        bytes_per_second: u64,
    },
    /// Delays the answer.
    Latency {
        /// The delay in ms, on top of [`crate::Config::latency_ms`].
        ms: u64,
    },
    /// Sends a body that starts correctly and never ends: it continues inside a JSON string.
    Endless,
    /// Answers 200 with a compressed body of blanks, which is small on the wire.
    GzipBomb {
        /// The size after decompression, in MiB.
        mebibytes: u64,
    },
    /// Makes `/room_keys/version` return a different etag on every request.
    RestlessEtag,
    /// Makes `/room_keys/version` return a wrong number of keys.
    WrongCount {
        /// The number of keys that it returns.
        count: u64,
    },
    /// Leaves some rooms out of the answer for all keys, which stays well-formed.
    LeaveOutRooms {
        /// The distance between these rooms: with 3, the rooms with indices 2, 5, 8 and so on in [`crate::Truth`].
        every: u64,
    },
    /// Replaces the entry of a session wherever it is served: in the answers for all keys, for its room, and for the
    /// session itself. A session that the backup does not hold stays missing.
    ReplaceEntry {
        /// The session id.
        session: String,
        /// The JSON to serve instead, whether or not it looks like an entry.
        entry: Value,
    },
}

impl FaultKind {
    /// Whether this fault only modifies an answer, so that it can be combined with another fault.
    fn adds_up(&self) -> bool {
        matches!(
            self,
            Self::Drip { .. }
                | Self::Latency { .. }
                | Self::WrongCount { .. }
                | Self::RestlessEtag
                | Self::LeaveOutRooms { .. }
                | Self::ReplaceEntry { .. }
        )
    }
}

impl From<FaultKind> for Fault {
    fn from(kind: FaultKind) -> Self {
        Self {
            kind,
            endpoint: None,
            room: None,
            times: None,
            skip: 0,
        }
    }
}

impl Fault {
    /// Limits the fault to one kind of request.
    #[must_use]
    pub fn on(mut self, endpoint: EndpointKind) -> Self {
        self.endpoint = Some(endpoint);
        self
    }

    /// Limits the fault to requests for this room or for a session of it.
    #[must_use]
    pub fn of_room(mut self, room_id: impl Into<String>) -> Self {
        self.room = Some(room_id.into());
        self
    }

    /// Stops the fault after this many hits.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Spares this many matching requests first.
    #[must_use]
    pub fn skip(mut self, skip: u32) -> Self {
        self.skip = skip;
        self
    }
}

/// Returns the faults that hit one request, and counts each of these hits.
///
/// All faults that only modify an answer hit. Of the others only the first one does, so that a list of them is a
/// sequence.
pub(crate) fn take(faults: &mut [Fault], endpoint: EndpointKind, room: Option<&str>) -> Vec<FaultKind> {
    let mut taken = Vec::new();
    let mut exclusive = false;
    for fault in faults {
        let filtered = fault.endpoint.is_some_and(|only| only != endpoint)
            || fault.room.as_deref().is_some_and(|only| room != Some(only));
        if filtered || fault.times == Some(0) || (exclusive && !fault.kind.adds_up()) {
            continue;
        }
        if fault.skip > 0 {
            fault.skip -= 1;
            continue;
        }
        if let Some(times) = &mut fault.times {
            *times -= 1;
        }
        exclusive |= !fault.kind.adds_up();
        taken.push(fault.kind.clone());
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::{EndpointKind, Fault, FaultKind, take};

    #[test]
    fn exclusive_faults_apply_one_at_a_time_and_wear_off() {
        let mut faults = [
            Fault::from(FaultKind::Silence).times(1),
            Fault::from(FaultKind::Latency { ms: 5 }),
            Fault::from(FaultKind::NotJson).on(EndpointKind::AllKeys),
        ];
        let late = FaultKind::Latency { ms: 5 };
        let taken = take(&mut faults, EndpointKind::Version, None);
        assert_eq!(taken, [FaultKind::Silence, late.clone()]);
        let taken = take(&mut faults, EndpointKind::AllKeys, None);
        assert_eq!(taken, [late.clone(), FaultKind::NotJson]);
        assert_eq!(take(&mut faults, EndpointKind::Version, None), [late]);
    }

    #[test]
    fn a_fault_is_one_flat_json_object() {
        let text = r#"{"kind":"cut_body","after_bytes":9,"endpoint":"all_keys","times":1}"#;
        let fault: Fault = serde_json::from_str(text).expect("it is a fault");
        let same = Fault::from(FaultKind::CutBody { after_bytes: 9 })
            .on(EndpointKind::AllKeys)
            .times(1);
        assert_eq!(fault, same);

        let text = r#"{"kind":"replace_entry","session":"A","entry":{"kind":[1]},"room":"!a"}"#;
        let fault: Fault = serde_json::from_str(text).expect("it is a fault");
        let same = FaultKind::ReplaceEntry {
            session: "A".to_owned(),
            entry: serde_json::json!({ "kind": [1] }),
        };
        assert_eq!(fault, Fault::from(same).of_room("!a"));
    }

    #[test]
    fn a_fault_of_a_room_hits_no_other_request() {
        let mut faults = [Fault::from(FaultKind::Silence).of_room("!a").skip(1).times(1)];
        let mut hits = |endpoint, room| take(&mut faults, endpoint, room).len();
        assert_eq!(hits(EndpointKind::RoomKeys, Some("!a")), 0, "it is spared");
        assert_eq!(hits(EndpointKind::AllKeys, None), 0);
        assert_eq!(hits(EndpointKind::RoomKeys, Some("!b")), 0);
        assert_eq!(hits(EndpointKind::SessionKey, Some("!a")), 1);
        assert_eq!(hits(EndpointKind::SessionKey, Some("!a")), 0, "it has worn off");
    }

    #[test]
    fn replaced_entries_and_rooms_that_are_left_out_add_up() {
        let replace = |session: &str| FaultKind::ReplaceEntry {
            session: session.to_owned(),
            entry: 1.into(),
        };
        let kinds = [
            replace("A"),
            replace("B"),
            FaultKind::LeaveOutRooms { every: 2 },
            FaultKind::Silence,
        ];
        let mut faults = kinds.clone().map(Fault::from);
        assert_eq!(take(&mut faults, EndpointKind::AllKeys, None), kinds);
    }
}
