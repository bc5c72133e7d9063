//! Errors of handlers, and the errors of putting a server together.

use std::fmt;

use ferromcp_core::{CallError, ErrorCode, Payload};
use ferromcp_protocol::{ProtocolVersion, RpcError};
use serde::Serialize;

use crate::content::{Content, write_all};

/// Why a handler could not do what was asked.
///
/// Most errors are for the model to read: `?` on any [`std::error::Error`], or [`ToolError::msg`],
/// ends a tool call with a result marked `isError`. [`ToolError::rpc`] ends it with a JSON-RPC error
/// instead, which the model does not see. In resource and prompt handlers, which have no `isError`,
/// every error becomes a JSON-RPC error.
///
/// ```
/// use ferromcp::ToolError;
///
/// fn port(text: &str) -> Result<u16, ToolError> {
///     if text.is_empty() {
///         return Err(ToolError::msg("give a port number, for example 8080"));
///     }
///     Ok(text.parse()?)
/// }
/// assert_eq!(port("80").ok(), Some(80));
/// assert!(port("eighty").unwrap_err().to_string().contains("invalid digit"));
/// ```
pub struct ToolError(Box<Kind>);

enum Kind {
    /// For the model.
    Content(Vec<Content>),
    /// For the client.
    Call(CallError),
    /// There is no such resource; the code depends on the caller's protocol version.
    NoResource(String),
    /// Not a failure: the caller has to answer first. The questions are in the call's context.
    InputRequired,
}

impl ToolError {
    /// The tool failed; `message` is for the model.
    pub fn msg(message: impl fmt::Display) -> Self {
        Self::content(vec![Content::text(message.to_string())])
    }

    /// The tool failed; the content is for the model.
    pub fn content(content: Vec<Content>) -> Self {
        Self(Box::new(Kind::Content(content)))
    }

    /// The call fails with exactly this JSON-RPC error.
    pub fn rpc(code: i64, message: impl Into<String>) -> Self {
        Self::call(CallError::rpc(RpcError::new(code, message)))
    }

    /// As [`Self::rpc`], with `data`.
    pub fn rpc_with(code: i64, message: impl Into<String>, data: &impl Serialize) -> Self {
        let mut error = RpcError::new(code, message);
        if let Ok(json) = serde_json::to_string(data) {
            error = error.with_data(json);
        }
        Self::call(CallError::rpc(error))
    }

    /// The call fails with an error of the gateway's closed set.
    pub fn call(error: CallError) -> Self {
        Self(Box::new(Kind::Call(error)))
    }

    /// There is no such resource. Answered with the error code of the caller's protocol version.
    pub fn resource_not_found(uri: impl Into<String>) -> Self {
        Self(Box::new(Kind::NoResource(uri.into())))
    }

    pub(crate) fn input_required() -> Self {
        Self(Box::new(Kind::InputRequired))
    }

    /// True if this is no failure but the signal that the caller is being asked for input: the
    /// handler should end with it, and will run again from its start with the answer.
    pub fn is_input_required(&self) -> bool {
        matches!(*self.0, Kind::InputRequired)
    }

    /// How a tool call ends with this error: `Ok` is a result marked `isError`.
    pub(crate) fn into_tool_result(self, version: ProtocolVersion) -> Result<Payload, CallError> {
        match *self.0 {
            Kind::Content(content) => Ok(Payload::tool(&write_all(&content), None, true, None)),
            _ => Err(self.into_call_error(version)),
        }
    }

    /// How any other call ends with this error.
    pub(crate) fn into_call_error(self, version: ProtocolVersion) -> CallError {
        match *self.0 {
            Kind::Call(error) => error,
            Kind::NoResource(uri) => resource_not_found(version, &uri),
            Kind::Content(_) => CallError::new(ErrorCode::UpstreamError, self.to_string()),
            // Only where a handler asks in an operation that cannot ask.
            Kind::InputRequired => CallError::new(
                ErrorCode::InvalidRequest,
                "this request needs input from its caller, which this kind of request cannot ask for",
            ),
        }
    }
}

/// The answer for a resource that does not exist (2026-07-28 server/resources, "Error Handling").
pub(crate) fn resource_not_found(version: ProtocolVersion, uri: &str) -> CallError {
    let shown: String = uri.chars().take(200).collect();
    let message = format!("Resource not found: {shown}");
    let data = serde_json::json!({ "uri": shown }).to_string();
    CallError::new(ErrorCode::ToolNotFound, message.clone())
        .with_rpc(RpcError::new(version.resource_not_found_code(), message).with_data(data))
}

impl fmt::Display for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::Content(content) => {
                let mut texts = content.iter().filter_map(Content::as_text);
                match texts.next() {
                    Some(text) => f.write_str(text)?,
                    None => f.write_str("the tool failed")?,
                }
                texts.try_for_each(|text| write!(f, "\n{text}"))
            }
            Kind::Call(error) => f.write_str(error.message()),
            Kind::NoResource(uri) => write!(f, "Resource not found: {uri}"),
            Kind::InputRequired => f.write_str("input from the caller is required"),
        }
    }
}

impl fmt::Debug for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ToolError").field(&self.to_string()).finish()
    }
}

/// `?` on any error: its message and those of its causes, for the model. (That is also why
/// `ToolError` is no [`std::error::Error`] itself.) A [`CallError`] stays what it is.
impl<E: std::error::Error + Send + Sync + 'static> From<E> for ToolError {
    fn from(error: E) -> Self {
        let any: &(dyn std::any::Any + Send + Sync) = &error;
        if let Some(call) = any.downcast_ref::<CallError>() {
            return Self::call(call.clone());
        }
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            let text = inner.to_string();
            // Many errors repeat their cause in their own message.
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            cause = inner.source();
        }
        Self::msg(message)
    }
}

/// All that is wrong with a server's parts, found at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildError {
    problems: Vec<String>,
}

impl BuildError {
    pub(crate) fn check(problems: Vec<String>) -> Result<(), Self> {
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Self { problems })
        }
    }

    /// One sentence for each problem.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the server cannot be built: {} problem(s)",
            self.problems.len()
        )?;
        self.problems
            .iter()
            .try_for_each(|problem| write!(f, "\n- {problem}"))
    }
}

impl std::error::Error for BuildError {}
