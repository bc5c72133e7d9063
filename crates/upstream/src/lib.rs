//! Upstream MCP servers: how messages reach them and come back.
//!
//! Owns: the client side of both transports ([`transport`]).
//!
//! Must not know: tenants' rules, the doors, configuration files.
//!
//! Start reading at [`transport`].
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod transport;
