//! The homeserver, as far as this crate talks to it: typed endpoints over a transport that the host brings.
//!
//! `transport` is the border to the host, `endpoints` knows paths and bodies, `retry` decides what passes by itself.
//! Nothing here knows the vault or the job.

mod endpoints;
mod error;
#[cfg(feature = "reqwest-transport")]
mod reqwest_transport;
mod response;
mod retry;
mod transport;

pub(crate) use endpoints::{Homeserver, KeysRequest};
pub(crate) use error::{HomeserverError, Meaning};
#[cfg(feature = "reqwest-transport")]
pub use reqwest_transport::ReqwestTransport;
pub(crate) use response::Body;
pub(crate) use retry::{Backoff, Verdict};
pub use transport::{HttpExchange, HttpHead, HttpHeader, HttpMethod, HttpRequest, HttpTransport, TransportError};
