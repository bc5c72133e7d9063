//! Bytes to and from one upstream server. A transport carries whole JSON-RPC messages and knows nothing of their content.
//!
//! - [`stdio`]: a child process, one message per line.
//! - [`events`]: HTTP+SSE, one stream of events in and one POST per message out (2024-11-05).
//! - [`http`]: Streamable HTTP, one POST per message, answers as JSON or as an event stream ([`sse`]).

mod error;
pub mod events;
pub mod http;
pub mod sse;
pub mod stdio;

pub use error::TransportError;
