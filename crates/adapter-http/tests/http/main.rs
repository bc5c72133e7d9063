//! The HTTP doors over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod bad_input;
mod batch;
mod connections;
mod hosts;
mod legacy;
mod modern;
mod openapi;
mod rest;
mod support;
mod tls;
