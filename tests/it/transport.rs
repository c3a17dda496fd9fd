//! The ready transport over reqwest keeps to the contract of `HttpExchange`.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::TcpListener,
    thread,
};

use keyferry::{HttpMethod, HttpRequest, HttpTransport, Milliseconds, ReqwestTransport};

/// The maximum that `HttpExchange::next_chunk` names.
const MOST: usize = 256 * 1024;

#[tokio::test]
async fn the_chunks_of_a_fast_server_keep_to_their_maximum_and_lose_nothing() {
    let body: Vec<u8> = (0..20_000_000_u32).map(|place| (place % 251) as u8).collect();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let sent = body.clone();
    let server = thread::spawn(move || {
        let (mut connection, _) = listener.accept().expect("a connection");
        let request = BufReader::new(&connection).lines();
        let is_head = |line: &io::Result<String>| line.as_ref().is_ok_and(|line| !line.is_empty());
        assert!(request.take_while(is_head).count() > 0);
        write!(connection, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", sent.len()).expect("a head");
        connection.write_all(&sent).expect("a body");
    });
    let transport = ReqwestTransport::new().expect("a transport");
    let request = HttpRequest {
        method: HttpMethod::Get,
        url,
        headers: Vec::new(),
        body: None,
        idle_timeout: Milliseconds(10_000),
    };
    let exchange = transport.start(request).expect("an exchange");
    assert_eq!(exchange.head().await.expect("a head").status, 200);
    let mut received = Vec::new();
    while let Some(chunk) = exchange.next_chunk().await.expect("a chunk") {
        assert!((1..=MOST).contains(&chunk.len()), "{} bytes", chunk.len());
        received.extend(chunk);
    }
    assert!(received == body, "{} of {} bytes", received.len(), body.len());
    server.join().expect("the server has sent everything");
}
