//! FerroMCP for Rust developers: write tools as functions, get a guarded MCP server.
//!
//! Ten lines are enough:
//!
#![doc = "```no_run"]
#![doc = include_str!("../examples/hello.rs")]
#![doc = "```"]
//!
//! That program is an MCP server for clients of every protocol revision from 2024-11-05 to
//! 2026-07-28. Each call passes the same pipeline as in the `ferromcp` gateway: arguments are bounded
//! in size and depth and checked against the schema made from `Greet`, the call has a deadline, a
//! panic fails one call and nothing else, and every call ends in one record.
//! [`serve_http`](Server::serve_http) in the place of `serve_stdio` offers the same over Streamable
//! HTTP at `/mcp` and REST at `/v1`.
//!
//! In `Cargo.toml`, beside `ferromcp`: `serde` with `derive`, `schemars` 1 (both derives name their
//! crates), and `tokio` with `macros` and `rt-multi-thread`.
//!
//! # Learn it in this order
//!
//! 1. [`Tool`]: functions as tools, what they take and return. [`Json`] gives structured output with
//!    a schema, [`Content`] anything else that MCP can carry. `?` works on every error, see
//!    [`ToolError`].
//! 2. [`Context`]: progress, logs, cancellation, and questions to the caller (sampling,
//!    elicitation, roots). **The same code serves both protocol eras**; its documentation says how,
//!    and what a handler that asks must mind.
//! 3. [`Resource`], [`ResourceTemplate`], [`Prompt`], with completion of their arguments.
//! 4. [`TaskSupport`]: calls that outlive their request (tasks extension).
//! 5. [`ServerHandle`]: changing the server while it runs. [`Mount`]: servers inside servers, with
//!    the feature `rmcp` also those written with rmcp.
//! 6. [`Batch`]: many calls in one, with results of calls as arguments of others.
//! 7. `client` (feature `client`): the other side, tools of a running server called over REST or gRPC.
//! 8. [`ServerBuilder`]: limits and deadlines, records of calls, and [`Server::into_gateway`] for
//!    programs that call the tools themselves.
//!
//! # Testing your tools
//!
//! A server needs no transport to be tried:
//!
//! ```
//! use ferromcp::core::{Call, Credential, Door, Reply};
//! use ferromcp::{Server, Tool};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let tool = Tool::new("answer", "The answer", || async { "42" });
//! let gateway = Server::builder("test", "1.0.0").tool(tool).build().unwrap().into_gateway();
//! let call = Call::tool(Door::Library, Credential::Local, "answer", None);
//! let outcome = gateway.call(&call).await;
//! let Ok(Reply::Complete(result)) = outcome.result else { panic!() };
//! assert!(result.as_str().contains("42"));
//! # }
//! ```
//!
//! # Inside
//!
//! Owns: the builder API, handlers as sources of the gateway, the context that works in both eras,
//! the task store. Must not know: framing, sessions, tenants, configuration files; the doors and
//! `ferromcp-core` do. Start reading at `server.rs`, then `source.rs` for the way of a call and
//! `context/driver.rs` for how a handler reaches its caller.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod batch;
mod builder;
mod complete;
mod content;
mod context;
mod error;
mod handler;
mod mount;
mod prompt;
mod question;
mod random;
mod resource;
#[cfg(feature = "rmcp")]
mod rmcp_mount;
mod schema;
mod serve;
mod server;
mod source;
mod strings;
mod task;
mod template;
mod tool;

#[cfg(feature = "client")]
pub use ferromcp_client as client;

pub use batch::{Batch, BatchResults};
pub use builder::ServerBuilder;
pub use complete::Completing;
pub use content::{Audience, Content, Icon, ResourceContents};
pub use context::{Context, Questions};
pub use error::{BuildError, ToolError};
pub use handler::{Handler, NoArgs};
pub use mount::Mount;
pub use prompt::{Message, Prompt, PromptOutput, PromptResult, Role};
pub use question::{Answer, Form, Question, Root, Roots, Sample, Sampled, Url};
pub use resource::{Resource, ResourceOutput, ResourceTemplate};
#[cfg(feature = "rmcp")]
pub use rmcp_mount::{RmcpError, RmcpServer};
pub use serve::http;
pub use server::{Server, ServerHandle};
pub use task::TaskLimits;
pub use tool::{BlockingHandler, Json, RawSchema, TaskSupport, Tool, ToolOutput, ToolResult};

pub use ferromcp_core as core;
pub use ferromcp_core::{Door, Gateway, InputKind, Policy, Principal, RequestId};
pub use ferromcp_protocol::{ClientCapabilities, LogLevel, ProtocolVersion};
pub use schemars::{self, JsonSchema};
pub use serde_json::Value;

/// The examples of the README are compiled with the documentation tests.
#[cfg(all(doctest, feature = "client"))]
#[doc = include_str!("../../../README.md")]
struct Readme;
