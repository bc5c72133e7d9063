//! Calls tools of a FerroMCP server from Rust, over REST or gRPC, with the same types and the same errors.
//!
//! ```no_run
//! # async fn run() -> Result<(), ferromcp_client::Error> {
//! use ferromcp_client::{Batch, Call, Client};
//! use serde_json::json;
//!
//! // or grpc://127.0.0.1:50051, https://..., grpcs://...
//! let client = Client::builder("http://127.0.0.1:8080").key("fmcp_...").build()?;
//! let answer = client.call(&Call::new("echo", &json!({ "msg": "hello" }))?).await?;
//! println!("{}", answer.output());
//!
//! let batch = Batch::new()
//!     .call(Call::new("echo", &json!({ "msg": "a" }))?.id("first"))
//!     .call(Call::new("echo", &json!({ "msg": { "$result": "first" } }))?)
//!     .parallel(5);
//! for one in client.batch(&batch).await?.results {
//!     println!("{}", one?.output());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Owns: how requests are written, and how answers and errors are read, over REST (`docs/openapi.json`), over MCP where a call
//! is to tell of itself ([`Client::call_events`] over HTTP), and over gRPC (`proto/ferromcp/v1`).
//!
//! Must not know: the server. Nothing is sent twice: whether a call may be repeated is for the caller to say, by
//! [`Failure::may_have_run`] and [`Failure::retry_after`].
//!
//! Start reading at [`Client`].
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod answer;
mod builder;
mod call;
mod client;
mod error;
mod grpc;
#[doc(hidden)]
pub mod https;
mod rest;
mod trust;
mod usage;

pub use answer::{Answer, BatchAnswer, Event, Tool};
pub use builder::Builder;
pub use call::{Batch, Call};
pub use client::Client;
pub use error::{Error, Failure};
pub use trust::{Part, TrustError, tls};
pub use usage::{Concurrent, Quota, Rate, Usage};
