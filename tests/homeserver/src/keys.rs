//! The answers of the three endpoints for keys: all keys, the keys of a room, the key of a session.

use std::{
    collections::BTreeMap,
    io,
    ops::Range,
    sync::{Arc, MutexGuard},
};

use serde_json::Value;

use crate::{
    ServerKind, Truth, body::Body, misbehave::Lies, palpo, response::Response, route::Route, state::Shared,
    store::Store, uploads::Uploads, versions::Version,
};

/// The entries of a version as one request sees them.
pub(crate) struct Entries<'a> {
    pub truth: &'a Truth,
    version: Version,
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

/// Returns the entry that a version had for a session from the start, if any.
pub(crate) fn original(
    shared: &Shared,
    version: &Version,
    room_id: &str,
    session_id: &str,
) -> io::Result<Option<Value>> {
    let Some(store) = &version.store else {
        return Ok(None);
    };
    let Some(room) = store.room(room_id) else {
        return Ok(None);
    };
    let Some(place) = store.session_entry(&shared.truth, version.count, room, session_id)? else {
        return Ok(None);
    };
    let mut text = vec![0; usize::try_from(place.end - place.start).expect("an entry has about 900 bytes")];
    store.read(place.start, &mut text)?;
    Ok(Some(serde_json::from_slice(&text)?))
}

impl<'a> Entries<'a> {
    /// Returns `None` if the version never had any entries.
    pub(crate) fn of(shared: &'a Shared, version: Version, lies: &'a Lies) -> Option<Self> {
        let has_any = version.store.is_some() || !version.uploads().rooms().is_empty();
        has_any.then(|| Self {
            truth: &shared.truth,
            version,
            lies,
            has_bad_room_id: shared.bad_room_id,
        })
    }

    /// Returns the entries that the version had from the start, if it had any.
    pub(crate) fn store(&self) -> Option<&Arc<Store>> {
        self.version.store.as_ref()
    }

    /// Returns how many of them, counted from the first, are in the version.
    pub(crate) fn count(&self) -> u64 {
        self.version.count
    }

    pub(crate) fn uploads(&self) -> MutexGuard<'_, Uploads> {
        self.version.uploads()
    }

    fn all(&self) -> io::Result<Body> {
        let uploads = self.uploads();
        if uploads.rooms().is_empty() {
            return self.all_of_the_start();
        }
        let mut body = Body::text(r#"{"rooms":{"#);
        let mut comma = "";
        let from_the_start = (0..self.truth.rooms())
            .filter(|room| !self.lies.leaves_out(*room))
            .map(|room| self.truth.room_id(room));
        let others = uploads
            .rooms()
            .keys()
            .filter(|room_id| self.room_of_start(room_id).is_none());
        for room_id in from_the_start.chain(others.cloned()) {
            let mut sessions = Body::default();
            if self.push_sessions(&mut sessions, &room_id, &uploads)? {
                body.push_text(&format!("{comma}{}:{{\"sessions\":{{", Value::from(room_id)));
                body.push_body(sessions);
                body.push_text("}}");
                comma = ",";
            }
        }
        body.push_text("}}");
        Ok(body)
    }

    fn all_of_the_start(&self) -> io::Result<Body> {
        let mut body = Body::text(r#"{"rooms":{"#);
        if let Some(store) = self.store() {
            let replacements = self.replacements(store, 0..self.truth.rooms())?;
            let runs = store.runs(self.truth, self.count(), |room| !self.lies.leaves_out(room));
            for (number, run) in runs.into_iter().enumerate() {
                if number > 0 {
                    body.push_text(",");
                }
                push(&mut body, store, run, &replacements);
                body.push_text("}}");
            }
        }
        body.push_text("}}");
        Ok(body)
    }

    fn room(&self, room_id: &str) -> io::Result<Option<Body>> {
        let mut sessions = Body::default();
        if !self.push_sessions(&mut sessions, room_id, &self.uploads())? {
            return Ok(None);
        }
        let mut body = Body::text(r#"{"sessions":{"#);
        body.push_body(sessions);
        body.push_text("}}");
        Ok(Some(body))
    }

    /// Appends the sessions of a room, with commas between them. Returns false if there are none.
    fn push_sessions(&self, body: &mut Body, room_id: &str, uploads: &Uploads) -> io::Result<bool> {
        let uploaded = uploads.rooms().get(room_id);
        let mut has_any = false;
        if let (Some(store), Some(room)) = (self.store(), self.room_of_start(room_id))
            && let Some(part) = store.room_entries(self.truth, self.count(), room)
        {
            let mut replacements = self.replacements(store, room..room + 1)?;
            for (session_id, uploaded) in uploaded.into_iter().flatten().filter(|(_, uploaded)| !uploaded.is_new) {
                let place = store.session_entry(self.truth, self.count(), room, session_id)?;
                let text = uploads.entry_text(session_id, uploaded)?;
                replacements.extend(place.map(|place| Replacement { place, text }));
            }
            replacements.sort_by_key(|replacement| replacement.place.start);
            replacements.dedup_by_key(|replacement| replacement.place.start);
            push(body, store, part, &replacements);
            has_any = true;
        }
        for uploaded in uploaded
            .into_iter()
            .flat_map(BTreeMap::values)
            .filter(|uploaded| uploaded.is_new)
        {
            if has_any {
                body.push_text(",");
            }
            body.push_stored(uploads.file(), uploaded.place.clone());
            has_any = true;
        }
        Ok(has_any)
    }

    fn session(&self, room_id: &str, session_id: &str) -> io::Result<Option<Body>> {
        let uploads = self.uploads();
        if let Some(uploaded) = uploads.rooms().get(room_id).and_then(|room| room.get(session_id)) {
            return Ok(Some(Body::text(uploads.entry_text(session_id, uploaded)?)));
        }
        let (Some(store), Some(room)) = (self.store(), self.room_of_start(room_id)) else {
            return Ok(None);
        };
        let part = store.session_entry(self.truth, self.count(), room, session_id)?;
        let Some(part) = part else {
            return Ok(None);
        };
        let mut body = Body::default();
        push(&mut body, store, part, &self.replacements(store, room..room + 1)?);
        Ok(Some(body))
    }

    fn room_of_start(&self, room_id: &str) -> Option<u64> {
        self.store()?.room(room_id)
    }

    /// Returns the replacements for entries of these rooms, in the order of the document.
    pub(crate) fn replacements(&self, store: &Store, rooms: Range<u64>) -> io::Result<Vec<Replacement>> {
        let mut replacements = Vec::new();
        for (session_id, entry) in &self.lies.entries {
            for room in rooms.clone() {
                let place = store.session_entry(self.truth, self.count(), room, session_id)?;
                replacements.extend(place.map(|place| Replacement {
                    place,
                    text: entry.to_string(),
                }));
            }
        }
        replacements.sort_unstable_by_key(|replacement| replacement.place.start);
        Ok(replacements)
    }
}

/// Appends a part of the document to a body, and applies the replacements that lie in it.
fn push(body: &mut Body, store: &Store, part: Range<u64>, replacements: &[Replacement]) {
    let first = replacements.partition_point(|replacement| replacement.place.start < part.start);
    let mut from = part.start;
    for replacement in &replacements[first..] {
        if replacement.place.end > part.end {
            break;
        }
        body.push_stored(store.file(), from..replacement.place.start);
        body.push_text(&replacement.text);
        from = replacement.place.end;
    }
    body.push_stored(store.file(), from..part.end);
}
