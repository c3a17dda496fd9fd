//! What the endpoints answer when nothing goes wrong, with the errors that Synapse gives.

use std::io;

use serde_json::{Value, json};

use crate::{
    misbehave::Lies,
    request::Request,
    response::{Body, Response},
    route::Route,
    state::{Shared, Version},
};

/// Answers one request.
pub(crate) fn answer(shared: &Shared, request: &Request, route: &Route<'_>, lies: &Lies) -> io::Result<Response> {
    match route {
        Route::Unknown => return Ok(unrecognized(404)),
        Route::WrongMethod => return Ok(unrecognized(405)),
        _ => {}
    }
    if let Some(refusal) = check_token(shared, request) {
        shared.counters.unauthorized();
        return Ok(refusal);
    }
    Ok(match *route {
        Route::CurrentVersion => match shared.mutable().versions.current() {
            Some(version) => Response::json(200, &version.describe(lies)),
            None => not_found("No backup found"),
        },
        Route::Version(number) => match shared.mutable().versions.find(number) {
            Some(version) => Response::json(200, &version.describe(lies)),
            None => unknown_version(),
        },
        Route::AllKeys => match version_of(shared, request) {
            Err(refusal) => *refusal,
            Ok(version) => all_keys(&version),
        },
        Route::RoomKeys(room) => match version_of(shared, request) {
            Err(refusal) => *refusal,
            Ok(version) => room_keys(shared, &version, room),
        },
        Route::SessionKey(room, session) => match version_of(shared, request) {
            Err(refusal) => *refusal,
            Ok(version) => session_key(shared, &version, room, session)?,
        },
        Route::JoinedRooms => {
            let rooms: Vec<String> = (0..shared.joined_rooms)
                .map(|room| shared.truth.room_id(room))
                .collect();
            Response::json(200, &json!({ "joined_rooms": rooms }))
        }
        Route::GetAccountData(user, kind) => get_account_data(shared, user, kind),
        Route::PutAccountData(user, kind) => put_account_data(shared, user, kind, &request.body),
        Route::WrongMethod | Route::Unknown => unrecognized(404),
    })
}

fn check_token(shared: &Shared, request: &Request) -> Option<Response> {
    let Some(token) = &request.bearer else {
        return Some(Response::error(401, "M_MISSING_TOKEN", "Missing access token"));
    };
    let state = shared.mutable();
    (*token != state.access_token).then(|| {
        Response::json(
            401,
            &json!({
                "errcode": "M_UNKNOWN_TOKEN",
                "error": "Invalid access token passed.",
                "soft_logout": state.soft_logout,
            }),
        )
    })
}

fn version_of(shared: &Shared, request: &Request) -> Result<Version, Box<Response>> {
    let Some(number) = request.query("version") else {
        let missing = Response::error(400, "M_MISSING_PARAM", "Missing string query parameter b'version'");
        return Err(missing.into());
    };
    let found = shared.mutable().versions.find(number);
    found.ok_or_else(|| unknown_version().into())
}

fn all_keys(version: &Version) -> Response {
    let body = version.store.as_ref().and_then(|store| {
        let part = store.all_entries(version.count)?;
        Some(Body::around("", store, part, "}}}}"))
    });
    Response::entries(body.unwrap_or_else(|| Body::text(r#"{"rooms":{}}"#)))
}

fn room_keys(shared: &Shared, version: &Version, room: &str) -> Response {
    let body = version.store.as_ref().and_then(|store| {
        let part = store.room_entries(&shared.truth, version.count, room)?;
        Some(Body::around(r#"{"sessions":{"#, store, part, "}}"))
    });
    Response::entries(body.unwrap_or_else(|| Body::text(r#"{"sessions":{}}"#)))
}

fn session_key(shared: &Shared, version: &Version, room: &str, session: &str) -> io::Result<Response> {
    if let Some(store) = &version.store
        && let Some(part) = store.session_entry(&shared.truth, version.count, room, session)?
    {
        return Ok(Response::entries(Body::around("", store, part, "")));
    }
    Ok(not_found("No room_keys found"))
}

fn get_account_data(shared: &Shared, user: &str, kind: &str) -> Response {
    if user != shared.info.user_id {
        return forbidden("Cannot get account data for other users.");
    }
    match shared.mutable().account_data.get(kind) {
        Some(content) => Response::json(200, content),
        None => not_found("Account data not found"),
    }
}

fn put_account_data(shared: &Shared, user: &str, kind: &str, body: &[u8]) -> Response {
    if user != shared.info.user_id {
        return forbidden("Cannot add account data for other users.");
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(content) if content.is_object() => {
            let mut state = shared.mutable();
            state.account_data.insert(kind.to_owned(), content);
            Response::json(200, &json!({}))
        }
        Ok(_) => Response::error(400, "M_BAD_JSON", "Content must be a JSON object."),
        Err(_) => Response::error(400, "M_NOT_JSON", "Content not JSON."),
    }
}

fn not_found(error: &str) -> Response {
    Response::error(404, "M_NOT_FOUND", error)
}

fn unknown_version() -> Response {
    not_found("Unknown backup version")
}

fn forbidden(error: &str) -> Response {
    Response::error(403, "M_FORBIDDEN", error)
}

fn unrecognized(status: u16) -> Response {
    Response::error(status, "M_UNRECOGNIZED", "Unrecognized request")
}
