//! A caller's request becomes ours, and the server's result becomes the caller's. Whatever need not change stays the
//! bytes that it was.

use bytes::Bytes;
use ferromcp_core::catalog::{HeaderKind, ParamHeader};
use ferromcp_core::{CallContext, CallError, ErrorCode, Operation, Payload, Reply};
use ferromcp_protocol::header::encode_value;
use ferromcp_protocol::json::{self, Object};
use ferromcp_protocol::{LogLevel, ProtocolVersion, RpcError};
use http::{HeaderName, HeaderValue};
use serde_json::Value;

use crate::ask;
use crate::rounds::{Brought, Turn, Wanted};
use crate::session::Session;
use crate::tasks::Shown;
use crate::wire::Writer;

/// Members of `params` that are between the caller and us.
const NOT_RELAYED: [&str; 4] = ["_meta", "inputResponses", "requestState", "task"];

/// Names in `_meta` that the protocol owns.
const PROTOCOL_PREFIX: &str = "io.modelcontextprotocol/";

/// Writes the request for a call under our own id, which is also the progress token. `brought`: answers of this round.
pub(crate) fn request(
    id: u64,
    cx: &CallContext<'_>,
    version: ProtocolVersion,
    brought: Option<&Brought>,
    extra: Extra,
) -> Result<Bytes, CallError> {
    let call = cx.call;
    let operation = call.operation;
    let params = match call.params {
        Some(raw) => Some(Object::parse(raw).map_err(|e| invalid(format!("`params`: {e}")))?),
        None => None,
    };
    let room = call.params.or(call.arguments).map_or(0, str::len);
    let mut out = Writer::request(id, operation.method(), room);
    match operation {
        Operation::CallTool | Operation::GetPrompt => out.str("name", cx.local_name),
        Operation::ReadResource => out.str("uri", cx.local_name),
        Operation::CompletePrompt | Operation::CompleteResource => {}
        Operation::GetTask | Operation::UpdateTask | Operation::CancelTask => {
            return Err(invalid("a task is not asked for in this way".into()));
        }
    }
    let subject = match operation {
        Operation::ReadResource => "uri",
        Operation::CompletePrompt | Operation::CompleteResource => "ref",
        _ => "name",
    };
    match &params {
        Some(params) => {
            if subject == "ref" {
                out.raw("ref", &reference(operation, params, cx.local_name)?);
            }
            for (key, raw) in params
                .iter()
                .filter(|(key, _)| *key != subject && !NOT_RELAYED.contains(key))
            {
                out.raw(key, raw);
            }
        }
        None => without_params(&mut out, cx)?,
    }
    if let Some(Brought { responses, state }) = brought {
        for (key, raw) in [("inputResponses", responses), ("requestState", state)] {
            if let Some(raw) = raw {
                out.raw(key, raw);
            }
        }
    }
    if extra == Extra::Task {
        out.raw("task", "{}");
    }
    let token = operation == Operation::CallTool || call.client.wants_progress();
    meta(&mut out, token.then_some(id), cx, version, extra == Extra::Tasks)?;
    Ok(out.close_meta())
}

/// What a request says of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extra {
    Nothing,
    /// That the caller can have them (2026-07-28).
    Tasks,
    /// That the call is to be one (2025-11-25).
    Task,
}

/// Writes a request about a task of the server's. `answers`: a raw object, for what the task has asked.
pub(crate) fn about_task(
    id: u64,
    cx: &CallContext<'_>,
    version: ProtocolVersion,
    method: &str,
    task: &str,
    answers: Option<&str>,
) -> Result<Bytes, CallError> {
    let mut out = Writer::request(id, method, answers.map_or(0, str::len));
    out.str("taskId", task);
    if let Some(answers) = answers {
        out.raw("inputResponses", answers);
    }
    meta(&mut out, None, cx, version, true)?;
    Ok(out.close_meta())
}

/// Doors that have no `params` hand in arguments only.
fn without_params(out: &mut Writer, cx: &CallContext<'_>) -> Result<(), CallError> {
    match cx.call.operation {
        Operation::CompletePrompt | Operation::CompleteResource => {
            // Arguments of a completion are its whole params (see the MCP door).
            let raw = cx.call.arguments.unwrap_or("{}");
            let params = Object::parse(raw).map_err(|e| invalid(format!("completion: {e}")))?;
            let (kind, member) = match cx.call.operation {
                Operation::CompletePrompt => ("ref/prompt", "name"),
                _ => ("ref/resource", "uri"),
            };
            let name = json::quote(cx.local_name);
            out.raw("ref", &format!("{{\"type\":\"{kind}\",\"{member}\":{name}}}"));
            for (key, raw) in params
                .iter()
                .filter(|(key, _)| matches!(*key, "argument" | "context"))
            {
                out.raw(key, raw);
            }
        }
        _ => {
            if let Some(raw) = cx.call.arguments {
                out.raw("arguments", raw);
            }
        }
    }
    Ok(())
}

