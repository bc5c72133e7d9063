//! Tasks of servers of 2026-07-28 (extension `io.modelcontextprotocol/tasks`, SEP-2663): which server has a task that a
//! caller knows by an id of ours, and whose it is.
//!
//! The state of a task stays at its server; here is only what it takes to find it again. Invariants: an id of ours belongs
//! to one principal, and to others looks unknown; a task is known here before its id is given away; a child process that
//! ends takes its tasks along, which then have failed; number and time are bounded. A worker is not ended as an idle one
//! while a task of it has not been seen to end.

mod inside;
mod legacy;
mod shown;
mod watch;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use ferromcp_core::{
    CallContext, CallError, ErrorCode, Event, Gateway, Operation, Payload, Principal, Reply, ToolEntry,
};
use ferromcp_protocol::{ClientCapabilities, code};
use tokio::task::AbortHandle;

use crate::ask;
use crate::fault::Fault;
use crate::link::Link;
use crate::pool::{Lease, Patience};
use crate::session::Session;
use crate::spec::TransportSpec;
use crate::upstream::Upstream;

pub(crate) use inside::to_the_end;
pub(crate) use legacy::{call as legacy_call, is_required as legacy_required};
pub(crate) use shown::Shown;

/// Most tasks of one server that are kept at a time, ended ones included.
pub(crate) const MAX: usize = 1000;
/// Most of them that belong to one principal.
pub(crate) const MAX_OF_ONE: usize = 250;
/// Longest time that a task is kept, whatever its server says.
const MAX_TTL: Duration = Duration::from_secs(24 * 3600);
/// Time for telling a server that nobody wants its task.
const CANCEL_TIME: Duration = Duration::from_secs(10);

/// The tasks of one server.
pub(crate) struct Book {
    server: Arc<str>,
    gateway: Weak<Gateway>,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    by_id: HashMap<Arc<str>, Arc<Entry>>,
    next: u64,
}

/// One task.
struct Entry {
    /// Our id.
    id: Arc<str>,
    /// The server's.
    theirs: Box<str>,
    owner: Principal,
    /// For its output schema.
    tool: Option<Arc<ToolEntry>>,
    /// Which worker has it; over HTTP any worker reaches it.
    session: Arc<Session>,
    /// In order of creation.
    number: u64,
    state: Mutex<State>,
}

struct State {
    /// Keeps the worker until the task was seen to have ended.
    lease: Option<Lease>,
    seen: Shown,
    /// The whole task as it failed here.
    failed: Option<Arc<str>>,
    /// Listeners to its changes, and who tells them.
    listeners: usize,
    watcher: Option<AbortHandle>,
    /// What listeners were told last, as a hash.
    told: Option<u64>,
    _expiry: Option<Expiry>,
}

/// Forgets the task when its time is over, unless dropped before.
struct Expiry(AbortHandle);

impl Drop for Expiry {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if let Some(watcher) = &self.watcher {
            watcher.abort();
        }
    }
}

impl Entry {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_child(&self) -> bool {
        matches!(self.session.link, Link::Stdio(_))
    }

    /// Notes what the server says of it, and gives that back as its owner sees it.
    fn note(&self, shown: &Shown) -> Result<Payload, CallError> {
        let payload = shown.payload(&self.id, self.tool.as_deref(), &self.session.name)?;
        let mut state = self.state();
        let lease = if shown.is_over() { state.lease.take() } else { None };
        state.seen = shown.head();
        drop(state);
        drop(lease);
        Ok(payload)
    }
}

/// Why a task cannot be asked for.
enum Away {
    /// Its worker has ended, and the task with it.
    Ended,
    /// Its server is away for a while.
    Down(CallError),
}

/// A call by whoever can have a task of it (SEP-2663, "Capability Negotiation").
pub(crate) fn can_have(cx: &CallContext<'_>) -> bool {
    cx.call.version.is_modern() && cx.call.client.capabilities().tasks
}

/// Whether a call that needs a task is followed to its end for its caller. One that speaks 2026-07-28 could have declared
/// the extension, and is told so by the server's own error.
pub(crate) fn is_followed(cx: &CallContext<'_>) -> bool {
    !(can_have(cx) || cx.call.version.is_modern() && cx.call.client.speaks_mcp())
}

/// Whether the error says that the extension was not declared.
pub(crate) fn is_wanted(fault: &Fault) -> bool {
    let Fault::Rpc(error) = fault else { return false };
    let required = || {
        let data = ferromcp_protocol::json::Object::parse(error.data.as_deref()?).ok()?;
        ClientCapabilities::parse(data.get("requiredCapabilities")?).ok()
    };
    error.code == code::MISSING_CLIENT_CAPABILITY && required().is_some_and(|required| required.tasks)
}

