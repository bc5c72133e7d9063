//! The closed set of reasons why a call fails. Each door maps it once to its own status.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use ferromcp_protocol::{RpcError, code};

/// Why a call failed. The set is closed: doors match on it without a catch-all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// Malformed JSON, wrong fields, duplicate keys.
    InvalidRequest,
    /// Missing or bad credential.
    Unauthenticated,
    /// The tenant may not do this; looks like [`Self::ToolNotFound`] to the caller.
    PermissionDenied,
    /// No such tool, prompt, resource or task.
    ToolNotFound,
    /// Arguments broke the schema or a size, depth or pattern rule.
    InvalidArguments,
    /// Body or batch over the limit.
    PayloadTooLarge,
    /// Too many calls in a short time.
    RateLimited,
    /// A quota is used up.
    QuotaExceeded,
    /// The deadline passed.
    Timeout,
    /// The source cannot be reached, or the server is draining or full.
    Unavailable,
    /// The source broke the protocol or its own schema.
    UpstreamError,
    /// The caller went away.
    Cancelled,
    /// Our fault.
    Internal,
    /// The source answered with a JSON-RPC error of its own, relayed as it is.
    Relayed,
}

/// Who has to change something for the call to work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The caller's request.
    Caller,
    /// A policy of the caller's tenant.
    Policy,
    /// This gateway.
    Gateway,
    /// The source of the tool.
    Upstream,
}

impl ErrorCode {
    /// Every code, for tables and tests.
    pub const ALL: [Self; 14] = [
        Self::InvalidRequest,
        Self::Unauthenticated,
        Self::PermissionDenied,
        Self::ToolNotFound,
        Self::InvalidArguments,
        Self::PayloadTooLarge,
        Self::RateLimited,
        Self::QuotaExceeded,
        Self::Timeout,
        Self::Unavailable,
        Self::UpstreamError,
        Self::Cancelled,
        Self::Internal,
        Self::Relayed,
    ];

