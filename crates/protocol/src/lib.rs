//! The Model Context Protocol as data: JSON-RPC envelopes, protocol versions, methods, error codes.
//!
//! Owns: the borrowed JSON-RPC envelope ([`Message`]), raw JSON objects ([`json::Object`]), the
//! protocol revisions and what differs between them ([`ProtocolVersion`]), request metadata
//! ([`RequestMeta`]), client capabilities, error codes, and the line framing of stdio.
//!
//! Must not know: tokio, HTTP, tenants, tools. It is sans-IO: bytes in, borrowed views out.
//!
//! Invariant: JSON values are kept as the raw text that arrived. What was checked is what is
//! forwarded; unknown fields survive because nobody rebuilds the objects that carry them.
//!
//! Start reading at [`Message::parse`].
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod capability;
pub mod error;
pub mod header;
pub mod json;
pub mod lines;
pub mod message;
pub mod meta;
pub mod method;
pub mod version;

pub use capability::ClientCapabilities;
pub use error::{RpcError, code};
pub use message::{Message, MessageError, Notification, Request, Response};
pub use meta::{LogLevel, RequestMeta};
pub use method::Method;
pub use version::{Era, ProtocolVersion};
