//! Upstream MCP servers as sources of a gateway: a client of both eras over child processes and Streamable HTTP.
//!
//! Owns: the client side of both transports ([`transport`]), finding out the era, handshakes, reading lists, the raw
//! relay of calls, progress, logs and cancellation, subscriptions to changes, and restarting what broke.
//!
//! Must not know: tenants' rules, the doors, configuration files.
//!
//! Start reading at [`Upstreams::start`], then `driver.rs` (when to start and restart), `life.rs` (one run of a server
//! from connect to close) and `session.rs` (a call).
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod driver;
mod fault;
mod heard;
mod life;
mod link;
mod lists;
mod loose;
mod opening;
mod relay;
mod session;
mod spec;
pub mod transport;
mod upstream;
mod upstreams;
mod watched;
mod wire;

pub use spec::{EraChoice, ToolFilter, TransportSpec, UpstreamSpec};
pub use upstreams::Upstreams;
