//! The answers of the three endpoints for keys: all keys, the keys of a room, the key of a session.

use std::{io, ops::Range, sync::Arc};

use crate::{
    ServerKind, Truth, body::Body, misbehave::Lies, palpo, response::Response, route::Route, state::Shared,
    store::Store, versions::Version,
};

/// The entries of a version as one request sees them.
pub(crate) struct Entries<'a> {
    pub truth: &'a Truth,
    pub store: Arc<Store>,
    /// How many of the entries, counted from the first, are in the version.
    pub count: u64,
    pub lies: &'a Lies,
    has_bad_room_id: bool,
}

/// The text that replaces an entry, and the place of that entry in the document.
pub(crate) struct Replacement {
    pub place: Range<u64>,
    pub text: String,
}

/// Answers a request for keys.
pub(crate) fn answer(kind: ServerKind, entries: Option<&Entries<'_>>, route: &Route<'_>) -> io::Result<Response> {
    let one_per_room = kind.answers_with_one_key_per_room();
    let body = match (entries, route) {
        (None, _) => None,
        (Some(entries), Route::AllKeys) if entries.has_bad_room_id && kind.fails_on_bad_room_id() => {
            return Ok(Response::error(500, "M_UNKNOWN", "A stored room id is invalid."));
        }
        (Some(entries), Route::AllKeys) if one_per_room => Some(palpo::all(entries)?),
        (Some(entries), Route::AllKeys) => Some(entries.all()?),
        (Some(entries), Route::RoomKeys(room)) if one_per_room => palpo::room(entries, room)?,
        (Some(entries), Route::RoomKeys(room)) => entries.room(room)?,
        (Some(entries), Route::SessionKey(room, session)) => entries.session(room, session)?,
        (Some(_), _) => None,
    };
    Ok(match (body, route) {
        (Some(body), _) => Response::entries(body),
        (None, Route::AllKeys) => Response::entries(Body::text(r#"{"rooms":{}}"#)),
        (None, Route::RoomKeys(_)) if !one_per_room => Response::entries(Body::text(r#"{"sessions":{}}"#)),
        (None, _) => Response::error(404, "M_NOT_FOUND", "No room_keys found"),
    })
}

impl<'a> Entries<'a> {
    /// Returns `None` if the version never had any entries.
    pub(crate) fn of(shared: &'a Shared, version: Version, lies: &'a Lies) -> Option<Self> {
        Some(Self {
            truth: &shared.truth,
            store: version.store?,
            count: version.count,
            lies,
            has_bad_room_id: shared.bad_room_id,
        })
    }

    fn all(&self) -> io::Result<Body> {
        let replacements = self.replacements(0..self.truth.rooms())?;
        let mut body = Body::text(r#"{"rooms":{"#);
        let runs = self
            .store
            .runs(self.truth, self.count, |room| !self.lies.leaves_out(room));
        for (number, run) in runs.into_iter().enumerate() {
            if number > 0 {
                body.push_text(",");
            }
            self.push(&mut body, run, &replacements);
            body.push_text("}}");
        }
        body.push_text("}}");
        Ok(body)
    }

    fn room(&self, room_id: &str) -> io::Result<Option<Body>> {
        let Some(room) = self.store.room(room_id) else {
            return Ok(None);
        };
        let Some(part) = self.store.room_entries(self.truth, self.count, room) else {
            return Ok(None);
        };
        let mut body = Body::text(r#"{"sessions":{"#);
        self.push(&mut body, part, &self.replacements(room..room + 1)?);
        body.push_text("}}");
        Ok(Some(body))
    }

    fn session(&self, room_id: &str, session_id: &str) -> io::Result<Option<Body>> {
        let Some(room) = self.store.room(room_id) else {
            return Ok(None);
        };
        let part = self.store.session_entry(self.truth, self.count, room, session_id)?;
        let Some(part) = part else {
            return Ok(None);
        };
        let mut body = Body::default();
        self.push(&mut body, part, &self.replacements(room..room + 1)?);
        Ok(Some(body))
    }

    /// Returns the replacements for entries of these rooms, in the order of the document.
    pub(crate) fn replacements(&self, rooms: Range<u64>) -> io::Result<Vec<Replacement>> {
        let mut replacements = Vec::new();
        for (session_id, entry) in &self.lies.entries {
            for room in rooms.clone() {
                let place = self.store.session_entry(self.truth, self.count, room, session_id)?;
                replacements.extend(place.map(|place| Replacement {
                    place,
                    text: entry.to_string(),
                }));
            }
        }
        replacements.sort_unstable_by_key(|replacement| replacement.place.start);
        Ok(replacements)
    }

    /// Appends a part of the document to a body, and applies the replacements that lie in it.
    fn push(&self, body: &mut Body, part: Range<u64>, replacements: &[Replacement]) {
        let first = replacements.partition_point(|replacement| replacement.place.start < part.start);
        let mut from = part.start;
        for replacement in &replacements[first..] {
            if replacement.place.end > part.end {
                break;
            }
            body.push_stored(&self.store, from..replacement.place.start);
            body.push_text(&replacement.text);
            from = replacement.place.end;
        }
        body.push_stored(&self.store, from..part.end);
    }
}