    /// The name that users see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::Unauthenticated => "unauthenticated",
            Self::PermissionDenied => "permission_denied",
            Self::ToolNotFound => "tool_not_found",
            Self::InvalidArguments => "invalid_arguments",
            Self::PayloadTooLarge => "payload_too_large",
            Self::RateLimited => "rate_limited",
            Self::QuotaExceeded => "quota_exceeded",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::UpstreamError | Self::Relayed => "upstream_error",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal",
        }
    }

    /// Who has to change something.
    pub const fn blame(self) -> Blame {
        match self {
            Self::InvalidRequest
            | Self::ToolNotFound
            | Self::InvalidArguments
            | Self::PayloadTooLarge
            | Self::Cancelled
            | Self::Unauthenticated => Blame::Caller,
            Self::PermissionDenied | Self::RateLimited | Self::QuotaExceeded => Blame::Policy,
            Self::Internal => Blame::Gateway,
            Self::Timeout | Self::Unavailable | Self::UpstreamError | Self::Relayed => Blame::Upstream,
        }
    }

    /// The JSON-RPC code that the MCP doors answer with, where the error does not carry its own.
    pub const fn rpc_code(self) -> i64 {
        match self {
            Self::InvalidRequest | Self::PayloadTooLarge | Self::Unauthenticated | Self::Cancelled => {
                code::INVALID_REQUEST
            }
            Self::PermissionDenied | Self::ToolNotFound | Self::InvalidArguments => code::INVALID_PARAMS,
            Self::RateLimited => code::RATE_LIMITED,
            Self::QuotaExceeded => code::QUOTA_EXCEEDED,
            Self::Timeout => code::TIMEOUT,
            Self::Unavailable => code::UNAVAILABLE,
            Self::UpstreamError | Self::Internal | Self::Relayed => code::INTERNAL_ERROR,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a caller who was not let in is asked for (RFC 6750, 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// A credential: there was none.
    Missing,
    /// A better credential.
    Invalid,
    /// The same: what was shown is nobody's, so it may have been a guess.
    Unknown,
    /// A token with more scopes.
    Scope,
}

/// Rules of credentials that were made up, as far as that can be told. What was good once is none, and neither is a token of a
/// key that may not have been fetched yet.
const GUESSES: [&str; 4] = [
    "auth.key.unknown",
    "auth.jwt.malformed",
    "auth.jwt.algorithm",
    "auth.jwt.signature",
];

/// One thing that is wrong with the arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// JSON Pointer (RFC 6901) into the arguments; empty for the whole.
    pub pointer: String,
    /// What is wrong there.
    pub message: String,
}

/// A failed call. One pointer wide, so that the success path stays small.
#[derive(Clone, Debug)]
pub struct CallError(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    code: ErrorCode,
    message: Cow<'static, str>,
    rule: Option<&'static str>,
    issues: Vec<Issue>,
    retry_after: Option<Duration>,
    may_have_run: bool,
    rpc: Option<RpcError>,
    /// What the record says where the caller must not know.
    recorded: Option<(ErrorCode, &'static str)>,
}

impl CallError {
    /// An error with a sentence that says what happened and what to do.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            code,
            message: message.into(),
            rule: None,
            issues: Vec::new(),
            retry_after: None,
            may_have_run: false,
            rpc: None,
            recorded: None,
        }))
    }

    /// A JSON-RPC error that must reach the client as it is: relayed, or defined by the protocol.
    pub fn rpc(error: RpcError) -> Self {
        let mut made = Self::new(ErrorCode::Relayed, error.message.clone());
        made.0.rpc = Some(error);
        made
    }

    /// Gives the error the exact JSON-RPC form for the MCP doors.
    #[must_use]
    pub fn with_rpc(mut self, error: RpcError) -> Self {
        self.0.rpc = Some(error);
        self
    }

    /// Names the stable rule that refused the call.
    #[must_use]
    pub fn with_rule(mut self, rule: &'static str) -> Self {
        self.0.rule = Some(rule);
        self
    }

    /// What the record says of it, where that is more than the caller may know: a denied tool looks unknown.
    #[must_use]
    pub fn recorded_as(mut self, code: ErrorCode, rule: &'static str) -> Self {
        self.0.recorded = Some((code, rule));
        self
    }

    /// Reason and rule for the record.
    pub fn record(&self) -> (ErrorCode, Option<&'static str>) {
        match self.0.recorded {
            Some((code, rule)) => (code, Some(rule)),
            None => (self.code(), self.rule()),
        }
    }

    /// Adds places and reasons.
    #[must_use]
    pub fn with_issues(mut self, issues: Vec<Issue>) -> Self {
        self.0.issues = issues;
        self
    }

    /// When a retry makes sense.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// Says that the tool may have run, so a blind retry is not safe.
    #[must_use]
    pub fn maybe_ran(mut self) -> Self {
        self.0.may_have_run = true;
        self
    }

    /// The reason.
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// The sentence for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The rule that refused the call.
    pub fn rule(&self) -> Option<&'static str> {
        self.0.rule
    }

    /// What is wrong with the arguments, place by place.
    pub fn issues(&self) -> &[Issue] {
        &self.0.issues
    }

    /// When a retry makes sense.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The tool may have run.
    pub fn may_have_run(&self) -> bool {
        self.0.may_have_run
    }

    /// What to ask the caller for, if its credential is the reason.
    pub fn challenge(&self) -> Option<Challenge> {
        match (self.code(), self.rule()) {
            (ErrorCode::Unauthenticated, Some("auth.missing")) => Some(Challenge::Missing),
            (ErrorCode::Unauthenticated, Some(rule)) if GUESSES.contains(&rule) => Some(Challenge::Unknown),
            (ErrorCode::Unauthenticated, _) => Some(Challenge::Invalid),
            (_, Some(crate::access::RULE_SCOPE)) => Some(Challenge::Scope),
            _ => None,
        }
    }

    /// The exact JSON-RPC error, where one was given.
    pub fn rpc_error(&self) -> Option<&RpcError> {
        self.0.rpc.as_ref()
    }

    /// The JSON-RPC error for the MCP doors: the exact one, or one made from the code with
    /// `data: {code, rule?, issues?, retry_after_ms?, may_have_run?}`.
    pub fn to_rpc(&self) -> RpcError {
        if let Some(error) = &self.0.rpc {
            return error.clone();
        }
        RpcError::new(self.code().rpc_code(), self.message()).with_data(self.details().to_string())
    }

    /// Machine-readable details: `{"code", "rule"?, "issues"?, "retry_after_ms"?, "may_have_run"?}`.
    pub fn details(&self) -> serde_json::Value {
        let mut data = serde_json::Map::new();
        data.insert("code".into(), self.code().as_str().into());
        if let Some(rule) = self.rule() {
            data.insert("rule".into(), rule.into());
        }
        if !self.issues().is_empty() {
            let issues = self.issues().iter();
            data.insert(
                "issues".into(),
                issues
                    .map(|i| serde_json::json!({"pointer": i.pointer, "message": i.message}))
                    .collect(),
            );
        }
        if let Some(after) = self.retry_after() {
            data.insert(
                "retry_after_ms".into(),
                u64::try_from(after.as_millis()).unwrap_or(u64::MAX).into(),
            );
        }
        if self.may_have_run() {
            data.insert("may_have_run".into(), true.into());
        }
        data.into()
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code(), self.message())
    }
}

impl std::error::Error for CallError {}
