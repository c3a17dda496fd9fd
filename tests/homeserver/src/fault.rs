//! Misbehaviour on demand: what can go wrong, where, and how often.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The kinds of request that faults and counts tell apart.
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
    /// `GET /joined_rooms`
    JoinedRooms,
    /// `GET /user/{user}/account_data/{type}`
    GetAccountData,
    /// `PUT /user/{user}/account_data/{type}`
    PutAccountData,
    /// Everything that is not recognised.
    Other,
}

/// One way to misbehave, and when.
///
/// In JSON it is one flat object: `{"kind":"cut_body","after_bytes":1000,"endpoint":"all_keys","times":1}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// What happens.
    #[serde(flatten)]
    pub kind: FaultKind,
    /// Only requests of this kind are hit; all if `None`.
    #[serde(default)]
    pub endpoint: Option<EndpointKind>,
    /// Only requests for this room, or for a session of it, are hit; all if `None`.
    #[serde(default)]
    pub room: Option<String>,
    /// After so many hits it wears off; never if `None`.
    #[serde(default)]
    pub times: Option<u32>,
    /// So many requests that it could hit are spared first.
    #[serde(default)]
    pub skip: u32,
}

/// What happens. Numbers of bytes are those of the body, without chunk framing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FaultKind {
    /// The connection is closed in good order in the middle of the body.
    CutBody {
        /// How much of the body arrives.
        after_bytes: u64,
    },
    /// The connection is reset in the middle of the body.
    Reset {
        /// How much of the body is sent.
        after_bytes: u64,
    },
    /// Nothing more is sent, and the connection stays open until the client closes it.
    Stall {
        /// How much of the body arrives.
        after_bytes: u64,
    },
    /// Not even a head is sent, and the connection stays open until the client closes it.
    Silence,
    /// Another answer is given.
    Status {
        /// The status code.
        code: u16,
        /// The body. A JSON string is sent as the text that it holds, everything else as JSON.
        #[serde(default)]
        body: Value,
        /// Headers. The content type is JSON unless it is given here.
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
    /// The body has another length than its `Content-Length`, and the connection is closed.
    WrongLength {
        /// What the head says.
        declared: u64,
    },
    /// 200 and the page of a captive portal.
    NotJson,
    /// 302 to another place.
    Redirect {
        /// The value of `Location`.
        location: String,
    },
    /// The body comes slowly.
    Drip {
        /// How slowly.
        bytes_per_second: u64,
    },
    /// The answer comes late.
    Latency {
        /// How late, on top of [`crate::Config::latency_ms`].
        ms: u64,
    },
    /// The body starts well and never ends: it goes on inside a JSON string.
    Endless,
    /// 200 and a body of blanks, compressed: small on the wire.
    GzipBomb {
        /// How much it comes to, in MiB.
        mebibytes: u64,
    },
    /// `/room_keys/version` has another etag whenever it is asked.
    RestlessEtag,
    /// `/room_keys/version` lies about the number of keys.
    WrongCount {
        /// What it says.
        count: u64,
    },
    /// The answer for everything is well-formed, but does without some rooms.
    LeaveOutRooms {
        /// Every so many-th room is left out: with 3 those with the indices 2, 5, 8 and so on in [`crate::Truth`].
        every: u64,
    },
    /// Wherever the entry of a session would stand, another one stands: in the answer for everything, for its room,
    /// and for itself. A session that is not there stays away.
    ReplaceEntry {
        /// The session id.
        session: String,
        /// What stands there, whether it is like an entry or not.
        entry: Value,
    },
}

impl FaultKind {
    /// Whether this only colours an answer, so that it may come on top of another fault.
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
    /// Limits it to one kind of request.
    #[must_use]
    pub fn on(mut self, endpoint: EndpointKind) -> Self {
        self.endpoint = Some(endpoint);
        self
    }

    /// Limits it to requests for this room or for a session of it.
    #[must_use]
    pub fn of_room(mut self, room_id: impl Into<String>) -> Self {
        self.room = Some(room_id.into());
        self
    }

    /// Lets it wear off after so many hits.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Spares the first so many requests.
    #[must_use]
    pub fn skip(mut self, skip: u32) -> Self {
        self.skip = skip;
        self
    }
}

/// Takes from the list what happens to one request, and wears the faults off.
///
/// Those that add up come on top; of the others only the first one hits, so that a list of them is a sequence.
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
    fn exclusive_faults_come_one_after_the_other_and_wear_off() {
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
