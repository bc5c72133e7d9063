//! The gRPC door: tools, resources and prompts as `proto/ferromcp/v1/ferromcp.proto` has them, health and reflection.
//!
//! Owns: the HTTP/2 server of this door (connections, their bounds and their end), the map from error codes to gRPC statuses
//! with their details, deadlines of clients, how a running call reaches its caller as a stream.
//!
//! Must not know: configuration files, tool sources, other doors, what a JSON-RPC method means. A request becomes a call of
//! `ferromcp-core`; messages of MCP go to `ferromcp-endpoint`.
//!
//! hyper is used as it is, below tonic's services: the deadline of a call belongs to the pipeline, which records it as one, and
//! not to a timer around it.
//!
//! Start reading at `service.rs`; `serve.rs` is what is below it.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod batch;
mod list;
mod mcp;
mod route;
mod serve;
mod service;
mod settings;
mod status;
mod stream;
mod usage;

pub use serve::{Doors, serve};
pub use settings::GrpcSettings;
