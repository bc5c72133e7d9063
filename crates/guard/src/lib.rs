//! Guards what goes into a tool and what comes out: a one-pass check of raw JSON for shape, size and patterns of attacks,
//! compiled JSON Schemas, and redaction of results.
//!
//! **Owns** the scan with its limits and rule ids, the pattern rules and the policies over them, peeking at the members of raw
//! objects, the bounded use of the JSON Schema validator, and the redactor. Works on text and values alone.
//! **Must not know** tenants, transports, protocol messages, configuration files, or an async runtime: it is pure.
//!
//! Start reading at [`scan()`]; it and [`members`] are the hot path, built on the tokens of `lex`. [`Guard`] is the scan with the
//! pattern rules looking on (`patterns`). [`CompiledSchema`] and [`Redactor`] stand by themselves.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod guard;
mod keys;
mod lex;
mod limits;
mod members;
mod patterns;
mod pointer;
mod redact;
mod scan;
mod schema;
mod stack;
mod violation;

pub use guard::{Checked, Guard, Refusal, ToolGuard};
pub use limits::{MAX_NUMBER_BYTES, ScanLimits};
pub use members::{Member, Members, member, members};
pub use patterns::{
    Action, Class, FieldKind, Finding, MAX_SCOPES, PatternConfig, PatternPolicy, PolicyError, Rule, Scope,
    Select, Severity, ToolPatterns, rules,
};
pub use redact::{Redacted, Redactor, Sensitive};
pub use scan::{Kind, Scanned, scan, scan_bytes};
pub use schema::{
    CompiledSchema, MAX_ISSUES, MAX_PATTERNS, MAX_SCHEMA_BYTES, MAX_SCHEMA_DEPTH, MAX_SUBSCHEMAS, MAX_VISITS,
    SchemaError, SchemaIssue,
};
pub use violation::{Violation, rule};
