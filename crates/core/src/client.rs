//! The way from a running call back to its caller.

use std::future::Future;
use std::pin::Pin;

use ferromcp_protocol::{ClientCapabilities, LogLevel};

use crate::error::{CallError, ErrorCode};
use crate::reply::InputRequest;

/// How a caller can be asked for input while a call runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interaction {
    /// Not at all (REST, plain library calls).
    None,
    /// By server-to-client requests on the open call (legacy MCP).
    Direct,
    /// By ending the call with what is needed; the caller calls again with the answers
    /// (2026-07-28 basic/patterns/mrtr).
    RoundTrip,
}

/// Progress of a call.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// How far; must increase with every report.
    pub progress: f64,
    /// Of how much, if known.
    pub total: Option<f64>,
    /// A sentence for people.
    pub message: Option<&'a str>,
}

/// A log message for the caller.
#[derive(Clone, Copy, Debug)]
pub struct LogMessage<'a> {
    /// Severity.
    pub level: LogLevel,
    /// Name of the logger.
    pub logger: Option<&'a str>,
    /// Raw JSON text of the data.
    pub data: &'a str,
}

/// What a question to the caller resolves to: the raw JSON of its result.
pub type AskFuture<'a> = Pin<Box<dyn Future<Output = Result<Box<str>, CallError>> + Send + 'a>>;

/// The caller's side of a running call. Implementations never block: what cannot be sent at once
/// is queued within bounds or dropped, as its kind allows.
pub trait Client: Send + Sync {
    /// What the caller can do.
    fn capabilities(&self) -> &ClientCapabilities;

    /// Name of the caller's program, if it said so.
    fn name(&self) -> Option<&str> {
        None
    }

    /// How it can be asked for input.
    fn interaction(&self) -> Interaction {
        Interaction::None
    }

    /// True for a caller who speaks MCP itself: what it can do is what it declared.
    fn speaks_mcp(&self) -> bool {
        false
    }

    /// True for a call that is part of a batch.
    fn in_batch(&self) -> bool {
        false
    }

    /// A number that calls of the same conversation share while they run, if it is known which conversation they
    /// belong to. Whoever asks in one of them may be answered in another.
    fn conversation(&self) -> Option<usize> {
        None
    }

    /// True if progress reports reach anybody.
    fn wants_progress(&self) -> bool {
        false
    }

    /// Reports progress; dropped where not wanted.
    fn progress(&self, progress: &Progress<'_>) {
        let _ = progress;
    }

    /// True if log messages of this level reach anybody.
    fn wants_log(&self, level: LogLevel) -> bool {
        let _ = level;
        false
    }

    /// Sends a log message; dropped where not wanted.
    fn log(&self, message: &LogMessage<'_>) {
        let _ = message;
    }

    /// Sends any other notification that belongs to the running call (relays, elicitation
    /// completion). `params` is raw JSON.
    fn notify(&self, method: &str, params: &str) {
        let _ = (method, params);
    }

    /// Asks for input with a server-to-client request.
    fn ask<'a>(&'a self, request: &'a InputRequest) -> AskFuture<'a> {
        let _ = request;
        Box::pin(std::future::ready(Err(CallError::new(
            ErrorCode::InvalidRequest,
            "this caller cannot be asked for input",
        ))))
    }

    /// Lets the door close the caller's stream early where the protocol knows polling
    /// (2025-11-25 basic/transports, "retry"); the caller comes back for the rest.
    fn release_stream(&self) {}
}

/// A caller that can do nothing but wait for the result.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoClient;

static NO_CAPABILITIES: ClientCapabilities = ClientCapabilities {
    sampling: false,
    sampling_tools: false,
    roots: false,
    elicitation_form: false,
    elicitation_url: false,
    tasks: false,
};

impl Client for NoClient {
    fn capabilities(&self) -> &ClientCapabilities {
        &NO_CAPABILITIES
    }
}

/// The caller of a call that is part of a batch: the same program, but it waits for the answers of all calls together. So it
/// cannot be asked and hears of no progress.
pub(crate) struct Member<'a>(Option<&'a str>);

impl<'a> Member<'a> {
    pub(crate) fn of(client: &'a dyn Client) -> Self {
        Self(client.name())
    }
}

impl Client for Member<'_> {
    fn capabilities(&self) -> &ClientCapabilities {
        &NO_CAPABILITIES
    }

    fn name(&self) -> Option<&str> {
        self.0
    }

    fn in_batch(&self) -> bool {
        true
    }
}
