//! What can go wrong, the same over REST and gRPC.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

/// Why there is no answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The server refused the request, or the call failed.
    Failed(Box<Failure>),
    /// The server was not reached; nothing was called.
    Unreachable(String),
    /// The connection broke, or what came is no answer of a FerroMCP server. The tool may have run.
    Broken(String),
    /// What was given to this client is wrong; nothing was sent.
    Usage(String),
}

impl Error {
    /// What the server said, if it said something.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(failure) => failure.fmt(f),
            Self::Unreachable(message) | Self::Broken(message) | Self::Usage(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Error {}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

/// What the server says of a request that failed.
#[derive(Clone, Debug)]
pub struct Failure(pub(crate) Value);

impl Failure {
    fn error(&self) -> &Value {
        &self.0["error"]
    }

    /// The code, such as `invalid_arguments` or `rate_limited`; `tool_error` if the tool itself says that it failed.
    #[must_use]
    pub fn code(&self) -> &str {
        self.error()["code"].as_str().unwrap_or_default()
    }

    /// A sentence for people.
    #[must_use]
    pub fn message(&self) -> &str {
        self.error()["message"].as_str().unwrap_or_default()
    }

    /// The rule that refused it, if one did.
    #[must_use]
    pub fn rule(&self) -> Option<&str> {
        self.error()["rule"].as_str()
    }

    /// When a retry makes sense, if the server says so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.error()["retry_after_ms"].as_u64().map(Duration::from_millis)
    }

    /// The tool may have run, so that calling again is not safe unless it is idempotent.
    #[must_use]
    pub fn may_have_run(&self) -> bool {
        self.code() == "tool_error" || self.error()["details"]["may_have_run"] == true
    }

    /// Id of the call in logs and records.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.0["request_id"].as_str()
    }

    /// The object that REST answers with: `{"success":false,"error":{...},...}`.
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.0
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code(), self.message())
    }
}
