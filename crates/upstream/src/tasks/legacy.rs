//! Tools of 2025-11-25 that can only be called as tasks (basic/utilities/tasks): the call makes one and waits for its
//! result, for callers of all revisions. Tasks of that revision are not passed on: its clients may list all of them.

use std::sync::Arc;

use bytes::Bytes;
use ferromcp_core::{CallContext, CallError, ToolEntry};
use ferromcp_protocol::json::{self, Object};
use tokio::time::sleep;

use super::Shown;
use super::inside::{Followed, POLL, POLL_MAX, POLL_MIN};
use crate::ask;
use crate::fault::Fault;
use crate::opening::parse;
use crate::relay::Extra;
use crate::session::Session;

/// Whether the definition says that calls have to be tasks.
pub(crate) fn is_required(tool: Option<&Arc<ToolEntry>>) -> bool {
    let support = || {
        let tool = Object::parse(&tool?.definition).ok()?;
        let execution = Object::parse(tool.get("execution")?).ok()?;
        execution
            .get_str("taskSupport")
            .map(|support| support == "required")
    };
    support().unwrap_or(false)
}

/// Makes the call as a task. What it ends with is what the call would have ended with.
pub(crate) async fn call(
    session: &Arc<Session>,
    cx: &CallContext<'_>,
) -> Result<Result<Bytes, Fault>, CallError> {
    let name = &session.name;
    let made = match session.exchange(cx, None, Extra::Task).await? {
        Ok(made) => made,
        Err(fault) => return Ok(Err(fault)),
    };
    let broken = |what: &str| ask::broken(name, what);
    let object = parse(&made).map_err(|fault| ask::broken(name, fault))?;
    let Some(raw) = object.get("task") else {
        // It was done at once after all.
        return Ok(Ok(made.clone()));
    };
    let task = Object::parse(raw).map_err(|e| ask::broken(name, format!("`task`: {e}")))?;
    let mut seen = Shown::of(&task, raw).ok_or_else(|| broken("its task has no `taskId`, or no `status`"))?;
    let id: Box<str> = seen.id().into();
    let mut followed = Followed::new(session, &id);
    // The result can be waited for at once, but only looks are signs of life.
    while !seen.is_over() && seen.object().get_str("status").as_deref() != Some("input_required") {
        let wait = seen.poll().unwrap_or(POLL).clamp(POLL_MIN, POLL_MAX);
        sleep(wait).await;
        let members = format!("\"taskId\":{}", json::quote(&id));
        let look = match session.ask("tasks/get", &members).await {
            Ok(look) => look,
            Err(fault) => return Ok(Err(fault)),
        };
        cx.deadline.touch();
        seen = Shown::read(name, &look)?;
    }
    // What the task asks comes with this request (basic/utilities/tasks, "Input Required Status").
    let ended = session.task(cx, "tasks/result", &id, None).await;
    // A call that stands still for its caller goes on with this very request.
    followed.over();
    Ok(ended)
}
