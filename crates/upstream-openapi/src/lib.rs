//! HTTP APIs that an OpenAPI document describes, as servers behind the gateway: their operations are tools.
//!
//! Owns: reading the document (3.0 and 3.1, JSON and YAML), its schemas as JSON Schemas, arguments to requests, and answers to
//! results.
//!
//! Must not know: tenants' rules, the doors, configuration files, MCP messages.
//!
//! What the document says is believed only as far as it does no harm: it names no hosts ([`OpenApiSpec::base_url`]), nothing that it
//! refers to is fetched, and what arguments say never leaves its place in the URL.
//!
//! Start reading at [`OpenApi`], then `tools.rs` (the document becomes tools) and `request.rs` (arguments become a request).
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod answer;
mod base;
mod document;
mod names;
mod operation;
mod request;
mod schema;
mod service;
#[cfg(test)]
mod tests;
mod tools;
mod yaml;

pub use service::{OpenApi, OpenApiSpec, Source, tool_names};
