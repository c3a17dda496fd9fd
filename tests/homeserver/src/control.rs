//! The `/_control` endpoints, which no real homeserver has: a test in another process controls this one through them.

use std::io;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use crate::{Fault, VersionAction, request::Request, response::Response, state::Shared};

#[derive(Deserialize)]
struct Token {
    access_token: String,
    #[serde(default)]
    soft_logout: bool,
}

#[derive(Deserialize)]
struct Version {
    action: VersionAction,
}

/// Whether the request is a control request.
pub(crate) fn is_for(request: &Request) -> bool {
    request.path.first().is_some_and(|first| first == "_control")
}

/// Whether the homeserver must stop once this request is answered.
pub(crate) fn is_stop(request: &Request) -> bool {
    request.method == "POST" && request.path == ["_control", "stop"]
}

/// Carries out a control request, except that stopping is left to the caller. Control requests are exempt from
/// faults, latency and limits, need no token and are not counted.
pub(crate) fn answer(shared: &Shared, request: &Request) -> Response {
    let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    match (request.method.as_str(), path.as_slice()) {
        ("POST", ["_control", "faults"]) => with(request, |faults: Vec<Fault>| {
            shared.mutable().faults = faults;
            Ok(())
        }),
        ("GET", ["_control", "requests"]) => {
            let counts = serde_json::to_value(shared.counters.snapshot());
            Response::json(200, &counts.expect("counts are plain data"))
        }
        ("POST", ["_control", "reset_requests"]) => {
            shared.counters.reset();
            done()
        }
        ("PUT", ["_control", "version"]) => with(request, |version: Version| shared.change_version(version.action)),
        ("POST", ["_control", "release"]) => {
            shared.release_held_back();
            done()
        }
        ("PUT", ["_control", "token"]) => with(request, |token: Token| {
            let mut state = shared.mutable();
            state.access_token = token.access_token;
            state.soft_logout = token.soft_logout;
            Ok(())
        }),
        _ if is_stop(request) => done(),
        _ => Response::error(404, "M_UNRECOGNIZED", "There is no such control"),
    }
}

fn with<T: DeserializeOwned>(request: &Request, act: impl FnOnce(T) -> io::Result<()>) -> Response {
    match serde_json::from_slice::<T>(&request.body).map(act) {
        Ok(Ok(())) => done(),
        Ok(Err(error)) => Response::error(500, "M_UNKNOWN", &error.to_string()),
        Err(error) => Response::error(400, "M_BAD_JSON", &error.to_string()),
    }
}

fn done() -> Response {
    Response::json(200, &json!({}))
}
