//! A server that lies on demand, with counts, etags, documents, copies, versions, and rooms that do not answer.

use std::collections::{BTreeMap, BTreeSet};

use matrix_sdk_crypto::{store::types::BackupDecryptionKey, vodozemac::Curve25519PublicKey};
use serde_json::{Value, json};

/// The number of keys that the server claims for a version.
#[derive(Clone, Copy, Debug)]
pub(super) enum Count {
    Honest,
    Missing,
    Of(u64),
    TooMany(u64),
    TooFew(u64),
}

/// How the server answers a request for all keys.
#[derive(Clone, Copy, Debug)]
pub(super) enum Document {
    Honest,
    Empty,
    ErrorWithin,
    NoRooms,
    RoomsInAList,
    BareEntries,
    EveryOtherRoom,
}

/// How a request fails.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sickness {
    Status(u16),
    NotJson,
    WrongShape,
    Cut,
}

/// Whether the server reports the current version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Current {
    Told,
    NotFound,
    Fault,
}

/// A room id, and a session id in that room.
pub(super) type Name = (String, String);

pub(super) struct Version {
    pub(super) number: String,
    pub(super) public_key: Curve25519PublicKey,
    pub(super) entries: BTreeMap<Name, Value>,
    pub(super) etag: u64,
    pub(super) is_frozen: bool,
    pub(super) is_gone: bool,
    count: Count,
    pub(super) document: Document,
    pub(super) sick_everything: Option<Sickness>,
    pub(super) sick_rooms: BTreeMap<String, Sickness>,
    has_begun_to_lie: bool,
    /// The count that the server reported last.
    pub(super) reported_count: Option<u64>,
    /// The sessions that well-formed answers contained.
    pub(super) served: BTreeSet<Name>,
}

impl Version {
    fn new(number: usize, key: &BackupDecryptionKey) -> Self {
        let public_key = key.megolm_v1_public_key().to_base64();
        Self {
            number: number.to_string(),
            public_key: Curve25519PublicKey::from_base64(&public_key).expect("a key"),
            entries: BTreeMap::new(),
            etag: 0,
            is_frozen: false,
            is_gone: false,
            count: Count::Honest,
            has_begun_to_lie: false,
            document: Document::Honest,
            sick_everything: None,
            sick_rooms: BTreeMap::new(),
            reported_count: None,
            served: BTreeSet::new(),
        }
    }

    pub(super) fn put(&mut self, name: Name, entry: Value) {
        self.entries.insert(name, entry);
        self.etag += u64::from(!self.is_frozen);
    }

    pub(super) fn lie_about_the_count(&mut self, count: Count) {
        self.count = count;
        self.has_begun_to_lie |= self.reported_count.is_some();
    }

    /// Whether the server hides entries that its count does not reveal either: answers for all keys lack rooms, or
    /// the count became too low after the client had believed it.
    pub(super) fn hides_entries_unnoticed(&self) -> bool {
        let is_told = self.count().is_some_and(|count| count >= self.entries.len() as u64);
        (matches!(self.document, Document::EveryOtherRoom | Document::NoRooms) || self.has_begun_to_lie) && !is_told
    }

    fn count(&self) -> Option<u64> {
        let honest = self.entries.len() as u64;
        match self.count {
            Count::Honest => Some(honest),
            Count::Missing => None,
            Count::Of(count) => Some(count),
            Count::TooMany(more) => Some(honest + more),
            Count::TooFew(fewer) => Some(honest.saturating_sub(fewer)),
        }
    }

    fn describe(&mut self) -> Answer {
        self.reported_count = self.count();
        let mut answer = json!({
            "version": self.number,
            "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2",
            "auth_data": {"public_key": self.public_key.to_base64()},
            "etag": self.etag.to_string(),
        });
        if let Some(count) = self.reported_count {
            answer["count"] = count.into();
        }
        Answer::json(answer)
    }

