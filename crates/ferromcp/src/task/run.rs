//! Runs a task's handler to its end.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Poll;

use ferromcp_core::{CallError, ErrorCode, Payload};
use ferromcp_protocol::ProtocolVersion;
use futures_util::FutureExt;
use serde_json::Value;

use super::TaskBody;
use super::record::{Record, Status};
use crate::context::{Command, Context, release};
use crate::error::ToolError;
use crate::server::Shared;

pub(super) async fn run(record: Arc<Record>, context: Context, mut body: TaskBody, server: Arc<Shared>) {
    let changed = |record: &Record| server.task_changed(&record.owner, &record.id, record.detail());
    let running = poll_fn(|task| {
        // Before looking: a command, an answer or a cancellation after the look wakes us.
        record.runner.register(task.waker());
        context.register_driver(task);
        if record.is_cancelled() {
            return Poll::Ready(None);
        }
        let polled = body.as_mut().poll(task).map(Some);
        let mut news = record.withdraw_unheard();
        for command in context.take_commands() {
            match command {
                // Tasks have no progress notifications; what there is to read becomes the status line.
                Command::Progress {
                    message: Some(message),
                    ..
                } => news |= record.say(message),
                Command::Progress { .. } | Command::Log { .. } | Command::ReleaseStream => {}
                Command::Ask(asked) => {
                    record.ask(asked);
                    news = true;
                }
                Command::BecomeTask(reply) => {
                    // It is one already; the handler may have gone.
                    let _ = reply.send(Ok(()));
                }
            }
        }
        if news && polled.is_pending() {
            changed(&record);
        }
        polled
    });
    let ended = tokio::time::timeout_at(record.end, AssertUnwindSafe(running).catch_unwind()).await;
    let (status, finished) = match ended {
        Ok(Ok(Some(output))) => (of_output(output, &record, context.version()), true),
        Ok(Ok(None)) => (Status::Cancelled, false),
        Ok(Err(_panic)) => {
            tracing::error!(task = %record.id, request_id = %context.request_id(), "tool panicked in a task");
            let message = format!(
                "internal error; the server's log has it under request {}",
                context.request_id()
            );
            (
                Status::Failed(CallError::new(ErrorCode::Internal, message).to_rpc()),
                true,
            )
        }
        Err(_) => {
            let message = "the task was still running at the end of its time to live and was cancelled";
            (
                Status::Failed(CallError::new(ErrorCode::Timeout, message).maybe_ran().to_rpc()),
                false,
            )
        }
    };
    record.finish(status);
    // First the state, then the handler: whoever hears of the end finds it recorded.
    drop(body);
    release(&context, finished);
    changed(&record);
}

fn of_output(output: Result<Payload, ToolError>, record: &Record, version: ProtocolVersion) -> Status {
    let result = output
        .or_else(|e| e.into_tool_result(version))
        .and_then(|payload| promised(payload, record));
    match result {
        Ok(payload) => Status::Completed(payload),
        Err(error) => Status::Failed(error.to_rpc()),
    }
}

/// Results of tasks pass the pipeline's check of output only here.
fn promised(payload: Payload, record: &Record) -> Result<Payload, CallError> {
    let Some(Ok(Some(schema))) = record.tool.as_deref().map(|tool| tool.output_schema()) else {
        return Ok(payload);
    };
    if payload.is_error() {
        return Ok(payload);
    }
    let value = payload
        .structured()
        .and_then(|raw| serde_json::from_str::<Value>(raw).ok());
    let problem = match value.map(|v| schema.check(&v)) {
        Some(Ok(())) => return Ok(payload),
        Some(Err(issues)) => issues.first().map(ToString::to_string).unwrap_or_default(),
        None => "there is no structuredContent".to_owned(),
    };
    let message =
        format!("the result does not fit the output schema that the tool declares: {problem}. The tool ran.");
    Err(CallError::new(ErrorCode::UpstreamError, message)
        .with_rule("schema.output")
        .maybe_ran())
}
