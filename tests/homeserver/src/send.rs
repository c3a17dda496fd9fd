//! Sends answers at the wanted speed, and breaks them off where a fault requires it.

use std::{io, io::Write, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    misbehave::{Delivery, Ending},
    pace::Link,
    response::{Framing, Response},
    state::Shared,
};

const PIECE: usize = 128 << 10;
/// Room before a piece for its length in hexadecimal and a line break.
const CHUNK_HEAD: usize = 16;
/// How long to wait before a reset: it discards everything that has not left this machine yet.
const BEFORE_RESET: Duration = Duration::from_millis(50);

/// Sends one answer and returns whether the connection can be used again.
pub(crate) async fn send(
    stream: &mut TcpStream,
    shared: &Shared,
    response: &Response,
    delivery: &Delivery,
    keep_alive: bool,
) -> io::Result<bool> {
    tokio::time::sleep(delivery.latency).await;
    if delivery.ending == Ending::Silence {
        wait_for_close(stream).await;
        return Ok(false);
    }
    let keep_alive = keep_alive && delivery.ending == Ending::Whole;
    let head = head(response, keep_alive);
    let whole = send_body(stream, shared, response, delivery, head).await?;
    match delivery.ending {
        Ending::Stall(_) if !whole => wait_for_close(stream).await,
        Ending::Reset(_) if !whole => {
            tokio::time::sleep(BEFORE_RESET).await;
            stream.set_zero_linger()?;
        }
        _ => {}
    }
    Ok(whole && keep_alive)
}

/// Sends head and body, and returns whether they were sent completely.
async fn send_body(
    stream: &mut TcpStream,
    shared: &Shared,
    response: &Response,
    delivery: &Delivery,
    mut head: Vec<u8>,
) -> io::Result<bool> {
    let drip = Link::new(delivery.bytes_per_second);
    let chunked = response.framing == Framing::Chunked;
    let piece = drip.piece(shared.link.piece(PIECE));
    let limit = delivery.ending.limit();
    let mut buffer = vec![0; CHUNK_HEAD + piece + 2];
    let mut position = 0;
    loop {
        let most = limit.map_or(piece as u64, |limit| (piece as u64).min(limit.saturating_sub(position)));
        if most == 0 {
            stream.write_all(&head).await?;
            return Ok(false);
        }
        let most = CHUNK_HEAD + usize::try_from(most).unwrap_or(piece);
        let length = response.body.read(position, &mut buffer[CHUNK_HEAD..most])?;
        if length == 0 {
            break;
        }
        if !delivery.aside {
            shared.link.pass(length).await;
        }
        drip.pass(length).await;
        let framed = if chunked {
            frame(&mut buffer, length)
        } else {
            &buffer[CHUNK_HEAD..CHUNK_HEAD + length]
        };
        if head.is_empty() {
            stream.write_all(framed).await?;
        } else {
            // One write for head and first piece: most answers are small.
            head.extend_from_slice(framed);
            stream.write_all(&head).await?;
            head.clear();
        }
        position += length as u64;
        if !delivery.aside {
            shared.counters.sent(length as u64);
        }
    }
    if chunked {
        head.extend_from_slice(b"0\r\n\r\n");
    }
    stream.write_all(&head).await?;
    Ok(true)
}

/// Writes the framing of a chunk around the bytes in the buffer, and returns the chunk.
fn frame(buffer: &mut [u8], length: usize) -> &[u8] {
    let head = format!("{length:x}\r\n");
    let start = CHUNK_HEAD - head.len();
    buffer[start..CHUNK_HEAD].copy_from_slice(head.as_bytes());
    let end = CHUNK_HEAD + length;
    buffer[end..end + 2].copy_from_slice(b"\r\n");
    &buffer[start..end + 2]
}

fn head(response: &Response, keep_alive: bool) -> Vec<u8> {
    let mut head = Vec::with_capacity(256);
    let reason = match response.status {
        200 => "OK",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        _ => "Status",
    };
    let mut line = |text: std::fmt::Arguments<'_>| {
        head.write_fmt(text).expect("a vector takes every write");
        head.extend_from_slice(b"\r\n");
    };
    line(format_args!("HTTP/1.1 {} {reason}", response.status));
    for (name, value) in &response.headers {
        line(format_args!("{name}: {value}"));
    }
    match response.framing {
        Framing::Length(length) => line(format_args!("Content-Length: {length}")),
        Framing::Chunked => line(format_args!("Transfer-Encoding: chunked")),
    }
    let connection = if keep_alive { "keep-alive" } else { "close" };
    line(format_args!("Connection: {connection}"));
    line(format_args!(""));
    head
}

/// Reads and discards until the client has closed the connection.
async fn wait_for_close(stream: &mut TcpStream) {
    let mut nothing = [0; 1024];
    while stream.read(&mut nothing).await.is_ok_and(|length| length > 0) {}
}
