//! The homeserver, as far as this crate uses it: typed endpoints over a transport that the host provides.
//!
//! `transport` is the boundary to the host, `endpoints` and `writes` know paths and bodies, and `retry` decides which
//! failures pass by themselves. Nothing here knows the vault or the job.

mod endpoints;
mod error;
mod file_downloads;
#[cfg(feature = "reqwest-transport")]
mod reqwest_transport;
mod response;
mod retry;
mod room_list;
mod token;
mod transport;
mod writes;

pub(crate) use endpoints::{Homeserver, KeysRequest};
pub(crate) use error::{HomeserverError, Meaning};
pub(crate) use file_downloads::AccountDownloads;
pub use file_downloads::{FileDownload, FileDownloads};
#[cfg(feature = "reqwest-transport")]
pub use reqwest_transport::ReqwestTransport;
pub(crate) use response::{Body, sort_answer};
pub(crate) use retry::{GivenUp, Retry, Verdict, outage_wait, rest_after, silence_after};
pub use token::TokenRequest;
pub(crate) use token::{AccessTokens, NoToken};
pub use transport::{HttpExchange, HttpHead, HttpHeader, HttpMethod, HttpRequest, HttpTransport, TransportError};
