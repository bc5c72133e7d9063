//! A task for a caller who can have none: its call goes on until the task has ended.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferromcp_core::{CallContext, CallError, ErrorCode, Interaction, Reply};
use ferromcp_protocol::RpcError;
use ferromcp_protocol::json::Object;
use futures_util::future::try_join_all;
use tokio::time::sleep;

use super::{Shown, forget_at};
use crate::ask;
use crate::fault::Fault;
use crate::relay;
use crate::rounds::{self, Turn, Wanted};
use crate::session::Session;

/// Wait between two looks where the server does not say, and bounds for what it says: each look is a sign of life of the
/// call, which must not run into its idle limit.
pub(super) const POLL: Duration = Duration::from_secs(1);
pub(super) const POLL_MIN: Duration = Duration::from_millis(50);
pub(super) const POLL_MAX: Duration = Duration::from_secs(5);

/// Most questions of one task.
const MAX_ASKED: usize = 1000;

/// Cancels the task if its call ends before it does.
pub(super) struct Followed {
    session: Arc<Session>,
    task: Option<Box<str>>,
}

impl Followed {
    pub(super) fn new(session: &Arc<Session>, task: &str) -> Self {
        Self {
            session: Arc::clone(session),
            task: Some(task.into()),
        }
    }

    /// It needs no cancelling any more.
    pub(super) fn over(&mut self) {
        self.task = None;
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            forget_at(Arc::clone(&self.session), task);
        }
    }
}

/// Looks at a task until it has ended, asking the caller what it asks.
pub(crate) async fn to_the_end(
    session: &Arc<Session>,
    cx: &CallContext<'_>,
    made: Shown,
) -> Result<Reply, CallError> {
    let id: Box<str> = made.id().into();
    let mut followed = Followed::new(session, &id);
    let mut asked = HashSet::new();
    let mut seen = made;
    loop {
        if !seen.is_over() {
            sleep(seen.poll().unwrap_or(POLL).clamp(POLL_MIN, POLL_MAX)).await;
        }
        let result = session.task(cx, "tasks/get", &id, None).await;
        let result = result.map_err(|fault| of_look(fault, &session.name))?;
        cx.deadline.touch();
        seen = Shown::read(&session.name, &result)?;
        let task = seen.object();
        if seen.is_over() {
            followed.over();
            return ended(session, cx, &task);
        }
        if task.get("inputRequests").is_some() {
            answer(session, cx, &id, &task, &mut asked).await?;
        }
    }
}

/// A lost look is a lost call: the tool was begun.
fn of_look(fault: Fault, name: &str) -> CallError {
    fault.into_call_error(name).maybe_ran()
}

fn ended(session: &Session, cx: &CallContext<'_>, task: &Object<'_>) -> Result<Reply, CallError> {
    let name = &session.name;
    match (
        task.get_str("status").as_deref(),
        task.get("result"),
        task.get("error"),
    ) {
        (Some("completed"), Some(result), _) => {
            match relay::turn(session, Bytes::copy_from_slice(result.as_bytes()), cx)? {
                Turn::Over(reply) => Ok(reply),
                Turn::Wants(_) | Turn::Task(_) => Err(ask::broken(name, "the result of its task is not one")),
            }
        }
        (Some("failed"), _, Some(error)) => {
            let error =
                RpcError::parse(error).ok_or_else(|| ask::broken(name, "`error` of its task is none"))?;
            Err(Fault::Rpc(error).into_call_error(name).maybe_ran())
        }
        (Some("cancelled"), ..) => {
            let said = task.get_str("statusMessage").unwrap_or_default();
            let said: String = said.chars().take(500).collect();
            let text = format!("server `{name}` cancelled the task of this call: {said}");
            Err(CallError::new(ErrorCode::UpstreamError, text)
                .with_rule("upstream.task_cancelled")
                .maybe_ran())
        }
        _ => Err(ask::broken(name, "its task has ended without saying how")),
    }
}

/// Puts the questions that are new to the caller, and hands the answers in.
async fn answer(
    session: &Session,
    cx: &CallContext<'_>,
    id: &str,
    task: &Object<'_>,
    asked: &mut HashSet<String>,
) -> Result<(), CallError> {
    let wanted = Wanted::read(&session.name, task, cx)?;
    let new: Vec<_> = wanted
        .requests()
        .iter()
        .filter(|request| !asked.contains(&request.key))
        .collect();
    if new.is_empty() {
        return Ok(());
    }
    if cx.call.client.interaction() != Interaction::Direct {
        return Err(ask::broken(
            &session.name,
            "its task asked for input, and was told that this caller has none; it was cancelled",
        ));
    }
    if asked.len() + new.len() > MAX_ASKED {
        let text = format!("its task asked more than {MAX_ASKED} questions; it was cancelled");
        return Err(ask::broken(&session.name, text));
    }
    let answers = try_join_all(new.iter().map(|request| cx.ask(request))).await?;
    let keys = new.iter().map(|request| request.key.as_str());
    let responses = rounds::responses(keys.zip(answers.iter().map(AsRef::as_ref)));
    asked.extend(new.iter().map(|request| request.key.clone()));
    let given = session.task(cx, "tasks/update", id, Some(&responses)).await;
    given.map(drop).map_err(|fault| of_look(fault, &session.name))
}
