//! Upstream servers as sources of a gateway: a client of both eras of MCP over child processes and Streamable HTTP, and what
//! servers of any other kind ([`Service`]) share with that.
//!
//! Owns: the client side of both transports ([`transport`]), finding out the era, handshakes, reading lists, the raw
//! relay of calls, progress, logs and cancellation, subscriptions to changes, tokens for servers ([`auth`]), and restarting what broke.
//!
//! Must not know: tenants' rules, the doors, configuration files.
//!
//! Start reading at [`Upstreams::start`], then `upstream.rs` (a call from the gateway), `pool.rs` (which worker takes it),
//! `driver.rs` (when workers start, restart and end), `life.rs` and `follow.rs` (one run of a worker from connect to
//! close) and `session.rs` (the call itself).
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod ask;
pub mod auth;
mod breaker;
mod converse;
mod driver;
mod fault;
mod follow;
mod heard;
mod life;
mod link;
mod lists;
mod loose;
mod opening;
mod parked;
mod pool;
mod relay;
mod replay;
mod rounds;
mod served;
mod session;
mod sharing;
mod spec;
mod tasks;
pub mod transport;
mod upstream;
mod upstreams;
mod watched;
mod wire;

pub use pool::PoolSize;
pub use served::{Found, Service, ServiceFuture};
pub use sharing::Sharing;
pub use spec::{Effect, EraChoice, ToolFilter, TransportSpec, UpstreamSpec};
pub use upstreams::{Next, Prepared, Upstreams};
