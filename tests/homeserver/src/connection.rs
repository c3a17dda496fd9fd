//! One connection: reads its requests and answers them one after the other.

use std::{io, time::Duration};

use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    answer::answer,
    control, fault,
    misbehave::{self, Delivery},
    request::{Reader, Request},
    route::Route,
    send::send,
    state::Shared,
};

/// Serves a connection until either side closes it.
pub(crate) async fn serve(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = Reader::default();
    while let Some(request) = reader.next(&mut stream).await? {
        let again = if control::is_for(&request) {
            let response = control::answer(shared, &request);
            let delivery = Delivery {
                aside: true,
                ..Delivery::default()
            };
            let again = send(&mut stream, shared, &response, &delivery, false).await?;
            if control::is_stop(&request) {
                // Only after the answer is sent: stopping ends this connection, too.
                shared.stop.notify_one();
            }
            again
        } else {
            serve_client(&mut stream, shared, &request).await?
        };
        if !again {
            break;
        }
    }
    // A connection that is about to be reset needs no orderly shutdown.
    if stream.linger()?.is_none() {
        stream.shutdown().await?;
    }
    Ok(())
}

async fn serve_client(stream: &mut TcpStream, shared: &Shared, request: &Request) -> io::Result<bool> {
    let route = Route::of(request);
    let endpoint = route.kind();
    let _answering = shared.counters.begin(endpoint);
    let faults = fault::take(&mut shared.mutable().faults, endpoint, route.room());
    let mut response = match misbehave::replacement(&faults) {
        Some(response) => response,
        None => answer(shared, request, &route, &misbehave::Lies::of(&faults))?,
    };
    let mut delivery = misbehave::delivery(&faults, endpoint, &mut response);
    delivery.latency += Duration::from_millis(shared.latency_ms);
    send(stream, shared, &response, &delivery, request.keep_alive).await
}
