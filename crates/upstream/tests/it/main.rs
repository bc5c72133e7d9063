//! Transports and upstream servers against real processes and real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod events;
mod http;
mod oauth;
mod peer;
mod per_caller;
mod pools;
mod relay;
mod rig;
mod server;
mod source_http;
mod source_stdio;
mod stdio;
mod tasks;
mod tls;

use std::time::Duration;

/// Upper bound for anything that should happen at once, on a machine that is busy.
const SOON: Duration = Duration::from_secs(20);

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, what).await.expect("took too long")
}
