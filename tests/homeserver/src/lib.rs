//! A small Matrix homeserver for keyferry's tests, example and benches.
//!
//! It knows one user, and only the part of the client-server API that a key backup needs: the
//! backup versions, their entries, joined rooms and account data. It holds up to millions of room
//! keys in rooms of chosen sizes, answers as Synapse or another server does, and misbehaves on
//! demand.
//!
//! ```
//! use keyferry_test_homeserver::{Config, EndpointKind, Fault, FaultKind, Homeserver};
//!
//! let homeserver = Homeserver::start(Config { keys: 200, rooms: 3, ..Config::default() })?;
//! // The first download breaks off, the next one does not.
//! homeserver.set_faults(vec![
//!     Fault::from(FaultKind::CutBody { after_bytes: 20_000 }).on(EndpointKind::AllKeys).times(1),
//! ]);
//! // … a client does its work with homeserver.url() and homeserver.account() …
//! assert_eq!(homeserver.requests().of(EndpointKind::AllKeys), 0);
//! assert_eq!(homeserver.truth().key(7).room_id, homeserver.truth().room_id(0));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! - **Everything comes from the seed.** The same [`Config`] produces the same ids, keys and
//!   ciphertexts. [`Truth`] derives any room key from its index, so a test can compare a million
//!   of them without holding any.
//! - **Memory use is flat.** The whole backup is one JSON document in a temporary file without a
//!   name, which disappears with the process, however that ends. An answer is a part of that file.
//!   A version with the same room keys under another backup key has its own file.
//! - **Keys can be held back** ([`Config::held_back`]): the last keys are in the truth from the
//!   start, but enter the backup only when they are released, as if another client uploaded them
//!   at that moment.
//! - **Clients can write**: create, update and delete versions, and put keys into the current one. What takes the place of
//!   what, how much a request may hold, and which errors there are, differs as servers do. A fault that replaces an answer
//!   (such as [`FaultKind::Status`]) keeps a request from having an effect; one that breaks it off (such as
//!   [`FaultKind::Silence`]) loses only the answer.
//! - **Servers differ** ([`Config::server`]): [`ServerKind`] lists how.
//! - **Faults** ([`FaultKind`]) work on the bytes: bodies are cut, reset, stalled, slowed down,
//!   mislabelled, or never end; rooms are left out and entries replaced. They can be limited to an
//!   endpoint, to a room and to a number of requests.
//! - **Entries** are encrypted as the specification describes, including the MAC that covers
//!   nothing. With [`Config::odd_entries`], some of them are strange in ways seen in the wild.
//!
//! As a program it prints its account as one line of JSON and is controlled through `/_control`:
//!
//! | request | effect |
//! |---|---|
//! | `POST /_control/faults` | replaces the faults by a JSON list of [`Fault`]s |
//! | `GET /_control/requests` | answers with [`RequestCounts`] |
//! | `POST /_control/reset_requests` | resets the counts to zero |
//! | `PUT /_control/version` | changes the versions: `{"action":"new_with_keys"}` or another [`VersionAction`] |
//! | `POST /_control/release` | puts the keys that were held back into the backup |
//! | `PUT /_control/token` | sets the access token: `{"access_token":"…","soft_logout":false}` |
//! | `POST /_control/stop` | ends the program |

mod account;
mod answer;
mod body;
mod cli;
mod config;
mod connection;
mod control;
mod counts;
mod crypto;
mod entry;
mod fault;
mod generate;
mod keys;
mod limit;
mod misbehave;
mod pace;
mod palpo;
mod recovery_key;
mod request;
mod response;
mod route;
mod secret_storage;
mod send;
mod server;
mod server_kind;
mod state;
mod store;
mod truth;
mod uploads;
mod versions;
mod write;

pub use account::AccountInfo;
pub use cli::main_with_args;
pub use config::Config;
pub use counts::RequestCounts;
pub use fault::{EndpointKind, Fault, FaultKind};
pub use server::Homeserver;
pub use server_kind::ServerKind;
pub use truth::{Oddity, TrueKey, Truth};
pub use versions::VersionAction;
