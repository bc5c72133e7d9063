//! The gRPC door over real sockets, with tonic's client.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod batches;
mod calls;
mod mcp;
mod raw;
mod support;
