//! What a status means for a call.

use std::error::Error;
use std::time::Duration;

use ferromcp_core::{CallError, ErrorCode, Payload, Reply};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::channel::Lost;

/// Longest text of a status that is passed on, in bytes.
const MAX_TEXT: usize = 16 * 1024;
/// When to try again, where the server does not say it.
const SOON: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_secs(3600);

/// The answer to a call that ended with a status. `server`: its name, for messages.
pub(crate) fn reply(server: &str, status: &Status) -> Result<Reply, CallError> {
    if let Some(lost) = lost(status) {
        return Err(lost);
    }
    let text = || format!("server `{server}`: {}", words(status));
    let error = match status.code() {
        // Of what was asked: for the model to read.
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::PermissionDenied
        | Code::Aborted => return Ok(Reply::Complete(Payload::error_text(&words(status)))),
        Code::Unavailable | Code::ResourceExhausted => {
            let after = status.get_details_retry_info().and_then(|info| info.retry_delay);
            let after = after.unwrap_or(SOON).clamp(Duration::from_millis(1), LATEST);
            let error = CallError::new(ErrorCode::Unavailable, text())
                .with_rule("upstream.status")
                .with_retry_after(after);
            // It may have failed half-way.
            return Err(if status.code() == Code::Unavailable {
                error.maybe_ran()
            } else {
                error
            });
        }
        Code::Unauthenticated => {
            let text = format!("{}; check `headers`, usually `authorization`, and `tls`", text());
            return Err(CallError::new(ErrorCode::UpstreamError, text).with_rule("upstream.status"));
        }
        Code::Unimplemented => {
            return Err(CallError::new(ErrorCode::UpstreamError, text()).with_rule("upstream.gone"));
        }
        Code::DeadlineExceeded => CallError::new(ErrorCode::Timeout, text()).with_rule("deadline"),
        Code::DataLoss => CallError::new(ErrorCode::UpstreamError, text()).with_rule("upstream.protocol"),
        Code::Ok | Code::Unknown | Code::Internal | Code::Cancelled => {
            CallError::new(ErrorCode::UpstreamError, text()).with_rule("upstream.answer")
        }
    };
    Err(error.maybe_ran())
}

/// The error of a request that had no answer.
fn lost(status: &Status) -> Option<CallError> {
    let mut next = status.source();
    while let Some(cause) = next {
        if let Some(Lost(error)) = cause.downcast_ref::<Lost>() {
            return Some(error.clone());
        }
        next = cause.source();
    }
    None
}

/// A status in words.
pub(crate) fn words(status: &Status) -> String {
    if let Some(error) = lost(status) {
        return error.message().to_owned();
    }
    let name = match status.code() {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    };
    let text = status.message().trim();
    match text.is_empty() {
        true => format!("status {name}"),
        false => format!("status {name}: {}", &text[..text.floor_char_boundary(MAX_TEXT)]),
    }
}
