//! gRPC services as servers behind the gateway: their methods are tools.
//!
//! Owns: finding out what a server has (reflection, or a file of descriptors), JSON Schemas of messages, JSON to messages and back
//! (the JSON mapping of protobuf), and what a status means.
//!
//! Must not know: tenants' rules, the doors, configuration files, MCP messages.
//!
//! Start reading at [`Grpc`], then `reflection.rs` (what there is), `tools.rs` (it becomes tools) and `call.rs` (a call).
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod call;
mod channel;
mod codec;
mod reflection;
mod schema;
mod service;
mod status;
#[cfg(test)]
mod tests;
mod tools;

pub use service::{Grpc, GrpcSpec};
