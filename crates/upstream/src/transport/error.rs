//! What can go wrong between us and an upstream, in words for the person who has to fix it.

use std::sync::Arc;
use std::time::Duration;

use ferromcp_supervisor::{Exit, SpawnError};
use http::StatusCode;

use super::sse::SseError;
use crate::auth::AuthError;

/// A failed exchange. Messages name the server and never contain header values, credentials or the query of a URL.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The child could not be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// The child has exited or no longer reads; what was sent and not answered is lost.
    #[error("{}", closed(name, exit.as_deref()))]
    Closed {
        /// Server name.
        name: Arc<str>,
        /// How the process ended, if it has.
        exit: Option<Arc<Exit>>,
    },
    /// The address or a header in the configuration cannot be used.
    #[error("server `{name}`: {reason}")]
    Config {
        /// Server name.
        name: Arc<str>,
        /// What is wrong and what to write instead.
        reason: String,
    },
    /// No connection: the request was not sent.
    #[error("server `{name}`: cannot connect to {url}: {reason}")]
    Connect {
        /// Server name.
        name: Arc<str>,
        /// Address without query.
        url: Arc<str>,
        /// The cause and, where known, what to do.
        reason: String,
    },
    /// No complete answer in time.
    #[error("server `{name}`: no answer from {url} within {:.1} s", after.as_secs_f64())]
    Timeout {
        /// Server name.
        name: Arc<str>,
        /// Address without query.
        url: Arc<str>,
        /// The time that was allowed.
        after: Duration,
    },
    /// The connection broke after the request was begun.
    #[error("server `{name}`: the connection to {url} broke {during}: {reason}")]
    Broken {
        /// Server name.
        name: Arc<str>,
        /// Address without query.
        url: Arc<str>,
        /// What was going on.
        during: &'static str,
        /// The cause.
        reason: String,
    },
    /// The answer is larger than is accepted.
    #[error("server `{name}`: its answer is larger than the limit of {limit} bytes")]
    TooLarge {
        /// Server name.
        name: Arc<str>,
        /// The limit in bytes.
        limit: usize,
    },
    /// The server wants us to go elsewhere.
    #[error(
        "server `{name}`: {url} answered {status} with a redirect to {location}; redirects are not followed, because they \
         could carry credentials to another host: put the final address in `url`"
    )]
    Redirect {
        /// Server name.
        name: Arc<str>,
        /// Address without query.
        url: Arc<str>,
        /// The 3xx status.
        status: StatusCode,
        /// The target without query.
        location: String,
    },
    /// There is no token for the server: the request was not sent, or was refused.
    #[error("server `{name}`: no access token: {source}")]
    Auth {
        /// Server name.
        name: Arc<str>,
        /// Why.
        source: AuthError,
    },
    /// The server has no event stream at this address (HTTP+SSE of 2024-11-05).
    #[error("server `{name}`: no HTTP+SSE server of 2024 is at this `url`: {what}")]
    NoStream {
        /// Server name.
        name: Arc<str>,
        /// What it did instead.
        what: String,
    },
    /// A message was answered with an error status.
    #[error("server `{name}`: it answered HTTP {} to a message{}{text}", status.as_u16(), if text.is_empty() { "" } else { ": " })]
    Status {
        /// Server name.
        name: Arc<str>,
        /// The status.
        status: StatusCode,
        /// First words of the answer.
        text: String,
    },
    /// One event of a stream was refused; the stream goes on.
    #[error("server `{name}`: {source}")]
    Event {
        /// Server name.
        name: Arc<str>,
        /// Why.
        source: SseError,
    },
}

impl TransportError {
    /// Whether the server may have received the message, and so may have acted on it. `false` means that it certainly
    /// did not, and sending again is safe.
    #[must_use]
    pub fn may_have_run(&self) -> bool {
        match self {
            Self::Spawn(_)
            | Self::Config { .. }
            | Self::Connect { .. }
            | Self::Auth { .. }
            | Self::NoStream { .. } => false,
            Self::Status { status, .. } => {
                status.is_server_error() && *status != StatusCode::SERVICE_UNAVAILABLE
            }
            // Only "See Other" says that the request was processed where it was sent.
            Self::Redirect { status, .. } => *status == StatusCode::SEE_OTHER,
            Self::Closed { .. }
            | Self::Timeout { .. }
            | Self::Broken { .. }
            | Self::TooLarge { .. }
            | Self::Event { .. } => true,
        }
    }
}

fn closed(name: &str, exit: Option<&Exit>) -> String {
    match exit {
        Some(exit) => exit.to_string(),
        None => format!("server `{name}` no longer reads its input"),
    }
}
