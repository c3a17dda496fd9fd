//! A transport over reqwest, for desktops, bots and tests. Apps on phones bring their own.

use std::{
    error::Error,
    sync::{Arc, Mutex as StdMutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::{Client, Response, redirect::Policy};
use tokio::sync::{Mutex, watch};

use super::{HttpExchange, HttpHead, HttpHeader, HttpMethod, HttpRequest, HttpTransport, TransportError};
use crate::locked::locked;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Maximum number of bytes of a chunk. What reqwest returns grows with the speed of the server, to 400 KB.
const CHUNK: usize = 64 * 1024;

/// An [`HttpTransport`] over reqwest, with rustls and the system's certificates.
///
/// Use it inside a tokio runtime with I/O and time enabled. Feature `reqwest-transport`.
pub struct ReqwestTransport {
    /// The client with its connection pool. `None` after `close_idle`, until the next request.
    client: StdMutex<Option<Client>>,
}

impl ReqwestTransport {
    /// Creates a transport with its own connection pool.
    ///
    /// # Errors
    /// [`TransportError::Failed`] if TLS cannot be set up on this machine.
    pub fn new() -> Result<Self, TransportError> {
        Ok(Self {
            client: StdMutex::new(Some(client()?)),
        })
    }
}

fn client() -> Result<Client, TransportError> {
    Client::builder()
        .redirect(Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("keyferry/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| failed(&error))
}

impl HttpTransport for ReqwestTransport {
    fn start(&self, request: HttpRequest) -> Result<Arc<dyn HttpExchange>, TransportError> {
        let idle_timeout = Duration::from(request.idle_timeout);
        let client = {
            let mut kept = locked(&self.client);
            match &*kept {
                Some(client) => client.clone(),
                None => kept.insert(client()?).clone(),
            }
        };
        let mut builder = match request.method {
            HttpMethod::Get => client.get(&request.url),
            HttpMethod::Put => client.put(&request.url),
            HttpMethod::Post => client.post(&request.url),
            HttpMethod::Delete => client.delete(&request.url),
        };
        for header in &request.headers {
            builder = builder.header(&header.name, &header.value);
        }
        if let Some(body) = request.body {
            builder = builder.body(body);
        }
        let request = builder.build().map_err(|error| failed(&error))?;
        Ok(Arc::new(Exchange {
            state: Mutex::new(State::Ready(client, Box::new(request))),
            closed: watch::Sender::new(false),
            idle_timeout,
        }))
    }

    fn close_idle(&self) -> Result<(), TransportError> {
        locked(&self.client).take();
        Ok(())
    }
}

struct Exchange {
    state: Mutex<State>,
    closed: watch::Sender<bool>,
    idle_timeout: Duration,
}

enum State {
    Ready(Client, Box<reqwest::Request>),
    /// With what was received and not returned yet.
    Open(Response, Bytes),
    Done,
}

impl Exchange {
    async fn unless_closed<T>(
        &self,
        work: impl Future<Output = Result<T, reqwest::Error>>,
    ) -> Result<T, TransportError> {
        let mut closed = self.closed.subscribe();
        tokio::select! {
            // Check for `cancel` first, so that no wait begins after it.
            biased;
            _ = closed.wait_for(|closed| *closed) => Err(TransportError::Closed),
            result = tokio::time::timeout(self.idle_timeout, work) => match result {
                Ok(result) => result.map_err(|error| sort(&error)),
                Err(_) => Err(TransportError::Timeout),
            },
        }
    }
}

#[async_trait]
impl HttpExchange for Exchange {
    async fn head(&self) -> Result<HttpHead, TransportError> {
        let mut state = self.state.lock().await;
        let State::Ready(client, request) = std::mem::replace(&mut *state, State::Done) else {
            return Err(TransportError::Closed);
        };
        let response = self.unless_closed(client.execute(*request)).await?;
        let headers = response
            .headers()
            .iter()
            .filter_map(|(name, value)| {
                Some(HttpHeader {
                    name: name.to_string(),
                    value: value.to_str().ok()?.to_owned(),
                })
            })
            .collect();
        let head = HttpHead {
            status: response.status().as_u16(),
            headers,
        };
        *state = State::Open(response, Bytes::new());
        Ok(head)
    }

    async fn next_chunk(&self) -> Result<Option<Vec<u8>>, TransportError> {
        let mut state = self.state.lock().await;
        let State::Open(response, received) = &mut *state else {
            return Err(TransportError::Closed);
        };
        match self.unless_closed(next_part(response, received)).await {
            Ok(Some(chunk)) => Ok(Some(chunk)),
            end => {
                *state = State::Done;
                end
            }
        }
    }

    fn cancel(&self) -> Result<(), TransportError> {
        self.closed.send_replace(true);
        if let Ok(mut state) = self.state.try_lock() {
            *state = State::Done;
        }
        Ok(())
    }
}

/// Returns the next part of `received`, after waiting for more if that is empty.
async fn next_part(response: &mut Response, received: &mut Bytes) -> Result<Option<Vec<u8>>, reqwest::Error> {
    if received.is_empty() {
        let Some(more) = response.chunk().await? else {
            return Ok(None);
        };
        *received = more;
    }
    Ok(Some(received.split_to(received.len().min(CHUNK)).to_vec()))
}

fn sort(error: &reqwest::Error) -> TransportError {
    if error.is_timeout() {
        TransportError::Timeout
    } else if error.is_connect() {
        if mentions_tls(error) {
            TransportError::Tls
        } else {
            TransportError::Offline
        }
    } else if error.is_body() || error.is_request() || error.is_decode() {
        TransportError::Interrupted
    } else {
        failed(error)
    }
}

fn mentions_tls(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.to_string().contains("certificate") {
            return true;
        }
        source = cause.source();
    }
    false
}

fn failed(error: &reqwest::Error) -> TransportError {
    // Not reqwest's own text: it contains the URL, which names the user.
    TransportError::Failed {
        detail: if error.is_builder() {
            "invalid request"
        } else {
            "reqwest"
        }
        .to_owned(),
    }
}