    fn everything(&mut self) -> Answer {
        if let Some(sickness) = self.sick_everything {
            return self.sick(sickness);
        }
        let mut rooms: BTreeMap<&str, serde_json::Map<String, Value>> = BTreeMap::new();
        for ((room, session), entry) in &self.entries {
            rooms.entry(room).or_default().insert(session.clone(), entry.clone());
        }
        let with = |wrap: fn(serde_json::Map<String, Value>) -> Value, every: usize| {
            let rooms = rooms.iter().step_by(every);
            let rooms: serde_json::Map<_, _> = rooms
                .map(|(room, all)| ((*room).to_owned(), wrap(all.clone())))
                .collect();
            json!({ "rooms": rooms })
        };
        let document = match self.document {
            Document::Honest => with(|sessions| json!({ "sessions": sessions }), 1),
            Document::EveryOtherRoom => with(|sessions| json!({ "sessions": sessions }), 2),
            Document::BareEntries => with(|sessions| sessions.into_values().next().unwrap_or_default(), 1),
            Document::Empty => json!({}),
            Document::ErrorWithin => json!({"errcode": "M_UNKNOWN", "error": "no"}),
            Document::NoRooms => json!({"rooms": {}}),
            Document::RoomsInAList => json!({"rooms": []}),
        };
        let names = document["rooms"]
            .as_object()
            .into_iter()
            .flatten()
            .flat_map(|(room, all)| {
                let sessions = all["sessions"].as_object().into_iter().flatten();
                sessions.map(|(session, _)| (room.clone(), session.clone()))
            });
        self.served.extend(names);
        Answer::json(document)
    }

    fn room(&mut self, room_id: &str) -> Answer {
        if let Some(sickness) = self.sick_rooms.get(room_id) {
            return self.sick(*sickness);
        }
        let of_room = self.entries.iter().filter(|((room, _), _)| room == room_id);
        let sessions: serde_json::Map<_, _> = of_room
            .map(|((_, session), entry)| (session.clone(), entry.clone()))
            .collect();
        let names = sessions.keys().map(|session| (room_id.to_owned(), session.clone()));
        self.served.extend(names);
        Answer::json(json!({ "sessions": sessions }))
    }

    fn session(&mut self, name: &Name) -> Answer {
        match self.entries.get(name) {
            Some(entry) => {
                self.served.insert(name.clone());
                Answer::json(entry.clone())
            }
            None => Answer::not_found(),
        }
    }

    fn sick(&self, sickness: Sickness) -> Answer {
        match sickness {
            Sickness::Status(status) => Answer {
                status,
                ..Answer::json(json!({}))
            },
            Sickness::NotJson => Answer {
                body: b"<html>".to_vec(),
                ..Answer::json(json!({}))
            },
            Sickness::WrongShape => Answer::json(json!({"sessions": [], "rooms": []})),
            Sickness::Cut => Answer {
                body: br#"{"sessions": {"#.to_vec(),
                is_cut: true,
                ..Answer::json(json!({}))
            },
        }
    }
}

#[derive(Default)]
pub(super) struct State {
    pub(super) versions: Vec<Version>,
    pub(super) current: Option<usize>,
    pub(super) tells_current: Option<Current>,
    pub(super) joined: Vec<String>,
    pub(super) requests: u64,
}

impl State {
    /// Makes another version the current one.
    pub(super) fn new_version(&mut self, key: &BackupDecryptionKey) -> &mut Version {
        let version = Version::new(self.versions.len() + 1, key);
        self.current = Some(self.versions.len());
        self.versions.push(version);
        self.versions.last_mut().expect("there is one")
    }

    pub(super) fn current(&mut self) -> Option<&mut Version> {
        self.versions.get_mut(self.current?)
    }

    pub(super) fn answer(&mut self, path: &[String], version: Option<&str>) -> Answer {
        self.requests += 1;
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let number = match path[..] {
            ["room_keys", "version", number] => Some(number),
            _ => version,
        };
        let named = self
            .versions
            .iter_mut()
            .find(|version| Some(version.number.as_str()) == number && !version.is_gone);
        match (&path[..], named) {
            (["joined_rooms"], _) => Answer::json(json!({"joined_rooms": self.joined})),
            (["room_keys", "version"], _) => match (self.tells_current, self.current()) {
                (Some(Current::Fault), _) => Answer {
                    status: 500,
                    ..Answer::json(json!({}))
                },
                (Some(Current::NotFound), _) | (_, None) => Answer::not_found(),
                (_, Some(version)) => version.describe(),
            },
            (["room_keys", "version", _], Some(version)) => version.describe(),
            (["room_keys", "keys"], Some(version)) => version.everything(),
            (["room_keys", "keys", room], Some(version)) => version.room(room),
            (["room_keys", "keys", room, session], Some(version)) => {
                version.session(&((*room).to_owned(), (*session).to_owned()))
            }
            _ => Answer::not_found(),
        }
    }
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// Whether the connection breaks off after the body.
    pub(super) is_cut: bool,
}

impl Answer {
    fn json(body: Value) -> Self {
        Self {
            status: 200,
            body: body.to_string().into_bytes(),
            is_cut: false,
        }
    }

    fn not_found() -> Self {
        Self {
            status: 404,
            ..Self::json(json!({"errcode": "M_NOT_FOUND", "error": "not found"}))
        }
    }
}
