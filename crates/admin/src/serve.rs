//! The listener: few connections, each bounded in time and size.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::refusal::{Code, Refusal};
use crate::route::Admin;

/// Most connections at a time; further ones wait in the system's queue.
const MAX_CONNECTIONS: usize = 64;
/// A request head, and the pause between requests, may take this long.
const HEAD: Duration = Duration::from_secs(15);
/// A body may take this long.
const BODY: Duration = Duration::from_secs(15);
/// Largest body, in bytes: a tenant with full lists fits.
pub(crate) const MAX_BODY: usize = 1 << 20;
/// Largest head, in bytes.
const MAX_HEAD: usize = 32 << 10;
/// After an error of `accept` (out of file descriptors, mostly) it is tried again this much later.
const PAUSE: Duration = Duration::from_millis(50);
/// Requests that run when the server stops may take this much longer.
const DRAIN: Duration = Duration::from_secs(5);

/// Serves until `stop` is cancelled, then lets running requests end, for at most 5 s.
///
/// # Errors
/// If the socket cannot be handed to the runtime.
pub async fn serve(listener: TcpListener, admin: Arc<Admin>, stop: CancellationToken) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            (place, accepted) = accepted => match (place, accepted) {
                (Ok(place), Ok((stream, _))) => {
                    let (admin, stop) = (Arc::clone(&admin), stop.clone());
                    connections.spawn(async move {
                        talk(stream, admin, stop).await;
                        drop(place);
                    });
                }
                (_, Err(e)) => {
                    tracing::warn!(error = %e, "the admin API cannot accept a connection");
                    tokio::time::sleep(PAUSE).await;
                }
                (Err(_), _) => break,
            },
        }
    }
    drop(listener);
    // What takes longer is cut off when the set is dropped; a change that began ends all the same.
    let _ = tokio::time::timeout(DRAIN, async { while connections.join_next().await.is_some() {} }).await;
    Ok(())
}

async fn talk(stream: TcpStream, admin: Arc<Admin>, stop: CancellationToken) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let admin = Arc::clone(&admin);
        async move { Ok::<_, Infallible>(Box::pin(admin.answer(request)).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection of the admin API ended early");
    }
}

/// Reads a body within its bounds.
pub(crate) async fn read_body(body: Incoming) -> Result<Bytes, Refusal> {
    let read = tokio::time::timeout(BODY, Limited::new(body, MAX_BODY).collect());
    match read.await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::new(
            Code::PayloadTooLarge,
            "admin.body",
            format!("the body is larger than {MAX_BODY} bytes"),
        )),
        Ok(Err(_)) => Err(Refusal::new(
            Code::InvalidRequest,
            "admin.body",
            "the body broke off before its end",
        )),
        Err(_) => Err(Refusal::new(
            Code::Timeout,
            "admin.body",
            format!("the body did not come within {} s", BODY.as_secs()),
        )),
    }
}
