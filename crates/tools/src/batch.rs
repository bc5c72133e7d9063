//! `batch_call`: many calls in one, for MCP hosts, whose protocol has no batches since 2025-06-18.

use std::sync::{Arc, Weak};

use ferromcp_core::batch::{DEFAULT_PARALLEL, MAX_CALLS, MAX_ID, MAX_PARALLEL};
use ferromcp_core::{
    Batch, BatchAnswer, BatchRequest, BatchSink, Call, CallContext, CallError, Credential, ErrorCode,
    Gateway, Listing, Operation, Outcome, Payload, Progress, Reply, Source, SourceFuture, Spec,
};
use ferromcp_protocol::json;
use serde_json::{Value, json};

/// Name of the tool.
pub const NAME: &str = "batch_call";
/// Name of the source in the catalog.
const SOURCE: &str = "batch";

/// The tool `batch_call` as a source of its own, named `batch`, without a prefix. Its calls go through this gateway, each
/// with the caller's own rights and limits.
pub fn batch(gateway: &Arc<Gateway>) -> Listing {
    let source = Carrier(Arc::downgrade(gateway));
    let mut listing = Listing::new(SOURCE, Arc::new(source));
    listing.offers.tools = true;
    listing.carries_calls = true;
    listing.tools = vec![Spec::new(NAME, definition().to_string())];
    listing
}

fn definition() -> Value {
    let milliseconds = |what: &str| json!({ "type": "integer", "minimum": 1, "description": what });
    json!({
        "name": NAME,
        "title": "Batch call",
        "description": "Calls several tools of this server in one go and returns all their results, in the order of the requests. \
            Each call succeeds or fails on its own. Use the result of one call in the arguments of another by putting \
            {\"$result\": ID, \"pointer\": POINTER} in place of a value: ID is the id of the other request, POINTER a JSON Pointer \
            into its output (such as /items/0/id; leave it out for all of the output).",
        "inputSchema": {
            "type": "object",
            "required": ["requests"],
            "additionalProperties": false,
            "properties": {
                "requests": { "type": "array", "minItems": 1, "maxItems": MAX_CALLS, "items": {
                    "type": "object",
                    "required": ["tool"],
                    "additionalProperties": false,
                    "properties": {
                        "id": { "type": "string", "minLength": 1, "maxLength": MAX_ID, "description": "A name for this request, unique among them." },
                        "tool": { "type": "string", "description": "Name of the tool to call." },
                        "arguments": { "type": "object", "description": "The arguments of that tool." },
                        "timeout_ms": milliseconds("Give up on this call after so many milliseconds."),
                    },
                } },
                "parallel": { "type": "boolean", "description": "Make calls at the same time. Default: in order, one at a time." },
                "max_parallel": {
                    "type": "integer", "minimum": 1, "maximum": MAX_PARALLEL,
                    "description": format!("Most calls at the same time; with parallel, the default is {DEFAULT_PARALLEL}."),
                },
                "stop_on_error": { "type": "boolean", "description": "Make no more calls once one has failed." },
                "timeout_ms": milliseconds("Give up on what is not done after so many milliseconds."),
            },
        },
        "outputSchema": {
            "type": "object",
            "required": ["responses", "success_count", "error_count"],
            "properties": {
                "responses": { "type": "array", "items": {
                    "type": "object",
                    "required": ["success"],
                    "properties": {
                        "id": { "type": "string" },
                        "success": { "type": "boolean" },
                        "output": { "description": "What the tool put out." },
                        "error": { "type": "object", "description": "Why the call failed." },
                    },
                } },
                "success_count": { "type": "integer" },
                "error_count": { "type": "integer" },
                "latency_ms": { "type": "number" },
            },
        },
        // What its calls do depends on the tools that they call.
        "annotations": { "readOnlyHint": false, "destructiveHint": true, "idempotentHint": false, "openWorldHint": true },
    })
}

/// Weak: the gateway holds its sources.
struct Carrier(Weak<Gateway>);

impl Source for Carrier {
    fn call<'a>(&'a self, cx: CallContext<'a>) -> SourceFuture<'a> {
        Box::pin(async move {
            let gone = || CallError::new(ErrorCode::Unavailable, "the server is shutting down");
            let gateway = self.0.upgrade().ok_or_else(gone)?;
            carry(&gateway, &cx).await
        })
    }

    /// Its calls have their own; it has none.
    fn has_effects(&self, _tool: &str, _hinted: bool) -> bool {
        false
    }
}

async fn carry(gateway: &Gateway, cx: &CallContext<'_>) -> Result<Reply, CallError> {
    if cx.call.operation != Operation::CallTool || cx.local_name != NAME {
        let message = format!("there is only the tool {NAME} here");
        return Err(CallError::new(ErrorCode::ToolNotFound, message));
    }
    let request = BatchRequest::parse(cx.arguments.raw.as_bytes())?;
    let batch = Batch::plan(request)?;
    let frame = Call {
        credential: Credential::Proven(cx.principal),
        tenant: None,
        timeout: None,
        ..*cx.call
    };
    // Each call has an idle bound of its own; the absolute one of this call is that of all.
    let _pause = cx.deadline.pause();
    let mut sink = Reporting {
        answer: BatchAnswer::new(&batch),
        cx,
        done: 0,
        all: batch.len(),
    };
    let summary = gateway.batch(&batch, &frame, &mut sink).await?;
    let answer = sink.answer.finish(&summary);
    let answer = String::from_utf8(answer)
        .map_err(|_| CallError::new(ErrorCode::Internal, "a result is not UTF-8").maybe_ran())?;
    let mut content = b"[{\"type\":\"text\",\"text\":".to_vec();
    json::write_str(&mut content, &answer);
    content.extend_from_slice(b"}]");
    let content = String::from_utf8(content).unwrap_or_default();
    Ok(Reply::Complete(Payload::tool(
        &content,
        Some(&answer),
        false,
        None,
    )))
}

/// Collects the answers, and tells the caller how many there are.
struct Reporting<'a, 'b> {
    answer: BatchAnswer<'b>,
    cx: &'a CallContext<'a>,
    done: usize,
    all: usize,
}

impl BatchSink for Reporting<'_, '_> {
    fn ended(&mut self, at: usize, outcome: Outcome) {
        self.done += 1;
        if self.cx.call.client.wants_progress() {
            self.cx.progress(&Progress {
                progress: self.done as f64,
                total: Some(self.all as f64),
                message: None,
            });
        }
        self.answer.ended(at, outcome);
    }
}
