//! `BatchCall`: each call of a batch as it ends, and then the sum of it.

use std::borrow::Cow;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ferromcp_core::batch::{self, BatchSink, MAX_PARALLEL};
use ferromcp_core::{Batch, BatchRequest, BatchSummary, CallError, ErrorCode, NoClient, Outcome};
use ferromcp_grpc_api::batch_call_response::Event;
use ferromcp_grpc_api::batch_result::Outcome as Ended;
use ferromcp_grpc_api::{
    self, BatchCallItem, BatchCallRequest, BatchCallResponse, BatchResult, CallFailure, Violation,
};
use ferromcp_protocol::json;
use tokio::sync::mpsc::Sender;
use tokio_util::sync::PollSender;
use tonic::Status;

use crate::service::{Door, Frame, tool_answer};
use crate::status;
use crate::stream::Events;

type Item = Result<BatchCallResponse, Status>;

/// Runs a batch.
pub(crate) fn call(door: Arc<Door>, frame: Frame, message: BatchCallRequest) -> Events<BatchCallResponse> {
    Events::of(move |sender| async move {
        let ended = run(&door, &frame, &message, &sender).await;
        let last = ended.map(|summary| event(Event::Summary(sum(&summary))));
        // Nobody is left to be told if this fails.
        let _ = sender.send(last).await;
    })
}

async fn run(
    door: &Door,
    frame: &Frame,
    message: &BatchCallRequest,
    sender: &Sender<Item>,
) -> Result<BatchSummary, Status> {
    let call = frame.about(&message.tenant_id, &NoClient)?;
    let batch = planned(message)?;
    let shown = frame.shown(door)?;
    let mut sink = Sink {
        queue: PollSender::new(sender.clone()),
        batch: &batch,
    };
    let summary = door.gateway.batch(&batch, &call, &mut sink).await;
    door.learn(shown, summary.as_ref().err());
    summary.map_err(|error| status::of(&error, None))
}

fn planned(message: &BatchCallRequest) -> Result<Batch<'_>, Status> {
    let parallel = match usize::try_from(message.max_parallel) {
        Ok(most) if most <= MAX_PARALLEL => most.max(1),
        _ => {
            return Err(status::bad(format!(
                "max_parallel must be from 0 to {MAX_PARALLEL}"
            )));
        }
    };
    let calls = message.calls.iter().enumerate().map(|(at, item)| one(at, item));
    let request = BatchRequest {
        calls: calls.collect::<Result<_, _>>()?,
        parallel,
        stop_on_error: message.stop_on_error,
        // The frame has them.
        timeout: None,
        tenant: None,
    };
    Batch::plan(request).map_err(|error| status::of(&error, None))
}

fn one(at: usize, item: &BatchCallItem) -> Result<batch::BatchCall<'_>, Status> {
    Ok(batch::BatchCall {
        id: (!item.id.is_empty()).then_some(Cow::Borrowed(&*item.id)),
        tool: Cow::Borrowed(&item.tool),
        arguments: match &*item.arguments {
            [] => None,
            bytes => {
                Some(json::validate(bytes).map_err(|e| status::bad(format!("calls[{at}].arguments: {e}")))?)
            }
        },
        timeout: (item.timeout_ms > 0).then(|| Duration::from_millis(item.timeout_ms)),
    })
}

/// Takes what ends as fast as the client does.
struct Sink<'b> {
    queue: PollSender<Item>,
    batch: &'b Batch<'b>,
}

impl BatchSink for Sink<'_> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        self.queue
            .poll_reserve(cx)
            .map_err(|_| CallError::new(ErrorCode::Cancelled, "the caller has gone away"))
    }

    fn ended(&mut self, at: usize, outcome: Outcome) {
        let result = BatchResult {
            index: i32::try_from(at).unwrap_or(i32::MAX),
            id: self.batch.id(at).unwrap_or_default().to_owned(),
            outcome: Some(match outcome.settled() {
                Ok(payload) => Ended::Response(tool_answer(&outcome, payload)),
                Err(error) => Ended::Failure(failure(&error, &outcome)),
            }),
        };
        // It was ready; if the client went away since, the next look at it says so.
        let _ = self.queue.send_item(Ok(event(Event::Result(result))));
    }
}

fn failure(error: &CallError, outcome: &Outcome) -> CallFailure {
    let violations = error
        .issues()
        .iter()
        .take(status::MAX_ISSUES)
        .map(|issue| Violation {
            field: issue.pointer.clone(),
            description: issue.message.clone(),
        });
    CallFailure {
        status_code: i32::from(status::code(error.code())),
        reason: error.code().as_str().to_owned(),
        message: error.message().to_owned(),
        rule: error.rule().unwrap_or_default().to_owned(),
        request_id: outcome.request_id.to_string(),
        may_have_run: error.may_have_run(),
        retry_after_ms: error.retry_after().map_or(0, |after| {
            u64::try_from(after.as_millis()).unwrap_or(u64::MAX).max(1)
        }),
        violations: violations.collect(),
        rpc_code: status::rpc_code(error),
    }
}

fn sum(summary: &BatchSummary) -> ferromcp_grpc_api::BatchSummary {
    let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    ferromcp_grpc_api::BatchSummary {
        succeeded: count(summary.succeeded),
        failed: count(summary.failed),
        latency_us: u64::try_from(summary.latency.as_micros()).unwrap_or(u64::MAX),
    }
}

fn event(event: Event) -> BatchCallResponse {
    BatchCallResponse { event: Some(event) }
}
