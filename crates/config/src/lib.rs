//! FerroMCP's configuration file: YAML text to a validated [`Config`], and everything that describes the file.
//!
//! Owns the syntax of `ferromcp.yaml`, every key with its bounds and default, the errors a user sees about it, its JSON
//! Schema and reference page, and the conversion of other MCP hosts' files.
//!
//! Must not know what runs: no pipeline, transport or process. It yields plain data; the binary wires it up.
//!
//! Start reading at `settings`, the one table of all keys. The way of a file is `yaml` (text to a tree with places) →
//! `check` (tree against `settings`, `${...}` resolved) → `assemble` (rules that span keys, into `model`). Problems of all
//! steps are collected (`problem`) and shown with their line (`excerpt`, `render`). `schema` and `reference` print `settings`.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod assemble;
mod changes;
mod check;
mod credentials;
mod document;
mod excerpt;
mod fields;
mod import;
mod interpolate;
mod json_text;
mod load;
mod model;
mod node;
mod problem;
mod reference;
mod render;
mod scalar;
mod schema;
mod secret;
mod settings;
mod source;
mod spec;
mod suggest;
mod text;
mod yaml;

#[cfg(test)]
mod tests;

pub use changes::{Change, Given, Reload, changes};
pub use credentials::{CredentialFrom, CredentialUse, credentials};
pub use document::DocumentProblem;
pub use import::{Host, HostServer, Imported, Launch, Merged, MergedServer, Note, Place, import, merge};
pub use interpolate::{MAX_SECRET_FILE, brought_in};
pub use load::Loaded;
pub use model::{
    AccessList, ActsFor, Admin, Anonymous, AssertionSource, Audit, AuditLog, AuditOtlp, Auth, Builtin,
    ByteRate, Command, Config, DocumentSource, Effect, Endpoint, Era, Files, Grpc, Identity, Jwt,
    JwtAlgorithm, JwtKeys, Keep, KeyHash, Limits, Listen, Lock, Log, LogFormat, LogLevel, OAuth, OAuthMethod,
    OnError, OnFull, OnUnlocked, OpenApi, OutputRedaction, Override, PatternAction, PatternExemption,
    Patterns, PoolSettings, Quotas, Rate, ResourceLimits, Sessions, Sharing, SignKey, Supervisor, Tenant,
    Tls, ToolFilter, Transport, Upstream, UpstreamTls, Validation,
};
pub use problem::{ConfigError, Problem};
pub use reference::reference_markdown;
pub use scalar::parse_listen_addr;
pub use schema::json_schema;
pub use secret::Secret;

/// Largest configuration or import file, in bytes.
pub const MAX_FILE: u64 = 4 * 1024 * 1024;

/// The files of the repository that are generated from the table of settings: path from the repository's root, content.
pub fn generated() -> Vec<(&'static str, String)> {
    vec![
        ("crates/config/schema/ferromcp.schema.json", json_schema()),
        ("docs/config.md", reference_markdown()),
    ]
}
