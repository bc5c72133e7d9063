//! Child processes that never outlive their welcome, and the state machine that keeps one running.
//!
//! Owns: starting a program with a clean environment in its own process group, line-framed stdin and stdout with
//! bounds, capture of stderr, the stop sequence (close stdin, SIGTERM, SIGKILL, always reaped), and the restart policy
//! of a worker ([`worker`], without I/O and with injected time and randomness).
//!
//! Must not know: MCP, JSON, tools, tenants, configuration files. What a line means is the caller's business.
//!
//! Start reading at [`Child::spawn`], then `child.rs` for the life of a process and [`worker::Worker`] for the policy.
//!
//! Invariants:
//! - No process of a child's group survives the [`Child`]: not after its leader exited, not after `stop`, not after drop.
//!   On Linux the same is true of processes that left the group, unless they cleared their environment as well.
//! - Nor does it survive this process, if there is a [`watchdog`].
//! - A started process is always reaped, so there are no zombies.
//! - A child sees no environment variable that is not in [`PASSED_ENV`] or its [`ChildSpec`], except its [`MARK_ENV`].
//! - Queues, lines and captured stderr have limits; a child that floods or never reads cannot grow this process.
//!
//! Unix only. On Linux children also get a parent-death signal, so they die with a gateway that is killed even without a
//! watchdog; elsewhere they see the end of their stdin.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod child;
mod group;
#[cfg(target_os = "linux")]
mod leader;
mod leftovers;
mod reader;
mod spawn;
mod spec;
mod stderr;
mod stdin;
#[cfg(target_os = "linux")]
mod sweep;
pub mod watchdog;
pub mod worker;

pub use child::{Child, Exit, ExitKind, ExitWatch};
pub use leftovers::{MARK_ENV, is_running, is_stopped};
pub use reader::{LineReader, ReadError};
pub use spec::{ChildLimits, ChildSpec, PASSED_ENV, Resources, SpawnError};
pub use stdin::{SendError, StdinQueue};