impl Book {
    pub(crate) fn new(server: Arc<str>, gateway: Weak<Gateway>) -> Arc<Self> {
        Arc::new(Self {
            server,
            gateway,
            entries: Mutex::default(),
        })
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over a task that a call has made. The reply is the task under our id.
    pub(crate) fn adopt(
        self: &Arc<Self>,
        cx: &CallContext<'_>,
        lease: Lease,
        made: &Shown,
    ) -> Result<Reply, CallError> {
        let session = Arc::clone(&lease.session);
        let id = self.new_id()?;
        let theirs: Box<str> = made.id().into();
        let keep = made.ttl().unwrap_or(MAX_TTL).min(MAX_TTL);
        let mut entries = self.entries();
        if !entries.has_room(cx.principal) {
            drop(entries);
            forget_at(session, theirs);
            return Err(CallError::new(
                ErrorCode::Unavailable,
                format!(
                    "server `{}`: too many of its tasks are open; this one was cancelled",
                    self.server
                ),
            )
            .with_rule("limit.tasks")
            .with_retry_after(Duration::from_secs(1))
            .maybe_ran());
        }
        entries.next += 1;
        let entry = Arc::new(Entry {
            id: Arc::clone(&id),
            theirs,
            owner: cx.principal.clone(),
            tool: cx.tool.cloned(),
            session,
            number: entries.next,
            state: Mutex::new(State {
                lease: Some(lease),
                seen: made.head(),
                failed: None,
                listeners: 0,
                watcher: None,
                told: None,
                _expiry: Some(self.expire(&id, keep)),
            }),
        });
        entries.by_id.insert(id, Arc::clone(&entry));
        drop(entries);
        entry.note(made).map(Reply::Task)
    }

    /// Not to be guessed: whoever is not its owner must not even try.
    fn new_id(&self) -> Result<Arc<str>, CallError> {
        let mut secret = [0u8; 16];
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut secret).map_err(|_| {
            CallError::new(
                ErrorCode::Internal,
                "the system has no random numbers for the id of a task",
            )
            .maybe_ran()
        })?;
        Ok(format!("{}.{:032x}", self.server, u128::from_be_bytes(secret)).into())
    }

    fn expire(self: &Arc<Self>, id: &Arc<str>, after: Duration) -> Expiry {
        let (book, id) = (Arc::downgrade(self), Arc::clone(id));
        let timer = tokio::spawn(async move {
            tokio::time::sleep(after).await;
            if let Some(book) = book.upgrade() {
                let expired = book.entries().by_id.remove(&id);
                drop(expired);
            }
        });
        Expiry(timer.abort_handle())
    }

    /// What belongs to somebody else looks as unknown as what never was.
    fn find(&self, id: &str, principal: &Principal) -> Option<Arc<Entry>> {
        let entries = self.entries();
        entries
            .by_id
            .get(id)
            .filter(|entry| entry.owner == *principal)
            .cloned()
    }

    /// Carries out `tasks/get`, `tasks/update` and `tasks/cancel`.
    pub(crate) async fn call(
        self: &Arc<Self>,
        cx: &CallContext<'_>,
        upstream: &Upstream,
    ) -> Result<Reply, CallError> {
        let entry = self
            .find(cx.call.name, cx.principal)
            .ok_or_else(|| unknown(cx.call.name))?;
        if let Some(failed) = entry.state().failed.clone() {
            return of_failed(cx, &failed);
        }
        let session = match reach(&entry, upstream).await {
            Ok(session) => session,
            Err(Away::Down(error)) => return Err(error),
            Err(Away::Ended) => return self.lost(cx, &entry, ENDED),
        };
        let answers = match cx.call.operation {
            Operation::UpdateTask => Some(cx.call.arguments.unwrap_or("{}")),
            _ => None,
        };
        let operation = cx.call.operation;
        match session.task(cx, operation.method(), &entry.theirs, answers).await {
            Ok(result) if operation == Operation::GetTask => {
                let shown = Shown::read(&self.server, &result)?;
                entry.note(&shown).map(Reply::Complete)
            }
            Ok(result) => Payload::relayed(result.into())
                .map(Reply::Complete)
                .map_err(|e| ask::broken(&self.server, format!("its result cannot be used: {e}"))),
            Err(Fault::Rpc(error))
                if error.code == code::INVALID_PARAMS && operation == Operation::GetTask =>
            {
                let why = format!("the server does not know it any more: {}", error.message);
                self.lost(cx, &entry, &why)
            }
            Err(Fault::Gone { .. }) if entry.is_child() => self.lost(cx, &entry, ENDED),
            Err(fault) => Err(fault.into_call_error(&self.server)),
        }
    }

    fn lost(&self, cx: &CallContext<'_>, entry: &Entry, why: &str) -> Result<Reply, CallError> {
        let failed = self.fail(entry, why).ok_or_else(|| unknown(cx.call.name))?;
        of_failed(cx, &failed)
    }

