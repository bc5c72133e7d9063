//! Hand the call to its source, within its deadline.

use std::panic::AssertUnwindSafe;
use std::pin::pin;

use futures_util::FutureExt;
use tracing::error;

use super::Target;
use crate::call::{Call, CallContext};
use crate::deadline::{Deadline, Expired};
use crate::error::{CallError, ErrorCode};
use crate::reply::Reply;
use crate::snapshot::Snapshot;

/// The deadline of a call: the policy's or the source's idle bound, shortened by what the caller
/// asked for.
pub(crate) fn deadline(snapshot: &Snapshot, call: &Call<'_>, target: &Target<'_>) -> Deadline {
    let policy = &snapshot.policy;
    let idle = target.source.timeout.unwrap_or(policy.idle_timeout);
    let total = policy.max_timeout.max(idle);
    match call.timeout {
        Some(asked) => Deadline::start(idle.min(asked), total.min(asked)),
        None => Deadline::start(idle, total),
    }
}

/// Runs the call. A panic of the tool is caught here: it is this call's failure, nobody else's.
pub(crate) async fn dispatch(target: &Target<'_>, cx: CallContext<'_>) -> Result<Reply, CallError> {
    // Creating the future may already run code of the tool, so it happens inside the guard.
    let run = pin!(AssertUnwindSafe(async { target.source.source.call(cx).await }).catch_unwind());
    match cx.deadline.run(run).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => {
            let text = panic
                .downcast_ref::<&str>()
                .map(|s| (*s).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "unknown panic".into());
            error!(request_id = %cx.request_id, source = %target.source.name, name = cx.call.name, panic = text, "tool panicked");
            Err(CallError::new(
                ErrorCode::Internal,
                format!(
                    "internal error; the server's log has it under request {}",
                    cx.request_id
                ),
            )
            .maybe_ran())
        }
        Err(expired) => {
            let (what, time) = match expired {
                Expired::Idle(time) => ("gave no sign of life for", time),
                Expired::Total(time) => ("was still running after", time),
            };
            Err(CallError::new(
                ErrorCode::Timeout,
                format!(
                    "{} {what} {time:?} and was cancelled; it may have run",
                    cx.call.name
                ),
            )
            .with_rule("deadline")
            .maybe_ran())
        }
    }
}
