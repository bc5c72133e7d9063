//! What all methods share that reach a source: make the call, run it, write down how it ended.

use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::AtomicU64;
use std::task::Poll;

use ferromcp_core::{Call, CallError, ErrorCode, Input, Interaction, Operation, Payload, Reply};
use ferromcp_protocol::{Method, RpcError, code};

use super::input;
use crate::answer::Answer;
use crate::caller::{Caller, NO_PROGRESS};
use crate::capability;
use crate::cx::Cx;
use crate::incoming::Opened;
use crate::render::{self, Hints};
use crate::session::{NotStarted, RunningGuard};

/// What a method asks of the pipeline.
pub(super) struct Wanted<'a> {
    pub(super) operation: Operation,
    pub(super) name: &'a str,
    /// Raw JSON.
    pub(super) arguments: Option<&'a str>,
    /// Caching hints of the result, where the method has them.
    pub(super) hints: Option<Hints>,
}

/// Runs one call.
pub(super) async fn run(cx: &Cx<'_, '_>, wanted: Wanted<'_>) -> Answer {
    let brought = match input::brought(cx, &wanted) {
        Ok(brought) => brought,
        Err(error) => return cx.error(&error),
    };
    let running = match cx
        .session
        .map(|session| session.begin(cx.id, cx.endpoint.settings.max_in_flight))
    {
        None => None,
        Some(Ok(guard)) => Some(guard),
        Some(Err(why)) => return not_started(cx, why),
    };
    let caller = Caller {
        outlet: cx.incoming.outlet,
        version: cx.version,
        capabilities: cx.capabilities,
        name: cx.client_name,
        interaction: interaction(cx, wanted.operation),
        token: cx.meta.progress_token,
        log_level: cx.log_level,
        session: cx.session,
        max_questions: cx.endpoint.settings.max_questions,
        last: AtomicU64::new(NO_PROGRESS),
    };
    let call = Call {
        operation: wanted.operation,
        name: wanted.name,
        arguments: wanted.arguments,
        params: cx.params_raw,
        meta: cx.meta,
        version: cx.version,
        door: cx.incoming.door,
        credential: cx.incoming.credential,
        tenant: None,
        client: &caller,
        input: brought.as_ref(),
        timeout: None,
    };
    if let Some(method) = Method::parse(wanted.operation.method()) {
        cx.incoming.outlet.opened(&Opened {
            id: cx.id,
            method,
            version: cx.version,
            session: cx.session,
        });
    }
    // Clients of earlier revisions say once and for all what they want.
    let _logs = cx
        .log_level
        .filter(|_| cx.modern())
        .map(|level| cx.endpoint.gateway.want_logs(level));
    let work = pin!(cx.endpoint.gateway.call(&call));
    let outcome = unless_stopped(running.as_ref(), work).await;
    drop(running);
    match outcome.map(|outcome| outcome.result) {
        None => Answer::cancelled(),
        Some(Ok(reply)) => replied(cx, &wanted, brought.as_ref(), reply),
        Some(Err(error)) => failed(cx, wanted.operation, &error),
    }
}

/// How the caller can be asked for input.
fn interaction(cx: &Cx<'_, '_>, operation: Operation) -> Interaction {
    let may_ask = matches!(
        operation,
        Operation::CallTool | Operation::GetPrompt | Operation::ReadResource
    );
    if !may_ask {
        Interaction::None
    } else if cx.modern() {
        Interaction::RoundTrip
    } else if cx.session.is_some() && cx.incoming.outlet.can_send() {
        Interaction::Direct
    } else {
        Interaction::None
    }
}

/// `None` if the client cancelled, or its session ended, before the future did. The future comes
/// pinned: by value it would be in the caller's state twice.
async fn unless_stopped<F: Future>(
    running: Option<&RunningGuard>,
    mut future: Pin<&mut F>,
) -> Option<F::Output> {
    poll_fn(|task| {
        // Looked at first: what was cancelled is not answered, even if it is done by now.
        if running.is_some_and(|running| running.stop().is_set()) {
            return Poll::Ready(None);
        }
        if let Poll::Ready(output) = future.as_mut().poll(task) {
            return Poll::Ready(Some(output));
        }
        match running {
            Some(running) => running.stop().poll(task).map(|()| None),
            None => Poll::Pending,
        }
    })
    .await
}

