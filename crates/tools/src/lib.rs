//! The built-in pack: `echo`, file tools that cannot leave the directories they were given, and `batch_call`.
//!
//! **Owns** the definitions of these tools, how their paths are addressed, and the jail around the
//! file system ([`listing`] makes one [`Listing`](ferromcp_core::Listing) of it all).
//! **Must not know** transports, configuration files, tenants; the pipeline has checked arguments
//! against the schema before a call gets here, but nothing here relies on that.
//!
//! Every path goes through `files/jail.rs` before anything is opened, and everything is opened
//! relative to a directory handle through cap-std, which refuses to resolve to a place outside of
//! it, whatever links are put there meanwhile. File I/O runs on the blocking pool, in bounded
//! numbers, and stops when the call is dropped (`files/job.rs`).
//!
//! Start reading at `pack.rs`, then `files.rs`; `batch.rs` is a source of its own.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod batch;
mod echo;
mod files;
mod pack;

pub use batch::{NAME as BATCH_CALL, batch};
pub use files::{FilesSettings, SearchLimits};
pub use pack::{PackError, Settings, echo, listing};
