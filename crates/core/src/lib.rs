//! The one pipeline that every call goes through, and what it needs to decide.
//!
//! Owns: [`Call`], [`CallContext`], [`Reply`], [`CallError`] with its closed [`ErrorCode`], the
//! [`Catalog`] (tool name -> source), the [`Snapshot`] that a call sees from start to end,
//! [`Gateway::call`], and the record that every call ends in.
//!
//! Must not know: HTTP, JSON-RPC framing, YAML, how processes are started. Doors translate bytes
//! into a [`Call`] and an [`Outcome`] back into bytes; sources ([`Source`]) do the work.
//!
//! Start reading at [`Gateway::call`] (`gateway.rs`): it names the stages. Each stage is one file
//! in `stage/`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod access;
mod answer;
pub mod batch;
pub mod call;
pub mod catalog;
pub mod client;
mod credential;
pub mod deadline;
pub mod error;
pub mod event;
pub mod explain;
pub mod gateway;
pub mod guesses;
pub mod lists;
pub mod record;
pub mod reply;
mod request;
pub mod snapshot;
pub mod source;
mod stage;
pub mod time;
pub mod usage;

pub use access::{Access, AccessSettings, Anonymous, Grants, Tokens};
pub use answer::BatchAnswer;
pub use batch::{Batch, BatchCall, BatchRequest, BatchSink, BatchSummary};
pub use call::{Arguments, Call, CallContext, Credential, Door, Operation, Principal, RequestId};
pub use catalog::{Catalog, PromptEntry, ResourceEntry, TemplateEntry, ToolEntry};
pub use client::{Client, Interaction, LogMessage, NoClient, Progress};
pub use deadline::Deadline;
pub use error::{Blame, CallError, Challenge, ErrorCode, Issue};
pub use event::{Event, Lists, ViewChange};
pub use explain::Verdict;
pub use ferromcp_guard as guard;
pub use ferromcp_guard::ScanLimits;
pub use ferromcp_limits::Standing;
pub use ferromcp_tenancy as tenancy;
pub use ferromcp_tenancy::CertificateNames;
pub use gateway::{Gateway, LogWish, Outcome, Reconfiguration, Slot, TaskWatch, View, Watch};
pub use lists::ListKey;
pub use record::{CallRecord, Observer};
pub use reply::{Input, InputKind, InputRequest, InputRequired, Payload, Reply};
pub use request::CallRequest;
pub use snapshot::{Identity, Policy, SchemaMode, Snapshot};
pub use source::{Listing, Offers, Source, SourceFuture, SourceHealth, SourceState, Spec, WorkerHealth};
pub use usage::TenantUsage;