/// The reference of a completion, with the name as the server knows it.
fn reference(operation: Operation, params: &Object<'_>, name: &str) -> Result<String, CallError> {
    let raw = params
        .get("ref")
        .ok_or_else(|| invalid("`params.ref` is missing".into()))?;
    let member = match operation {
        Operation::CompleteResource => "uri",
        _ => "name",
    };
    let object = Object::parse(raw).map_err(|e| invalid(format!("`params.ref`: {e}")))?;
    if object.get_str(member).as_deref() == Some(name) {
        return Ok(raw.to_owned());
    }
    let mut out = format!("{{\"{member}\":{}", json::quote(name));
    for (key, raw) in object.iter().filter(|(key, _)| *key != member) {
        out.push(',');
        out.push_str(&json::quote(key));
        out.push(':');
        out.push_str(raw);
    }
    out.push('}');
    Ok(out)
}

/// What the caller put into `_meta` for the tool goes on; what is about the connection is ours.
fn meta(
    out: &mut Writer,
    token: Option<u64>,
    cx: &CallContext<'_>,
    version: ProtocolVersion,
    tasks: bool,
) -> Result<(), CallError> {
    out.open_meta(version);
    if version.is_modern() {
        ask::write_capabilities(out, cx, tasks);
    }
    if let Some(raw) = cx.call.meta.raw {
        let given = Object::parse(raw).map_err(|e| invalid(format!("`_meta`: {e}")))?;
        for (key, raw) in given.iter() {
            if key != "progressToken" && !key.starts_with(PROTOCOL_PREFIX) {
                out.raw(key, raw);
            }
        }
    }
    // Progress of a tool extends the call's time whether or not the caller wants to see it, so that a call has the same
    // fate through every door.
    if let Some(token) = token {
        out.raw("progressToken", &token.to_string());
    }
    if version.is_modern()
        && let Some(level) = LogLevel::ALL
            .into_iter()
            .find(|level| cx.call.client.wants_log(*level))
    {
        out.str("io.modelcontextprotocol/logLevel", level.as_str());
    }
    Ok(())
}

fn invalid(message: String) -> CallError {
    CallError::new(ErrorCode::InvalidRequest, message)
}

/// The headers that repeat parameters of a tool (2026-07-28 basic/transports/streamable-http).
pub(crate) fn param_headers(cx: &CallContext<'_>) -> Result<Vec<(HeaderName, HeaderValue)>, CallError> {
    let Some(tool) = cx.tool.filter(|tool| !tool.param_headers.is_empty()) else {
        return Ok(Vec::new());
    };
    let parsed;
    let arguments = match &cx.arguments.value {
        Some(value) => value,
        None => {
            parsed =
                serde_json::from_str(cx.arguments.raw).map_err(|e| invalid(format!("arguments: {e}")))?;
            &parsed
        }
    };
    Ok(tool
        .param_headers
        .iter()
        .filter_map(|param| param_header(param, arguments))
        .collect())
}

/// Absent and `null` parameters have no header.
fn param_header(param: &ParamHeader, arguments: &Value) -> Option<(HeaderName, HeaderValue)> {
    let value = param
        .path
        .iter()
        .try_fold(arguments, |value, key| value.get(key))?;
    let text = match (param.kind, value) {
        (_, Value::Null) => return None,
        (HeaderKind::String, Value::String(text)) => encode_value(text).into_owned(),
        (_, Value::String(text)) => encode_value(text).into_owned(),
        (_, other) => other.to_string(),
    };
    let name = HeaderName::from_bytes(param.header.as_bytes()).ok()?;
    Some((name, HeaderValue::from_str(&text).ok()?))
}

/// What a call comes to by its raw result.
pub(crate) fn turn(session: &Session, result: Bytes, cx: &CallContext<'_>) -> Result<Turn, CallError> {
    let name = &*session.name;
    let payload = Payload::relayed(result.into())
        .map_err(|e| ask::broken(name, format!("its result cannot be used: {e}")))?;
    if session.version.is_modern() && payload.has_modern_members() {
        let object = Object::parse(payload.as_str()).map_err(|e| ask::broken(name, e))?;
        match object.get_str("resultType").as_deref() {
            None | Some("complete") => {}
            Some("input_required") => return Ok(Turn::Wants(Wanted::read(name, &object, cx)?)),
            Some("task") if session.facts.tasks && cx.call.operation == Operation::CallTool => {
                let raw = payload.as_str();
                return Shown::of(&object, raw).map(Turn::Task).ok_or_else(|| {
                    ask::broken(name, "its task has no `taskId`, or no `status` that is known")
                });
            }
            Some(other) => {
                let other: String = other.chars().take(50).collect();
                let what =
                    format!("it answered with a result of type `{other}`, which was not offered to it");
                return Err(ask::broken(name, what));
            }
        }
    }
    Ok(Turn::Over(Reply::Complete(payload)))
}

/// Revisions have different codes for a resource that does not exist.
pub(crate) fn error_code(mut error: RpcError, cx: &CallContext<'_>, version: ProtocolVersion) -> RpcError {
    if cx.call.operation == Operation::ReadResource && error.code == version.resource_not_found_code() {
        error.code = cx.call.version.resource_not_found_code();
    }
    error
}
