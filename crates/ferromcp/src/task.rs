//! Tasks: calls that go on after their answer (extension `io.modelcontextprotocol/tasks`, SEP-2663).
//!
//! Invariants: a task is findable before its id is given away; its state changes only forward
//! (working -> completed, failed or cancelled); a question's key is never used twice in one task; a
//! task that belongs to another principal looks unknown; number and lifetime are bounded.

mod record;
mod run;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferromcp_core::{CallContext, CallError, ErrorCode, Operation, Payload, Principal, Reply};
use ferromcp_protocol::capability::TASKS_EXTENSION;
use ferromcp_protocol::json::Object;
use tokio::time::Instant;

use crate::context::{Context, missing_capability};
use crate::random::hex128;
use crate::server::Shared;

pub(crate) use crate::context::TaskBody;
use record::Record;

/// Bounds on tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskLimits {
    /// How many tasks there may be at a time, finished ones included. Default 1,000.
    pub max: usize,
    /// How long a task is kept, counted from its creation; one that still runs then has failed.
    /// Default 10 minutes.
    pub ttl: Duration,
    /// How often clients are told to look. Default 500 ms.
    pub poll_interval: Duration,
}

impl Default for TaskLimits {
    fn default() -> Self {
        Self {
            max: 1_000,
            ttl: Duration::from_secs(600),
            poll_interval: Duration::from_millis(500),
        }
    }
}

/// All tasks of one server.
pub(crate) struct Tasks {
    limits: TaskLimits,
    store: Mutex<Store>,
}

#[derive(Default)]
struct Store {
    by_id: HashMap<Arc<str>, Arc<Record>>,
    /// In order of creation, which is also the order of expiry.
    expiry: VecDeque<(Instant, Arc<str>)>,
}

impl Tasks {
    pub(crate) fn new(limits: TaskLimits) -> Self {
        Self {
            limits,
            store: Mutex::default(),
        }
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        while store.expiry.front().is_some_and(|(end, _)| *end <= now) {
            if let Some((_, id)) = store.expiry.pop_front() {
                store.by_id.remove(&id);
            }
        }
        store
    }

    /// Makes a task of a running handler, or gives the handler back.
    pub(crate) fn create(
        &self,
        cx: &CallContext<'_>,
        context: &Context,
        body: TaskBody,
        server: &Arc<Shared>,
    ) -> Result<Reply, (CallError, TaskBody)> {
        let record = match self.enter(cx, server) {
            Ok(record) => record,
            Err(refused) => return Err((refused, body)),
        };
        context.entered_task();
        let shown = Payload::plain(record.show().into_bytes());
        tokio::spawn(run::run(record, context.clone(), body, Arc::clone(server)));
        Ok(Reply::Task(shown))
    }

    fn enter(&self, cx: &CallContext<'_>, server: &Shared) -> Result<Arc<Record>, CallError> {
        let id: Arc<str> = format!("{}.{}", server.name, hex128()?).into();
        let end = Instant::now() + self.limits.ttl;
        let record = Arc::new(Record::new(
            Arc::clone(&id),
            cx.principal.clone(),
            self.limits,
            end,
            cx.tool.cloned(),
        ));
        let mut store = self.store();
        if store.by_id.len() >= self.limits.max {
            return Err(CallError::new(
                ErrorCode::Unavailable,
                format!(
                    "this server keeps {} tasks, which is its limit; retry later",
                    self.limits.max
                ),
            )
            .with_rule("tasks.max")
            .with_retry_after(self.limits.poll_interval));
        }
        store.by_id.insert(Arc::clone(&id), Arc::clone(&record));
        store.expiry.push_back((end, id));
        Ok(record)
    }

    fn find(&self, id: &str, principal: &Principal) -> Option<Arc<Record>> {
        self.store()
            .by_id
            .get(id)
            .filter(|r| r.owner == *principal)
            .cloned()
    }

    /// Carries out `tasks/get`, `tasks/update` and `tasks/cancel`.
    pub(crate) fn call(&self, cx: &CallContext<'_>, server: &Shared) -> Result<Reply, CallError> {
        let call = cx.call;
        if !can_have_tasks(cx) {
            return Err(tasks_not_declared(call.operation.method()));
        }
        let record = self.find(call.name, cx.principal).ok_or_else(|| {
            let shown: String = call.name.chars().take(200).collect();
            CallError::new(ErrorCode::ToolNotFound, format!("Unknown task: {shown}"))
        })?;
        let shown = match call.operation {
            Operation::UpdateTask => {
                let refused = answers(cx)?
                    .into_iter()
                    .filter_map(|(key, raw)| record.answer(&key, raw).err());
                let refused: Vec<String> = refused.collect();
                server.task_changed(&record.owner, &record.id, record.detail());
                if !refused.is_empty() {
                    return Err(CallError::new(ErrorCode::InvalidArguments, refused.join("; "))
                        .with_rule("tasks.answer"));
                }
                "{}".to_owned()
            }
            Operation::CancelTask => {
                record.cancel();
                "{}".to_owned()
            }
            _ => record.detail(),
        };
        Ok(Reply::Complete(Payload::plain(shown.into_bytes())))
    }
}

/// The extension exists in the modern era only (SEP-2663, "Backward Compatibility").
pub(crate) fn can_have_tasks(cx: &CallContext<'_>) -> bool {
    cx.call.version.is_modern() && cx.call.client.capabilities().tasks
}

pub(crate) fn tasks_not_declared(what: &str) -> CallError {
    missing_capability(
        format!("{what} needs the extension {TASKS_EXTENSION}, which the client did not declare"),
        &format!("{{\"extensions\":{{\"{TASKS_EXTENSION}\":{{}}}}}}"),
    )
}

/// `inputResponses` of a `tasks/update`: doors hand them in as the call's arguments.
fn answers(cx: &CallContext<'_>) -> Result<Vec<(String, String)>, CallError> {
    let raw = cx.call.arguments.unwrap_or("{}");
    let responses = Object::parse(raw)
        .map_err(|e| CallError::new(ErrorCode::InvalidRequest, format!("`inputResponses`: {e}")))?;
    Ok(responses
        .iter()
        .map(|(key, raw)| (key.to_owned(), raw.to_owned()))
        .collect())
}

#[cfg(test)]
mod tests;
