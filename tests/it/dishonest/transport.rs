//! The lying server as a transport: nothing goes over a network, and every answer is there at once.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use keyferry::{HttpExchange, HttpHead, HttpRequest, HttpTransport, TransportError};

use super::server::State;

/// A handle to the lying server.
#[derive(Clone, Default)]
pub(super) struct Server(Arc<Mutex<State>>);

impl Server {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("not poisoned")
    }
}

impl HttpTransport for Server {
    fn start(&self, request: HttpRequest) -> Result<Arc<dyn HttpExchange>, TransportError> {
        let (_, path) = request.url.split_once("/v3/").expect("a path of the client API");
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let path: Vec<String> = path.split('/').map(decoded).collect();
        let version = query.strip_prefix("version=").map(decoded);
        let answer = self.state().answer(&path, version.as_deref());
        let mut chunks = VecDeque::from([Ok(answer.body)]);
        if answer.is_cut {
            chunks.push_back(Err(TransportError::Interrupted));
        }
        Ok(Arc::new(Exchange {
            status: answer.status,
            chunks: Mutex::new(chunks),
        }))
    }

    fn close_idle(&self) -> Result<(), TransportError> {
        Ok(())
    }
}

struct Exchange {
    status: u16,
    chunks: Mutex<VecDeque<Result<Vec<u8>, TransportError>>>,
}

#[async_trait]
impl HttpExchange for Exchange {
    async fn head(&self) -> Result<HttpHead, TransportError> {
        Ok(HttpHead {
            status: self.status,
            headers: Vec::new(),
        })
    }

    async fn next_chunk(&self) -> Result<Option<Vec<u8>>, TransportError> {
        self.chunks.lock().expect("not poisoned").pop_front().transpose()
    }

    fn cancel(&self) -> Result<(), TransportError> {
        Ok(())
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let hex = match byte {
            b'%' => [rest.next(), rest.next()].map(Option::unwrap_or_default),
            _ => {
                bytes.push(byte);
                continue;
            }
        };
        let hex = std::str::from_utf8(&hex).expect("two digits");
        bytes.push(u8::from_str_radix(hex, 16).expect("two digits"));
    }
    String::from_utf8(bytes).expect("a text")
}
