//! Many calls in one request: [`Gateway::batch`](crate::Gateway::batch).
//!
//! Each call of a batch goes through [`Gateway::call`](crate::Gateway::call) on its own: it is authorised, limited, checked and
//! recorded like any other, and fails on its own. What the batch adds is the order: how many run at the same time, what is
//! left out once one has failed, and calls whose arguments hold results of others, so that a chain of calls needs one round
//! trip.
//!
//! A reference is an object `{"$result": ID, "pointer": POINTER}` anywhere in a call's arguments. In its place comes the
//! output of the call with this id (its structured content, or its text if it has only text) or the part of it that the
//! JSON Pointer (RFC 6901) leads to. A pointer also leads into text that is JSON. Arguments are checked after that, as
//! if the caller had sent them so.

mod plan;
mod reference;
mod request;
mod run;

use std::borrow::Cow;
use std::task::{Context, Poll};
use std::time::Duration;

pub use plan::Batch;

use crate::error::{CallError, ErrorCode, Issue};
use crate::gateway::Outcome;

/// Most calls in one batch.
pub const MAX_CALLS: usize = 10_000;
/// Most calls of one batch at the same time.
pub const MAX_PARALLEL: usize = 100;
/// So many at the same time where a batch is to run in parallel and does not say how much so.
pub const DEFAULT_PARALLEL: usize = 10;
/// Bytes of answers that a batch holds at most: what later calls refer to, and what a door answers in one piece.
pub const MAX_RESULTS: usize = 64 << 20;
/// Length of a call's id in bytes.
pub const MAX_ID: usize = 128;

/// Too many calls, or none.
pub const RULE_CALLS: &str = "batch.calls";
/// Two calls have the same id.
pub const RULE_DUPLICATE_ID: &str = "batch.duplicate_id";
/// Calls wait for one another.
pub const RULE_CYCLE: &str = "batch.cycle";
/// A reference that leads nowhere.
pub const RULE_REFERENCE: &str = "batch.reference";
/// Not run: a call whose result it needs failed.
pub const RULE_DEPENDENCY: &str = "batch.dependency";
/// Not run: another call failed, and the batch is to stop then.
pub const RULE_STOPPED: &str = "batch.stopped";
/// More bytes of results than a batch may hold.
pub const RULE_RESULTS: &str = "batch.results";
/// A batch inside a batch.
pub const RULE_NESTED: &str = "batch.nested";

/// One call of a batch, borrowed from what the door received.
#[derive(Clone, Debug, Default)]
pub struct BatchCall<'a> {
    /// What other calls and the answer call it; unique in the batch, at most [`MAX_ID`] bytes.
    pub id: Option<Cow<'a, str>>,
    /// Name of the tool.
    pub tool: Cow<'a, str>,
    /// Raw JSON of the arguments, checked to be JSON.
    pub arguments: Option<&'a str>,
    /// The longest that this call may take.
    pub timeout: Option<Duration>,
}

/// A batch as a door received it, before it is planned.
#[derive(Clone, Debug)]
pub struct BatchRequest<'a> {
    /// The calls, in the caller's order.
    pub calls: Vec<BatchCall<'a>>,
    /// How many run at the same time, 1 to [`MAX_PARALLEL`]. With 1 they run in order, but that a call comes after those
    /// that it refers to.
    pub parallel: usize,
    /// Calls that have not begun when one fails are not run.
    pub stop_on_error: bool,
    /// The longest that all of it may take.
    pub timeout: Option<Duration>,
    /// The tenant to act for.
    pub tenant: Option<Cow<'a, str>>,
}

impl Default for BatchRequest<'_> {
    fn default() -> Self {
        Self {
            calls: Vec::new(),
            parallel: 1,
            stop_on_error: false,
            timeout: None,
            tenant: None,
        }
    }
}

/// Takes the outcomes of a batch as calls end.
pub trait BatchSink: Send {
    /// Whether the next outcome can be taken. While it cannot, no further call begins, so that a caller who does not read
    /// costs what already ran and nothing more. An error ends the batch.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        let _ = cx;
        Poll::Ready(Ok(()))
    }

    /// The call at this place has ended. Told once for each call.
    fn ended(&mut self, at: usize, outcome: Outcome);
}

/// How a batch went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchSummary {
    /// Calls that succeeded.
    pub succeeded: usize,
    /// Calls that failed, also by the tool's own word, or were not run.
    pub failed: usize,
    /// From start to end.
    pub latency: Duration,
}

/// An error about one place of the request.
fn refused(code: ErrorCode, rule: Option<&'static str>, pointer: String, message: String) -> CallError {
    let error =
        CallError::new(code, format!("{pointer}: {message}")).with_issues(vec![Issue { pointer, message }]);
    match rule {
        Some(rule) => error.with_rule(rule),
        None => error,
    }
}

#[cfg(test)]
mod tests;
