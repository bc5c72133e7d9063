//! The one map from error codes to gRPC.

use std::collections::HashMap;
use std::time::Duration;

use ferromcp_core::{CallError, ErrorCode, RequestId};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// Who says so, in `ErrorInfo`.
const DOMAIN: &str = "ferromcp";
/// Most places of wrong arguments that are told. Details are trailers, and clients take 8 KiB of them.
pub(crate) const MAX_ISSUES: usize = 16;
/// Longest message, in bytes, for the same reason.
const MAX_MESSAGE: usize = 2048;

/// The gRPC status of an error code.
pub(crate) fn code(code: ErrorCode) -> Code {
    match code {
        ErrorCode::InvalidRequest | ErrorCode::InvalidArguments => Code::InvalidArgument,
        ErrorCode::Unauthenticated => Code::Unauthenticated,
        ErrorCode::PermissionDenied => Code::PermissionDenied,
        ErrorCode::ToolNotFound => Code::NotFound,
        ErrorCode::PayloadTooLarge | ErrorCode::RateLimited | ErrorCode::QuotaExceeded => {
            Code::ResourceExhausted
        }
        ErrorCode::Timeout => Code::DeadlineExceeded,
        ErrorCode::Unavailable => Code::Unavailable,
        ErrorCode::UpstreamError | ErrorCode::Relayed | ErrorCode::Internal => Code::Internal,
        ErrorCode::Cancelled => Code::Cancelled,
    }
}

/// A status with all that is known of the error.
pub(crate) fn of(error: &CallError, request: Option<RequestId>) -> Status {
    let mut metadata = HashMap::new();
    if let Some(rule) = error.rule() {
        metadata.insert("rule".to_owned(), rule.to_owned());
    }
    if let Some(id) = request {
        metadata.insert("request_id".to_owned(), id.to_string());
    }
    if error.may_have_run() {
        metadata.insert("may_have_run".to_owned(), "true".to_owned());
    }
    if let Some(code) = rpc_code(error) {
        metadata.insert("rpc_code".to_owned(), code.to_string());
    }
    let mut details = ErrorDetails::with_error_info(error.code().as_str(), DOMAIN, metadata);
    for issue in error.issues().iter().take(MAX_ISSUES) {
        details.add_bad_request_violation(cut(&issue.pointer, 256), cut(&issue.message, 256));
    }
    if let Some(after) = error.retry_after() {
        details.set_retry_info(Some(after));
    }
    Status::with_error_details(code(error.code()), cut(error.message(), MAX_MESSAGE), details)
}

/// The code of an error that a server behind the gateway answered with.
pub(crate) fn rpc_code(error: &CallError) -> Option<i32> {
    let relayed = error.code() == ErrorCode::Relayed;
    let code = error.rpc_error().filter(|_| relayed)?.code;
    i32::try_from(code).ok()
}

/// The request is not what the door takes.
pub(crate) fn bad(message: impl Into<std::borrow::Cow<'static, str>>) -> Status {
    of(&CallError::new(ErrorCode::InvalidRequest, message), None)
}

/// The message is too large.
pub(crate) fn too_large(max: usize) -> Status {
    let message = format!(
        "the message is larger than {max} bytes, the limit of this server (validation.max_body); nothing was called"
    );
    of(&CallError::new(ErrorCode::PayloadTooLarge, message), None)
}

/// What a client sent could not be read: as tonic says it, but for what the table of errors has another status for.
pub(crate) fn unreadable(error: Status, max: usize) -> Status {
    match error.code() {
        Code::OutOfRange => too_large(max),
        _ => error,
    }
}

/// The server stops, and the stream with it.
pub(crate) fn stopping() -> Status {
    let error = CallError::new(ErrorCode::Unavailable, "the server is stopping; connect again");
    of(
        &error
            .with_rule("admit.draining")
            .with_retry_after(Duration::from_secs(1)),
        None,
    )
}

fn cut(text: &str, most: usize) -> String {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_code_rule_id_and_time_to_wait() {
        let error = CallError::new(ErrorCode::RateLimited, "slow down")
            .with_rule("limits.rate")
            .with_retry_after(Duration::from_millis(1500));
        let id = RequestId::next();
        let status = of(&error, Some(id));
        assert_eq!(
            (status.code(), status.message()),
            (Code::ResourceExhausted, "slow down")
        );
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!((&*info.reason, &*info.domain), ("rate_limited", "ferromcp"));
        assert_eq!(info.metadata["rule"], "limits.rate");
        assert_eq!(info.metadata["request_id"], id.to_string());
        assert_eq!(
            details.retry_info().unwrap().retry_delay,
            Some(Duration::from_millis(1500))
        );
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(cut("aäö", 2), "a");
        assert_eq!(cut("aäö", 3), "aä");
    }
}
