//! The stdio door: newline-delimited JSON-RPC over any pair of byte streams (2026-07-28 and
//! 2025-11-25 basic/transports, "stdio").
//!
//! Owns: the framing of lines, in and out.
//!
//! Must not know: MCP methods and eras, which requests run at the same time, what waits to go out (`ferromcp-endpoint` does, in
//! its `Connection`), other doors, processes.
//!
//! Start reading at [`serve`]. Invariant: nothing but whole messages, one per line, is ever written.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod connection;
mod output;

use std::time::Duration;

pub use connection::serve;

/// Settings of the stdio door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StdioSettings {
    /// Longest line in bytes; the same limit as HTTP bodies have. Default 4 MiB.
    pub max_line: usize,
    /// How long running calls may go on after the input ended or a shutdown began. Default 30 s.
    pub drain: Duration,
    /// Most bytes that wait to be written. Answers wait for room (and the input with them), reports
    /// of progress and logs are dropped. Default 32 MiB; a single larger message still passes.
    pub max_queued: usize,
    /// The tenant whose client this is. `None`: the local one.
    pub tenant: Option<String>,
}

impl Default for StdioSettings {
    fn default() -> Self {
        Self {
            max_line: 4 << 20,
            drain: Duration::from_secs(30),
            max_queued: 32 << 20,
            tenant: None,
        }
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The input ended or a shutdown was asked for, and all running calls were answered.
    Clean,
    /// The drain limit passed while calls were still running; they were cancelled.
    DrainTimedOut,
    /// The other side stopped reading.
    BrokenPipe,
}
