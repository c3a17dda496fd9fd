//! Reads requests: head, body, path and query.

use std::io;

use tokio::{io::AsyncReadExt, net::TcpStream};

const MOST_HEAD: usize = 64 << 10;
/// More than any server takes: too long a body is answered, not cut.
const MOST_BODY: usize = 32 << 20;

/// One complete request.
pub(crate) struct Request {
    pub method: String,
    /// The segments of the path, decoded one by one, so that an escaped slash does not separate segments.
    pub path: Vec<String>,
    pub query: Vec<(String, String)>,
    pub bearer: Option<String>,
    pub body: Vec<u8>,
    pub keep_alive: bool,
}

impl Request {
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Reads the requests of one connection.
#[derive(Default)]
pub(crate) struct Reader {
    pending: Vec<u8>,
}

impl Reader {
    /// Returns the next request, or `None` if the client has closed the connection without starting another one.
    pub(crate) async fn next(&mut self, stream: &mut TcpStream) -> io::Result<Option<Request>> {
        loop {
            if let Some((mut request, head, length)) = parse_head(&self.pending)? {
                while self.pending.len() < head + length {
                    if self.fill(stream).await? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                let rest = self.pending.split_off(head + length);
                request.body = self.pending.split_off(head);
                self.pending = rest;
                return Ok(Some(request));
            }
            if self.pending.len() > MOST_HEAD {
                return Err(invalid("the head is too long"));
            }
            if self.fill(stream).await? == 0 {
                return match self.pending.is_empty() {
                    true => Ok(None),
                    false => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        }
    }

    async fn fill(&mut self, stream: &mut TcpStream) -> io::Result<usize> {
        self.pending.reserve(8 << 10);
        stream.read_buf(&mut self.pending).await
    }
}

/// Parses a head. Returns the request without its body, the length of the head and the length of the body, or `None`
/// if the head is incomplete.
fn parse_head(bytes: &[u8]) -> io::Result<Option<(Request, usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    let status = parsed.parse(bytes).map_err(|_| invalid("this is not HTTP"))?;
    let httparse::Status::Complete(head) = status else {
        return Ok(None);
    };
    let (path, query) = split_target(parsed.path.unwrap_or("/"));
    let mut request = Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        path,
        query,
        bearer: None,
        body: Vec::new(),
        keep_alive: parsed.version == Some(1),
    };
    let mut length = 0;
    for header in parsed.headers {
        let value = String::from_utf8_lossy(header.value);
        let value = value.trim();
        match header.name.to_ascii_lowercase().as_str() {
            "content-length" => {
                length = value.parse().map_err(|_| invalid("content-length"))?;
            }
            "transfer-encoding" => return Err(invalid("chunked requests are not understood")),
            "connection" => request.keep_alive &= !value.eq_ignore_ascii_case("close"),
            "authorization" => request.bearer = value.strip_prefix("Bearer ").map(str::to_owned),
            _ => {}
        }
    }
    if length > MOST_BODY {
        return Err(invalid("the body is too long"));
    }
    Ok(Some((request, head, length)))
}

fn split_target(target: &str) -> (Vec<String>, Vec<(String, String)>) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.split('/').map(percent_decode).collect();
    let query = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |text: &str| percent_decode(&text.replace('+', " "));
            (decode(key), decode(value))
        })
        .collect();
    (path, query)
}

/// Decodes percent escapes and leaves everything else as it is, including invalid escapes.
fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = bytes
            .get(at + 1..at + 3)
            .filter(|hex| bytes[at] == b'%' && hex.iter().all(u8::is_ascii_hexdigit))
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(escape.unwrap_or(bytes[at]));
        at += if escape.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::split_target;

    #[test]
    fn an_escaped_slash_does_not_separate() {
        let (path, query) = split_target("/a/b%2Fc%2B+/%zz?version=1%202&x");
        assert_eq!(path, ["a", "b/c++", "%zz"]);
        assert_eq!(query[0], ("version".to_owned(), "1 2".to_owned()));
    }
}
