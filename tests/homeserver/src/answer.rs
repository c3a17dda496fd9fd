//! The answers of the endpoints when no fault replaces them. Errors are those of Synapse unless the imitated server
//! has its own.

use std::io;

use serde_json::{Value, json};

use crate::{
    keys::{self, Entries},
    misbehave::Lies,
    request::Request,
    response::Response,
    route::Route,
    state::Shared,
    versions::{Version, Versions},
    write,
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
    if shared.kind.limits_requests() && route.is_of_room_keys() && !shared.limit.pass() {
        return Ok(Response::error(429, "M_LIMIT_EXCEEDED", "Too many requests."));
    }
    Ok(match *route {
        Route::CurrentVersion => {
            let state = shared.mutable();
            match state.versions.current() {
                Some(version) => describe(&state.versions, &version, lies),
                None => not_found("No backup found"),
            }
        }
        Route::Version(number) => {
            let state = shared.mutable();
            match state.versions.find(number) {
                Some(version) => describe(&state.versions, &version, lies),
                None => unknown_version(),
            }
        }
        Route::AllKeys | Route::RoomKeys(_) | Route::SessionKey(..) => match version_of(shared, request) {
            Err(refusal) => *refusal,
            Ok(version) => {
                let entries = version.and_then(|version| Entries::of(shared, version, lies));
                keys::answer(shared.kind, entries.as_ref(), route)?
            }
        },
        Route::CreateVersion | Route::UpdateVersion(_) | Route::DeleteVersion(_) => {
            write::version(shared, request, route)?
        }
        Route::PutAllKeys | Route::PutRoomKeys(_) | Route::PutSessionKey(..) => write::keys(shared, request, route)?,
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
        let mut refusal = json!({ "errcode": "M_UNKNOWN_TOKEN", "error": "Invalid access token passed." });
        if shared.kind.tells_soft_logout() {
            refusal["soft_logout"] = state.soft_logout.into();
        }
        Response::json(401, &refusal)
    })
}

fn describe(versions: &Versions, version: &Version, lies: &Lies) -> Response {
    match versions.describe(version, lies) {
        Some(description) => Response::json(200, &description),
        None => Response::json(500, &json!({ "message": "Internal Server Error" })),
    }
}

/// Returns the version that a request for keys is about. `None` means that the version is unknown and that the server
/// answers as if it had no keys.
fn version_of(shared: &Shared, request: &Request) -> Result<Option<Version>, Box<Response>> {
    let state = shared.mutable();
    let found = match request.query("version") {
        Some(number) => state.versions.find(number),
        None if shared.kind.takes_no_version_for_the_current_one() => state.versions.current(),
        None => {
            let missing = Response::error(400, "M_MISSING_PARAM", "Missing string query parameter b'version'");
            return Err(missing.into());
        }
    };
    if found.is_none() && !shared.kind.answers_unknown_version_with_nothing() {
        return Err(unknown_version().into());
    }
    Ok(found)
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

pub(crate) fn not_found(error: &str) -> Response {
    Response::error(404, "M_NOT_FOUND", error)
}

pub(crate) fn unknown_version() -> Response {
    not_found("Unknown backup version")
}

fn forbidden(error: &str) -> Response {
    Response::error(403, "M_FORBIDDEN", error)
}

fn unrecognized(status: u16) -> Response {
    Response::error(status, "M_UNRECOGNIZED", "Unrecognized request")
}