    /// The task cannot go on. `None` if it has ended before: then nothing is left of it.
    fn fail(&self, entry: &Entry, why: &str) -> Option<Arc<str>> {
        let mut state = entry.state();
        let lease = state.lease.take();
        if state.seen.is_over() {
            drop(state);
            let gone = self.entries().by_id.remove(&entry.id);
            drop((lease, gone));
            return None;
        }
        let failed = match &state.failed {
            Some(failed) => Arc::clone(failed),
            None => {
                let why = format!(
                    "server `{}`: {why}; the task is lost, and may have done its work",
                    self.server
                );
                let failed: Arc<str> = state.seen.failed(&entry.id, &why).into();
                state.failed = Some(Arc::clone(&failed));
                failed
            }
        };
        let heard = state.listeners > 0;
        drop(state);
        drop(lease);
        if heard {
            self.tell(entry, &failed);
        }
        Some(failed)
    }

    /// A worker has ended. Tasks of a child process end with it; others may be reached by another worker.
    pub(crate) fn ended(&self, session: &Arc<Session>) {
        let entries = self.entries();
        let own = entries
            .by_id
            .values()
            .filter(|entry| Arc::ptr_eq(&entry.session, session));
        let own: Vec<_> = own.cloned().collect();
        drop(entries);
        for entry in own {
            if entry.is_child() {
                self.fail(&entry, ENDED);
            } else {
                let lease = entry.state().lease.take();
                drop(lease);
            }
        }
    }

    /// Tells listeners what is new to them.
    fn tell(&self, entry: &Entry, task: &str) {
        let hash = shown::hash(task);
        let mut state = entry.state();
        let new = state.listeners > 0 && state.told.replace(hash) != Some(hash);
        drop(state);
        if let Some(gateway) = self.gateway.upgrade().filter(|_| new) {
            gateway.emit(Event::TaskChanged {
                owner: entry.owner.clone(),
                id: Arc::clone(&entry.id),
                task: task.into(),
            });
        }
    }
}

const ENDED: &str = "the process that worked on it has ended";

impl Entries {
    /// Makes room by forgetting the oldest that has ended, of this principal or of all.
    fn has_room(&mut self, principal: &Principal) -> bool {
        let own = self
            .by_id
            .values()
            .filter(|entry| entry.owner == *principal)
            .count();
        let mine = |entry: &Entry| own < MAX_OF_ONE || entry.owner == *principal;
        if self.by_id.len() < MAX && own < MAX_OF_ONE {
            return true;
        }
        let over = |entry: &Entry| {
            let state = entry.state();
            state.failed.is_some() || state.seen.is_over()
        };
        let oldest = self
            .by_id
            .values()
            .filter(|entry| mine(entry) && over(entry))
            .min_by_key(|entry| entry.number)
            .map(|entry| Arc::clone(&entry.id));
        oldest.is_some_and(|id| self.by_id.remove(&id).is_some())
    }
}

/// The session that reaches a task now.
async fn reach(entry: &Entry, upstream: &Upstream) -> Result<Arc<Session>, Away> {
    if upstream.pool.is_served_by(&entry.session) {
        return Ok(Arc::clone(&entry.session));
    }
    if let TransportSpec::Stdio(_) = upstream.spec.transport {
        return Err(Away::Ended);
    }
    let key = upstream.spec.pool.per.key(&entry.owner);
    let lease = upstream.pool.lease(Patience::Start, None, key.as_ref()).await;
    let lease = lease.map_err(|(why, at)| Away::Down(upstream.down(&why, at)))?;
    match lease.session.version.is_modern() {
        true => Ok(Arc::clone(&lease.session)),
        false => Err(Away::Ended),
    }
}

/// Tells a server that nobody wants its task.
pub(crate) fn forget_at(session: Arc<Session>, theirs: Box<str>) {
    tokio::spawn(tokio::time::timeout(CANCEL_TIME, async move {
        let told = session.ask_about("tasks/cancel", &theirs).await;
        if let Err(fault) = told {
            tracing::debug!(target: "ferromcp::server", server = %session.name, %fault, "a task could not be cancelled");
        }
    }));
}

fn of_failed(cx: &CallContext<'_>, failed: &str) -> Result<Reply, CallError> {
    let json = match cx.call.operation {
        Operation::GetTask => failed.to_owned(),
        // An answer or a cancellation that comes too late is none.
        _ => "{}".to_owned(),
    };
    Payload::relayed(json.into_bytes())
        .map(Reply::Complete)
        .map_err(|e| CallError::new(ErrorCode::Internal, e.message))
}

fn unknown(id: &str) -> CallError {
    let shown: String = id.chars().take(200).collect();
    CallError::new(ErrorCode::ToolNotFound, format!("Unknown task: {shown}"))
}

impl std::fmt::Debug for Book {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Book")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

/// The raw text of a result that is known to be valid JSON.
fn text(raw: &Bytes) -> Option<&str> {
    std::str::from_utf8(raw).ok()
}

#[cfg(test)]
mod tests;
