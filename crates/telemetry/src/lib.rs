//! What the process says about itself: the log, and one line for every call.
//!
//! Owns: setting up `tracing` on standard error, and [`CallLog`], the observer that writes call
//! records, and [`Records`], which adds the audit log. Must not know: policy, doors, sources.
//!
//! Start reading at [`CallLog`].
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod audit;
mod call_log;
mod logging;
mod tally;

pub use audit::Records;
pub use call_log::{CallLog, CallLogWriter};
pub use logging::{LogFormat, LogSetup, LogSetupError, init};
pub use tally::{Counted, Tally};
