//! Why a request to an upstream server has no result, and what that means for a call.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ferromcp_core::{CallError, ErrorCode};
use ferromcp_protocol::{RpcError, code};
use http::StatusCode;

use crate::converse::Halted;
use crate::replay;
use crate::transport::TransportError;

/// What to tell a caller about the time after which a full or broken server may work again.
const SOON: Duration = Duration::from_secs(1);

/// A request that failed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The server answered with an error.
    Rpc(RpcError),
    /// The connection has ended.
    Gone {
        why: Arc<str>,
        /// The request was on its way already.
        sent: bool,
    },
    /// HTTP did not carry it.
    Transport(TransportError),
    /// An HTTP status that is no answer.
    Status {
        status: StatusCode,
        /// First words of the body.
        text: String,
        retry_after: Option<Duration>,
    },
    /// The server no longer knows our session: the request did not run.
    SessionLost,
    /// The server broke the protocol.
    Protocol(String),
    /// Too many requests at a time.
    Busy { limit: usize },
    /// No answer in the time for requests of our own.
    Slow(Duration),
    /// It goes on when its caller brings answers.
    Waits(Box<Halted>),
}

impl Fault {
    /// True if the server may have acted on the request.
    pub(crate) fn may_have_run(&self) -> bool {
        match self {
            Self::Gone { sent, .. } => *sent,
            Self::Transport(error) => error.may_have_run(),
            Self::Status { status, .. } => {
                status.is_server_error() && *status != StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Rpc(_) | Self::SessionLost | Self::Busy { .. } => false,
            Self::Protocol(_) | Self::Slow(_) | Self::Waits(_) => true,
        }
    }

    /// The error of a call to the server called `name`.
    pub(crate) fn into_call_error(self, name: &str) -> CallError {
        let maybe = self.may_have_run();
        let text = format!("server `{name}`: {self}");
        let error = match self {
            Self::Rpc(error) => return rpc(name, error),
            Self::Gone { why, sent: true } => {
                let text = format!("{why}; the call was under way and is lost: the tool may have run");
                CallError::new(ErrorCode::Unavailable, text)
                    .with_rule(replay::DIED)
                    .with_retry_after(SOON)
            }
            Self::Gone { .. } | Self::SessionLost => CallError::new(ErrorCode::Unavailable, text)
                .with_rule("upstream.down")
                .with_retry_after(SOON),
            Self::Busy { .. } => CallError::new(ErrorCode::Unavailable, text)
                .with_rule("limit.upstream_calls")
                .with_retry_after(SOON),
            // Transport errors name the server themselves.
            Self::Transport(error) => {
                let made = CallError::new(transport_code(&error), error.to_string()).with_rule(replay::LOST);
                if made.code() == ErrorCode::Unavailable {
                    made.with_retry_after(SOON)
                } else {
                    made
                }
            }
            Self::Status {
                status, retry_after, ..
            } if is_overload(status) => CallError::new(ErrorCode::Unavailable, text)
                .with_rule("upstream.status")
                .with_retry_after(retry_after.unwrap_or(SOON)),
            Self::Status { .. } => {
                CallError::new(ErrorCode::UpstreamError, text).with_rule("upstream.status")
            }
            Self::Protocol(_) => {
                CallError::new(ErrorCode::UpstreamError, text).with_rule("upstream.protocol")
            }
            Self::Slow(_) => CallError::new(ErrorCode::Timeout, text).with_rule("deadline"),
            Self::Waits(_) => CallError::new(ErrorCode::UpstreamError, text).with_rule("upstream.protocol"),
        };
        if maybe { error.maybe_ran() } else { error }
    }
}

fn is_overload(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
    )
}

fn transport_code(error: &TransportError) -> ErrorCode {
    match error {
        TransportError::Spawn(_)
        | TransportError::Closed { .. }
        | TransportError::Connect { .. }
        | TransportError::Auth { .. }
        | TransportError::Broken { .. } => ErrorCode::Unavailable,
        TransportError::Timeout { .. } => ErrorCode::Timeout,
        TransportError::Config { .. }
        | TransportError::TooLarge { .. }
        | TransportError::Redirect { .. }
        | TransportError::NoStream { .. }
        | TransportError::Status { .. }
        | TransportError::Event { .. } => ErrorCode::UpstreamError,
    }
}

/// Errors of a tool are relayed as they are. Errors about how *we* speak to the server are no business of the caller:
/// relayed, they would accuse it of what it did not do.
fn rpc(name: &str, error: RpcError) -> CallError {
    let about_us = match error.code {
        code::MISSING_CLIENT_CAPABILITY => {
            "it needs to ask for something that this caller cannot be asked for"
        }
        code::HEADER_MISMATCH | code::UNSUPPORTED_VERSION => "it refuses how the gateway speaks to it",
        _ => return CallError::rpc(error),
    };
    CallError::new(
        ErrorCode::UpstreamError,
        format!("server `{name}`: {about_us} ({})", error.message),
    )
    .with_rule("upstream.protocol")
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rpc(error) => write!(f, "it answered with error {}: {}", error.code, error.message),
            Self::Gone { why, .. } => f.write_str(why),
            Self::Transport(error) => error.fmt(f),
            Self::Status { status, text, .. } => {
                write!(f, "it answered HTTP {}", status.as_u16())?;
                if let Some(reason) = status.canonical_reason() {
                    write!(f, " ({reason})")?;
                }
                if matches!(*status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
                    f.write_str(
                        ": it does not accept our credentials; check `headers`, usually `Authorization`, or `auth`",
                    )?;
                }
                if !text.is_empty() {
                    write!(f, ": {text}")?;
                }
                Ok(())
            }
            Self::SessionLost => f.write_str("it ended our session twice in a row"),
            Self::Protocol(what) => write!(f, "it broke the protocol: {what}"),
            Self::Busy { limit } => write!(f, "{limit} calls to it are running already, which is the limit"),
            Self::Waits(_) => f.write_str("it waits for an answer of the caller"),
            Self::Slow(time) => write!(f, "no answer within {:.1} s", time.as_secs_f64()),
        }
    }
}

impl From<TransportError> for Fault {
    fn from(error: TransportError) -> Self {
        Self::Transport(error)
    }
}
