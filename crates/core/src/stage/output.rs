//! Is the result what the tool promised, and not too large?

use ferromcp_protocol::json;
use serde_json::Value;

use super::Target;
use crate::call::{Call, Operation};
use crate::error::{CallError, ErrorCode, Issue};
use crate::reply::{Payload, Reply};
use crate::snapshot::Snapshot;

/// Checks structured output against the tool's output schema and cuts what is too large.
pub(crate) fn check_output(
    snapshot: &Snapshot,
    call: &Call<'_>,
    target: &Target<'_>,
    reply: Reply,
) -> Result<Reply, CallError> {
    let payload = match reply {
        Reply::Complete(payload) => payload,
        Reply::Task(payload) => return exposed(snapshot, call, target, payload).map(Reply::Task),
        Reply::InputRequired(_) => return Ok(reply),
    };
    let payload = exposed(snapshot, call, target, payload)?;
    if let Some(tool) = target.tool
        && !payload.is_error()
    {
        tool.check_output(payload.structured())
            .map_err(|issues| broken_promise(call.name, issues))?;
    }
    let payload = redacted(snapshot, payload)?;
    if payload.len() > snapshot.policy.max_output {
        return Ok(Reply::Complete(cut(&payload, snapshot.policy.max_output)?));
    }
    Ok(Reply::Complete(payload))
}

/// Puts the URIs of resources in place that callers know, where they are not the source's own.
fn exposed(
    snapshot: &Snapshot,
    call: &Call<'_>,
    target: &Target<'_>,
    payload: Payload,
) -> Result<Payload, CallError> {
    let called = (call.operation == Operation::ReadResource).then_some((call.name, &*target.local_name));
    match snapshot
        .catalog
        .exposed(&target.source.name, payload.as_str(), called)
    {
        None => Ok(payload),
        Some(text) => Payload::relayed(text.into_bytes())
            .map_err(|e| CallError::new(ErrorCode::UpstreamError, e.message).maybe_ran()),
    }
}

/// Takes out what the policy does not let out.
fn redacted(snapshot: &Snapshot, payload: Payload) -> Result<Payload, CallError> {
    if !snapshot.policy.redact.is_on() {
        return Ok(payload);
    }
    let unreadable = |message: String| {
        CallError::new(
            ErrorCode::UpstreamError,
            format!("the result cannot be searched for what must not leave: {message}"),
        )
        .with_rule("redact.unreadable")
        .maybe_ran()
    };
    match snapshot.policy.redact.redact(payload.as_str()) {
        Ok(done) => match done.text {
            Some(text) => Payload::relayed(text.into_bytes()).map_err(|e| unreadable(e.message)),
            None => Ok(payload),
        },
        Err(violation) => Err(unreadable(violation.message)),
    }
}

fn broken_promise(tool: &str, issues: Vec<Issue>) -> CallError {
    let first = issues
        .first()
        .map(|i| format!(": {}: {}", i.pointer, i.message))
        .unwrap_or_default();
    CallError::new(
        ErrorCode::UpstreamError,
        format!("the result of {tool} does not fit the output schema that it declares{first}. The tool ran."),
    )
    .with_rule("schema.output")
    .with_issues(issues)
    .maybe_ran()
}

/// Cuts the longest texts until the result fits, and says so in the text. Structured content that
/// is too large cannot be cut and stay true, so it goes.
fn cut(payload: &Payload, max: usize) -> Result<Payload, CallError> {
    let too_large = |why: &str| {
        CallError::new(
            ErrorCode::UpstreamError,
            format!(
                "the result has {} bytes, the limit is {max}, and it cannot be cut: {why}",
                payload.len()
            ),
        )
        .with_rule("limit.output")
        .maybe_ran()
    };
    let mut value: Value = serde_json::from_str(payload.as_str()).map_err(|_| too_large("it is not JSON"))?;
    if let Some(object) = value.as_object_mut() {
        object.remove("structuredContent");
    }
    // Of a task that is completed.
    if let Some(result) = value.get_mut("result").and_then(Value::as_object_mut) {
        result.remove("structuredContent");
    }
    for pointer in ["/content", "/contents", "/result/content"] {
        let Some(blocks) = value.pointer_mut(pointer).and_then(Value::as_array_mut) else {
            continue;
        };
        let mut excess = payload.len().saturating_sub(max) + 256;
        let mut order: Vec<usize> = (0..blocks.len()).collect();
        order.sort_by_key(|i| std::cmp::Reverse(text_len(&blocks[*i])));
        for i in order {
            let Some(Value::String(text)) = blocks[i].get_mut("text") else {
                continue;
            };
            let whole = text.len();
            let keep = text.floor_char_boundary(whole.saturating_sub(excess));
            text.truncate(keep);
            excess -= (whole - keep).min(excess);
            text.push_str(&format!(
                "\n[cut: {keep} of {whole} bytes shown; the server's limit is {max} bytes]"
            ));
            if excess == 0 {
                break;
            }
        }
    }
    let made = value.to_string();
    if made.len() > max {
        return Err(too_large("it is not text"));
    }
    debug_assert!(json::validate(made.as_bytes()).is_ok());
    Payload::relayed(made.into_bytes()).map_err(|e| too_large(&e.message))
}

fn text_len(block: &Value) -> usize {
    block.get("text").and_then(Value::as_str).map_or(0, str::len)
}
