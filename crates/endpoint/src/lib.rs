//! One MCP endpoint: JSON-RPC messages in, JSON-RPC messages out, both protocol eras, any transport.
//!
//! Owns: the era of every message, the checks each era asks for and their order, one file per MCP
//! method (`method/`), legacy sessions, sealed request state, subscriptions, and how a call's
//! outcome is written as JSON-RPC.
//!
//! Beside it: [`Connection`], what every long connection needs around that.
//!
//! Must not know: HTTP, sockets, SSE, tool sources, tenants. Doors hand in bytes, a view of their
//! headers and an [`Outlet`]; decisions about a call live in `ferromcp-core`.
//!
//! A door does three things:
//! 1. [`Endpoint::exchange`] for every message (or batch) that arrives. The future is the whole
//!    work: no task is spawned, and dropping it cancels the request. What a running request says
//!    before its answer goes through the [`Outlet`] that came with the message.
//! 2. Drive what an exchange or a session opens: [`Subscription`] (2026-07-28
//!    `subscriptions/listen`) and [`Feed`] (legacy change notifications).
//! 3. Call [`Endpoint::sweep`] now and then, so that idle sessions end.
//!
//! Start reading at `endpoint.rs`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod answer;
mod batch;
mod caller;
mod capability;
mod connection;
mod cursor;
mod cx;
mod dress;
mod endpoint;
mod feed;
mod gate;
mod handed;
mod incoming;
mod legacy;
mod listen;
mod method;
mod modern;
mod render;
mod seal;
mod session;
mod settings;
mod stop;
mod store;

pub use answer::{Answer, Body};
pub use connection::{Connection, Gone, InputEnd, Queue, Queued};
pub use endpoint::Endpoint;
pub use feed::Feed;
pub use gate::{Follow, Gate, Gates};
pub use handed::{Handed, Peer};
pub use incoming::{HeaderField, Headers, Incoming, Link, NoHeaders, NoOutlet, Opened, Outlet};
pub use listen::Subscription;
pub use session::Session;
pub use settings::{Caching, EndpointSettings};
pub use store::{MemoryStore, SessionStore, StoreFull};
