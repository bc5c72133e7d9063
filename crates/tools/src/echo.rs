//! `echo`: the smallest tool there is, and the one that shows what a call through us costs.

use ferromcp_core::{CallContext, CallError, ErrorCode, Issue, Payload, Reply};
use ferromcp_protocol::json::Object;
use serde_json::Value;

pub(crate) const NAME: &str = "echo";

pub(crate) const DEFINITION: &str = concat!(
    r#"{"name":"echo","title":"Echo","#,
    r#""description":"Returns the text that it is given, unchanged. Use it to check that tool calls work.","#,
    r#""inputSchema":{"type":"object","properties":{"msg":{"type":"string","description":"The text to return."}},"#,
    r#""required":["msg"],"additionalProperties":false},"#,
    r#""annotations":{"readOnlyHint":true,"destructiveHint":false,"idempotentHint":true,"openWorldHint":false}}"#,
);

/// Answers at once. The tree that the schema check built is used where there is one; otherwise the
/// raw text is peeked at, without a tree.
pub(crate) fn call(cx: &CallContext<'_>) -> Result<Reply, CallError> {
    let payload = match &cx.arguments.value {
        Some(value) => value.get("msg").and_then(Value::as_str).map(Payload::text),
        None => Object::parse(cx.arguments.raw)
            .ok()
            .and_then(|o| o.get_str("msg").map(|msg| Payload::text(&msg))),
    };
    payload.map(Reply::Complete).ok_or_else(no_msg)
}

#[cold]
fn no_msg() -> CallError {
    CallError::new(
        ErrorCode::InvalidArguments,
        "echo needs the argument \"msg\", a string",
    )
    .with_rule("schema.arguments")
    .with_issues(vec![Issue {
        pointer: "/msg".into(),
        message: "a string is required".into(),
    }])
}