fn replied(cx: &Cx<'_, '_>, wanted: &Wanted<'_>, brought: Option<&Input>, reply: Reply) -> Answer {
    match reply {
        Reply::Complete(payload) => {
            // What depends on the answers that came along is not for caches
            // (server/utilities/caching, "Cache Key").
            let hints = wanted.hints.map(|h| {
                if brought.is_some() {
                    Hints {
                        ttl_ms: 0,
                        public: false,
                    }
                } else {
                    h
                }
            });
            complete(cx, &payload, "complete", hints, is_task(wanted.operation))
        }
        Reply::InputRequired(needed) => input::required(cx, wanted, brought, &needed),
        Reply::Task(_) if !cx.capabilities.tasks => cx.error(&capability::missing(capability::TASKS)),
        Reply::Task(_) if !cx.modern() => cx.error(&RpcError::new(
            code::INTERNAL_ERROR,
            "the tool made a task, which this protocol revision lacks",
        )),
        Reply::Task(task) => complete(cx, &task, "task", None, true),
    }
}

fn is_task(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::GetTask | Operation::UpdateTask | Operation::CancelTask
    )
}

/// `timed`: the result has a time to live of its own.
fn complete(
    cx: &Cx<'_, '_>,
    payload: &Payload,
    result_type: &str,
    hints: Option<Hints>,
    timed: bool,
) -> Answer {
    Answer::json(if cx.modern() {
        render::modern_response(cx.id, payload, result_type, hints, timed, &cx.dress.meta_member)
    } else {
        render::legacy_response(cx.id, payload)
    })
}

fn failed(cx: &Cx<'_, '_>, operation: Operation, error: &CallError) -> Answer {
    match error.code() {
        // The sender is told nothing of a request that it cancelled.
        ErrorCode::Cancelled => Answer::cancelled(),
        // A model can mend its arguments if it sees what is wrong with them.
        ErrorCode::InvalidArguments if operation == Operation::CallTool && error.rpc_error().is_none() => {
            complete(
                cx,
                &Payload::error_text(&readable(error)),
                "complete",
                None,
                false,
            )
        }
        ErrorCode::Unauthenticated => Answer::turned_away(Some(cx.id), error),
        ErrorCode::RateLimited | ErrorCode::QuotaExceeded => {
            let mut answer = cx.error(&in_era(cx, error.to_rpc()));
            answer.retry_after = error.retry_after();
            answer
        }
        _ => cx.error(&in_era(cx, error.to_rpc())),
    }
}

/// Codes of earlier revisions that a source relayed must not reach a client of 2026-07-28
/// (2026-07-28 basic/index, "Error Codes").
fn in_era(cx: &Cx<'_, '_>, mut error: RpcError) -> RpcError {
    if cx.modern() {
        error.code = match error.code {
            code::LEGACY_RESOURCE_NOT_FOUND => code::INVALID_PARAMS,
            code::LEGACY_URL_ELICITATION_REQUIRED => code::INTERNAL_ERROR,
            same => same,
        };
    }
    error
}

/// The message, and each issue on a line of its own unless the message has it already.
fn readable(error: &CallError) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(error.message());
    for issue in error.issues() {
        if !error.message().contains(&issue.message) {
            let place = if issue.pointer.is_empty() {
                "/"
            } else {
                &issue.pointer
            };
            let text = text.to_mut();
            text.push_str("\n- ");
            text.push_str(place);
            text.push_str(": ");
            text.push_str(&issue.message);
        }
    }
    text
}

/// The answer to a request that has to wait its turn or its id.
pub(super) fn not_started(cx: &Cx<'_, '_>, why: NotStarted) -> Answer {
    let error = match why {
        NotStarted::Duplicate => RpcError::new(
            code::INVALID_REQUEST,
            format!("a request with the id {} is still running", cx.id),
        ),
        NotStarted::Full(max) => RpcError::new(
            code::UNAVAILABLE,
            format!("{max} requests of this client are running, which is the limit; wait for one to end"),
        )
        .with_data("{\"code\":\"unavailable\",\"rule\":\"session.max_in_flight\"}"),
        NotStarted::Ended => return Answer::cancelled(),
    };
    cx.error(&error)
}
