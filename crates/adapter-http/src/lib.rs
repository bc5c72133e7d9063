//! The HTTP doors: REST, health, and MCP over Streamable HTTP of both eras, on one port.
//!
//! Owns: the HTTP server (connections, their bounds and their end), the routing table, checks of
//! `Host` and `Origin`, bodies within bounds, the map from error codes to HTTP statuses, the REST
//! contract with its OpenAPI description, and how MCP messages travel as JSON or as event streams.
//!
//! Must not know: configuration files, tool sources, other doors, what a JSON-RPC method means.
//! A request becomes a call of `ferromcp-core`, or a message for `ferromcp-endpoint`.
//!
//! hyper is used as it is, without a framework above it: routing is one `match`, and nothing is
//! spawned or boxed for each layer.
//!
//! Start reading at `route.rs`: it names the doors. `serve.rs` is what is below them.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod authorization;
mod body;
mod cors;
mod credential;
mod health;
mod hosts;
mod listen;
mod mcp;
mod media;
mod openapi;
mod refusal;
mod rest;
mod route;
mod serve;
mod settings;

pub use authorization::AuthorizationSettings;
pub use ferromcp_tls::{ClientAuth, Part, Refresh, ServerFiles, ServerTls, TlsError};
pub use listen::Listener;
pub use openapi::generated;
pub use route::Doors;
pub use serve::{Threads, serve};
pub use settings::HttpSettings;
