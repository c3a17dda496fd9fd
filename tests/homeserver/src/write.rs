//! The answers of the endpoints that change a backup: its versions and its keys.

use std::{collections::BTreeMap, io};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    answer::{not_found, unknown_version},
    keys,
    request::Request,
    response::Response,
    route::Route,
    state::Shared,
    uploads::Hints,
    versions::Version,
};

const ALGORITHM: &str = "m.megolm_backup.v1.curve25519-aes-sha2";

#[derive(Deserialize)]
struct VersionBody {
    algorithm: String,
    auth_data: Value,
    version: Option<String>,
}

#[derive(Deserialize)]
struct AllKeysBody {
    rooms: BTreeMap<String, RoomBody>,
}

#[derive(Deserialize)]
struct RoomBody {
    sessions: BTreeMap<String, Value>,
}

/// Creates, updates or deletes a version.
pub(crate) fn version(shared: &Shared, request: &Request, route: &Route<'_>) -> io::Result<Response> {
    if let Some(refusal) = refuse_length(shared, request) {
        return Ok(refusal);
    }
    if let Route::DeleteVersion(number) = *route {
        let is_deleted = shared.mutable().versions.delete(number);
        return Ok(done_or_unknown(is_deleted));
    }
    let body: VersionBody = match parse(request) {
        Ok(body) => body,
        Err(refusal) => return Ok(*refusal),
    };
    let mut state = shared.mutable();
    let Route::UpdateVersion(number) = *route else {
        let number = state.versions.create(body.auth_data)?;
        return Ok(Response::json(200, &json!({ "version": number })));
    };
    if body.version.as_deref().is_some_and(|version| version != number) {
        return Ok(invalid("Version in body does not match version in path."));
    }
    if body.algorithm != ALGORITHM && !shared.kind.takes_another_algorithm() {
        return Ok(invalid("Algorithm does not match."));
    }
    let is_updated = state.versions.update_auth_data(number, body.auth_data);
    Ok(done_or_unknown(is_updated))
}

/// Puts keys into a version, which must be the current one.
pub(crate) fn keys(shared: &Shared, request: &Request, route: &Route<'_>) -> io::Result<Response> {
    if let Some(refusal) = refuse_length(shared, request) {
        return Ok(refusal);
    }
    let rooms = match rooms_of(request, route) {
        Ok(rooms) => rooms,
        Err(refusal) => return Ok(*refusal),
    };
    let Some(number) = request.query("version") else {
        return Ok(Response::error(
            400,
            "M_MISSING_PARAM",
            "Missing string query parameter b'version'",
        ));
    };
    let is_empty = rooms.values().all(BTreeMap::is_empty);
    let mut state = shared.mutable();
    let Some(current) = state.versions.current() else {
        return Ok(without_version(shared, is_empty));
    };
    if current.number() != number {
        return Ok(match state.versions.find(number) {
            Some(_) => refuse_version(shared, number, &current),
            None => unknown_version(),
        });
    }
    if let Some(refusal) = refuse_hints(shared, &rooms) {
        return Ok(refusal);
    }
    let has_changed = put(shared, &current, &rooms)?;
    let (count, etag) = state
        .versions
        .note_upload(number, has_changed, is_empty)
        .expect("it is the current version");
    Ok(Response::json(200, &json!({ "count": count, "etag": etag })))
}

/// Puts the entries in, as far as they are better than what is there. Returns whether that has changed anything.
fn put(shared: &Shared, version: &Version, rooms: &BTreeMap<String, BTreeMap<String, Value>>) -> io::Result<bool> {
    let rule = shared.kind.rule(rooms.values().map(BTreeMap::len).sum::<usize>() == 1);
    let mut uploads = version.uploads();
    let mut has_changed = false;
    for (room_id, sessions) in rooms {
        for (session_id, entry) in sessions {
            let original = keys::original(shared, version, room_id, session_id)?;
            let original = original.as_ref().map(Hints::of);
            has_changed |= uploads.put(room_id, session_id, entry, original, rule)?;
        }
    }
    Ok(has_changed)
}

/// Returns the entries of a request by room and session.
fn rooms_of(request: &Request, route: &Route<'_>) -> Result<BTreeMap<String, BTreeMap<String, Value>>, Box<Response>> {
    Ok(match *route {
        Route::PutSessionKey(room, session) => {
            let sessions = BTreeMap::from([(session.to_owned(), parse(request)?)]);
            BTreeMap::from([(room.to_owned(), sessions)])
        }
        Route::PutRoomKeys(room) => BTreeMap::from([(room.to_owned(), parse::<RoomBody>(request)?.sessions)]),
        _ => {
            let body: AllKeysBody = parse(request)?;
            let rooms = body.rooms.into_iter().map(|(room, body)| (room, body.sessions));
            rooms.collect()
        }
    })
}

fn parse<T: for<'a> Deserialize<'a>>(request: &Request) -> Result<T, Box<Response>> {
    let content: Value =
        serde_json::from_slice(&request.body).map_err(|_| Response::error(400, "M_NOT_JSON", "Content not JSON."))?;
    serde_json::from_value(content).map_err(|error| Response::error(400, "M_BAD_JSON", &error.to_string()).into())
}

fn refuse_length(shared: &Shared, request: &Request) -> Option<Response> {
    let is_too_long = request.body.len() > shared.most_body;
    is_too_long.then(|| Response::error(413, "M_TOO_LARGE", "The request is too large."))
}

fn refuse_hints(shared: &Shared, rooms: &BTreeMap<String, BTreeMap<String, Value>>) -> Option<Response> {
    if !shared.kind.wants_every_hint() {
        return None;
    }
    for entry in rooms.values().flat_map(BTreeMap::values) {
        let names = ["first_message_index", "forwarded_count", "is_verified", "session_data"];
        if names.iter().any(|name| entry.get(name).is_none()) {
            return Some(Response::error(500, "M_UNKNOWN", "Internal server error"));
        }
        if !entry["is_verified"].is_boolean() {
            return Some(invalid("is_verified must be a boolean"));
        }
    }
    None
}

fn refuse_version(shared: &Shared, asked: &str, current: &Version) -> Response {
    let (status, errcode) = shared.kind.refusal_of_old_version();
    let named = if shared.kind.calls_the_old_version_current() {
        asked.to_owned()
    } else {
        current.number()
    };
    let error = "Wrong backup version.";
    Response::json(
        status,
        &json!({ "errcode": errcode, "error": error, "current_version": named }),
    )
}

fn without_version(shared: &Shared, is_empty: bool) -> Response {
    match (shared.kind.fails_on_upload_without_version(), is_empty) {
        (true, true) => Response::json(200, &json!({ "count": 0, "etag": "" })),
        (true, false) => Response::json(500, &json!({ "message": "sql: no rows in result set" })),
        (false, _) => not_found("Version not found"),
    }
}

fn done_or_unknown(is_done: bool) -> Response {
    if is_done {
        Response::json(200, &json!({}))
    } else {
        unknown_version()
    }
}

fn invalid(error: &str) -> Response {
    Response::error(400, "M_INVALID_PARAM", error)
}
