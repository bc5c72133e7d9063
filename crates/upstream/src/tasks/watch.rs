//! Telling listeners of changes of a task: what the server says of its own accord, and what a look at it shows in the
//! intervals that the server wants, for it need not say anything (SEP-2663, "Task Status Notifications").

use std::sync::{Arc, Weak};
use std::time::Duration;

use ferromcp_core::Principal;
use ferromcp_protocol::json::{self, Object};
use tokio::time::sleep;

use super::{Away, Book, Entry, Shown, reach};
use crate::fault::Fault;
use crate::session::Session;
use crate::upstream::Upstream;
use crate::wire::member;

/// Wait between two looks where the server does not say, and bounds for what it says.
const LOOK: Duration = Duration::from_secs(1);
const LOOK_MIN: Duration = Duration::from_millis(200);
const LOOK_MAX: Duration = Duration::from_secs(30);

impl Book {
    /// One listener more or less. False if the task is not this principal's.
    pub(crate) fn listen(
        self: &Arc<Self>,
        upstream: &Weak<Upstream>,
        owner: &Principal,
        id: &str,
        on: bool,
    ) -> bool {
        let Some(entry) = self.find(id, owner) else {
            return false;
        };
        let mut state = entry.state();
        if !on {
            state.listeners = state.listeners.saturating_sub(1);
            if state.listeners == 0
                && let Some(watcher) = state.watcher.take()
            {
                watcher.abort();
            }
            return true;
        }
        state.listeners += 1;
        if state.listeners == 1 {
            // Whoever listens from now on has heard nothing.
            state.told = None;
            let watching = watch(Arc::clone(self), Arc::downgrade(&entry), Weak::clone(upstream));
            state.watcher = Some(tokio::spawn(watching).abort_handle());
        }
        true
    }

    /// A server told of a change of one of its tasks. `connection`: the number of the one that it came over.
    pub(crate) fn heard(&self, connection: u64, task: &Object<'_>) {
        let Some(shown) = task.get_str("taskId") else {
            return;
        };
        let entries = self.entries();
        let entry = entries
            .by_id
            .values()
            .find(|entry| {
                *entry.theirs == *shown && (!entry.is_child() || entry.session.number == connection)
            })
            .cloned();
        drop(entries);
        if let Some(entry) = entry {
            self.show(&entry, task);
        }
    }

    /// Tells listeners of what the server shows. True if the task has ended.
    fn show(&self, entry: &Entry, task: &Object<'_>) -> bool {
        let mut raw = String::from("{");
        for (key, value) in task.iter().filter(|(key, _)| *key != "_meta") {
            member(&mut raw, key, value);
        }
        raw.push('}');
        let Some(shown) = Shown::of(task, &raw) else {
            return false;
        };
        if entry.state().failed.is_some() {
            return true;
        }
        let over = shown.is_over();
        match entry.note(&shown) {
            Ok(payload) => self.tell(entry, payload.as_str()),
            Err(error) => {
                tracing::debug!(target: "ferromcp::server", server = %self.server, %error, "a change of a task was not told");
            }
        }
        over
    }
}

/// Looks at a task until it has ended. Aborted when nobody listens any more.
async fn watch(book: Arc<Book>, entry: Weak<Entry>, upstream: Weak<Upstream>) {
    let mut listening: Option<Listening> = None;
    loop {
        let (Some(entry), Some(upstream)) = (entry.upgrade(), upstream.upgrade()) else {
            return;
        };
        match reach(&entry, &upstream).await {
            Ok(session) => {
                if listening
                    .as_ref()
                    .is_none_or(|listening| !Arc::ptr_eq(&listening.session, &session))
                {
                    listening = Some(Listening::start(&session, &entry.theirs));
                }
                match session.ask_about("tasks/get", &entry.theirs).await {
                    Ok(result) => {
                        if let Some(task) = super::text(&result).and_then(|raw| Object::parse(raw).ok())
                            && book.show(&entry, &task)
                        {
                            return;
                        }
                    }
                    Err(Fault::Rpc(error)) if error.code == ferromcp_protocol::code::INVALID_PARAMS => {
                        let why = format!("the server does not know it any more: {}", error.message);
                        book.fail(&entry, &why);
                        return;
                    }
                    // Its end, or the next look, will tell.
                    Err(_) => {}
                }
            }
            Err(Away::Ended) => {
                book.fail(&entry, super::ENDED);
                return;
            }
            Err(Away::Down(_)) => {}
        }
        let wait = entry
            .state()
            .seen
            .poll()
            .unwrap_or(LOOK)
            .clamp(LOOK_MIN, LOOK_MAX);
        drop((entry, upstream));
        sleep(wait).await;
    }
}

/// A subscription to the changes of one task. What comes of it is heard by the connection's ear.
struct Listening {
    session: Arc<Session>,
    task: tokio::task::JoinHandle<()>,
}

impl Listening {
    fn start(session: &Arc<Session>, task: &str) -> Self {
        let members = format!("\"notifications\":{{\"taskIds\":[{}]}}", json::quote(task));
        let listener = Arc::clone(session);
        let task = tokio::spawn(async move {
            // However it ends: the looks go on.
            let _ = listener
                .ask_with_tasks("subscriptions/listen", None, &members)
                .await;
        });
        Self {
            session: Arc::clone(session),
            task,
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}
