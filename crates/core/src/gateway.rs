//! [`Gateway::call`]: the one way to a tool.

use std::borrow::Cow;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ferromcp_limits::{Nanos, SavedState, Standing};
use ferromcp_tenancy::Kind;
use tokio::sync::broadcast;

use crate::access::{Access, AccessSettings};
use crate::call::{Arguments, Call, CallContext, Credential, Principal, RequestId};
use crate::catalog::{self, Vetting};
use crate::deadline::Deadline;
use crate::error::CallError;
use crate::event::Event;
use crate::record::{Ending, Observer, Recorder};
use crate::reply::Reply;
use crate::snapshot::{Identity, Policy, Snapshot};
use crate::source::{Listing, Source};
use crate::stage;
use board::Board;

mod board;
mod logs;
mod reconfigure;
mod view;
mod watches;

pub use logs::LogWish;
pub use reconfigure::{Reconfiguration, Slot};
pub use view::View;

/// The gateway: the current snapshot, and the pipeline over it. Cheap to share in an [`Arc`].
pub struct Gateway {
    /// The snapshot, and what it is made of.
    board: Arc<Board>,
    observer: Box<dyn Observer>,
    in_flight: AtomicUsize,
    leaving: AtomicBool,
    starting: AtomicBool,
    draining: AtomicBool,
    logs: logs::Logs,
}

/// How a call ended, with what every door reports.
#[derive(Debug)]
pub struct Outcome {
    /// The call's id.
    pub request_id: RequestId,
    /// From start to end.
    pub latency: Duration,
    /// How the tightest rate of the caller stands, if it has any.
    pub standing: Option<Standing>,
    /// The answer.
    pub result: Result<Reply, CallError>,
}

impl Gateway {
    /// A gateway without sources.
    pub fn new(identity: Identity, policy: Policy, observer: impl Observer) -> Self {
        Self {
            board: Arc::new(Board::new(identity, policy)),
            observer: Box::new(observer),
            in_flight: AtomicUsize::new(0),
            leaving: AtomicBool::new(false),
            starting: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            logs: logs::Logs::default(),
        }
    }

    /// Sets who may call, and what. For a gateway that is not in use yet.
    #[must_use]
    pub fn with_access(self, access: Access) -> Self {
        self.board.begin_with(access);
        self
    }

    /// Carries out one call: every door, every source, no way around.
    ///
    /// Dropping the future cancels the call; the record is written all the same.
    pub async fn call(&self, call: &Call<'_>) -> Outcome {
        let snapshot = self.board.for_call(call);
        let mut recorder = Recorder::start(&*self.observer, call);
        let result = self.pipeline(&snapshot, call, &mut recorder).await;
        let latency = match &result {
            Ok(Reply::Complete(p)) if p.is_error() => recorder.finish(Ending::ToolError, None, p.len()),
            Ok(Reply::Complete(p)) => recorder.finish(Ending::Ok, None, p.len()),
            Ok(Reply::InputRequired(_)) => recorder.finish(Ending::InputRequired, None, 0),
            Ok(Reply::Task(p)) => recorder.finish(Ending::Task, None, p.len()),
            Err(e) => {
                let (code, rule) = e.record();
                recorder.finish(Ending::Failed(code), rule, 0)
            }
        };
        Outcome {
            standing: recorder.standing,
            request_id: recorder.request_id,
            latency,
            result,
        }
    }

    async fn pipeline<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        call: &'a Call<'a>,
        recorder: &mut Recorder<'a>,
    ) -> Result<Reply, CallError> {
        let _admitted = stage::admit(self, snapshot)?;
        poll_fn(|cx| self.observer.poll_ready(cx)).await?;
        let principal = stage::authenticate(snapshot, call)?;
        recorder.principal = Some(principal.clone());
        let target = stage::authorize(snapshot, &principal, call)?;
        recorder.source = Some(Arc::clone(&target.source.name));
        let _permit = stage::limit(snapshot, &principal, call, &target, &mut recorder.standing)?;
        let arguments: Arguments<'a> =
            stage::validate(snapshot, &principal, call, &target, &mut recorder.flagged)?;
        let deadline: Deadline = stage::deadline(snapshot, call, &target);
        let context = CallContext {
            call,
            request_id: recorder.request_id,
            principal: &principal,
            tool: target.tool,
            local_name: &target.local_name,
            arguments: &arguments,
            deadline: &deadline,
        };
        if target.has_effects()
            && let Some(begun) = recorder.begin(&principal, &target.source.name)
        {
            begun.await?;
        }
        let reply = stage::dispatch(&target, context).await?;
        let reply = stage::check_output(snapshot, call, &target, reply)?;
        if !target.source.carries_calls {
            stage::outgoing(snapshot, &principal, reply.size());
        }
        Ok(reply)
    }

    /// Who is behind a credential. What comes of it may be used as [`Credential::Proven`] for the same message,
    /// so that a credential is checked once.
    pub fn authenticate(&self, credential: Credential<'_>) -> Result<Principal, CallError> {
        self.board.latest().access.principal(credential)
    }

    /// Whether somebody who was let in before still would be: the tenant is there and not suspended, the key not revoked,
    /// the token or certificate not at its end. For streams that stay open.
    pub fn still_admits(&self, principal: &Principal) -> bool {
        self.board.latest().access.still(principal).is_ok()
    }

    /// Somebody whom another process let in, and whose place this one takes.
    ///
    /// # Errors
    /// The tenant is not here, or is suspended.
    pub fn handed(&self, tenant: &str, name: &str) -> Result<Principal, CallError> {
        self.board.latest().access.handed(tenant, name)
    }

    /// What is used of all limits but those of clients, and the time on the clock that it is counted on.
    pub fn used(&self) -> (SavedState, Nanos) {
        let snapshot = self.snapshot();
        let now = snapshot.access.now();
        (snapshot.limits.save(now), now)
    }

    /// Takes over what [`Self::used`] told in another process. Before the first call.
    pub fn take_used(&self, saved: SavedState, then: Nanos) {
        let snapshot = self.snapshot();
        let now = snapshot.access.now();
        snapshot.limits.take_over(&saved.on_another_clock(then, now), now);
    }

    /// Whether somebody may read a resource by the rules of this moment, so that it may be told of its changes.
    pub fn may_read(&self, principal: &Principal, uri: &str) -> bool {
        let snapshot = self.snapshot();
        let found = snapshot.catalog.resource(uri);
        let own = found.as_ref().map_or(uri, |(_, own)| own);
        self.authenticate(Credential::Proven(principal))
            .is_ok_and(|now| now.grants().allows(Kind::Resource, own))
    }

    /// Writes the record of a call that a door refused before it came here, because of its credential.
    pub fn refused(&self, call: &Call<'_>, error: &CallError) {
        let mut recorder = Recorder::start(&*self.observer, call);
        let (code, rule) = error.record();
        recorder.finish(Ending::Failed(code), rule, 0);
    }

    /// The current snapshot, with everything that was published before.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.board.current()
    }

    /// The same for a message that is about one tool: what other sources published in the last moments may not be in it
    /// yet. `name` is asked only while something is about to be merged; without a name it is [`Self::snapshot`].
    pub fn snapshot_for<'n>(&self, name: impl FnOnce() -> Option<Cow<'n, str>>) -> Arc<Snapshot> {
        self.board.for_tool(name)
    }

    /// What a caller may see in lists.
    pub fn view(&self, credential: Credential<'_>) -> Result<View, CallError> {
        View::of(self.snapshot(), credential)
    }

    /// Puts a source's listing in place of its last one, or adds the source. Callers are told only of lists that really
    /// changed. Whoever looks afterwards finds it; where many sources publish in a short time, the merging and the
    /// telling are done once for all of them, at most 250 ms later.
    pub fn publish(&self, listing: Listing) {
        self.board.publish(listing);
    }

    /// Vets the definitions of all foreign sources from now on, those that are published already among them.
    pub fn set_vetting(&self, vetting: Option<Arc<dyn Vetting>>) {
        self.board.set_vetting(vetting);
    }

    /// Takes a source out.
    pub fn withdraw(&self, name: &str) {
        self.board.withdraw(name);
    }

    /// Puts other tenants, credentials, limits and rules in place. Calls that run finish under the old ones; every call
    /// from now on, also of an open session, is held to the new ones. What was used of a rate or quota stays used, and
    /// running calls stay counted.
    pub fn set_access(&self, settings: AccessSettings) {
        self.board.set_access(settings);
    }

    /// Puts another configuration in place, all of it at one moment: no call sees a part of the old and a part of the new
    /// one. Calls that run finish under the old one. What was used of rates and quotas stays used. Streams of tenants that are
    /// out end, and only tenants whose lists look different are told.
    pub fn reconfigure(&self, next: Reconfiguration) {
        self.board.reconfigure(next);
    }

    /// Tells listeners that a resource of this source has new contents. `uri`: the source's own.
    pub fn resource_updated(&self, source: &str, uri: &str) {
        let snapshot = self.snapshot();
        let found = snapshot.catalog.resource(uri);
        let is_other = found.is_some_and(|(listing, own)| &*listing.name != source || own != uri);
        if !is_other {
            self.emit(Event::ResourceUpdated { uri: uri.into() });
        }
        let alias = catalog::alias(source, uri);
        if self.board.is_watched(&alias) {
            self.emit(Event::ResourceUpdated { uri: alias.into() });
        }
    }

    /// Tells every listener of a change. What the policy does not let out of results is taken out of tasks as well; a
    /// task that cannot be searched for it, or is larger than results may be, is not told of: its owner may ask.
    pub fn emit(&self, event: Event) {
        let Some(event) = self.outgoing(event) else { return };
        self.board.emit(event);
    }

    /// Changes from now on. A listener that falls behind gets `Lagged` and should take it as "all
    /// lists changed".
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.board.listen()
    }

    /// Watches a resource until the guard is dropped.
    pub fn watch(self: &Arc<Self>, uri: &str) -> Watch {
        let uri: Arc<str> = uri.into();
        self.board.watch(&uri);
        Watch {
            gateway: Arc::clone(self),
            uri,
        }
    }

    /// Follows a task of this principal until the guard is dropped. `None` if there is no such task, as far as its source
    /// can tell.
    pub fn watch_task(&self, owner: &Principal, id: &str) -> Option<TaskWatch> {
        let snapshot = self.snapshot();
        let source = Arc::clone(&snapshot.catalog.task_source(id)?.source);
        source.watch_task(owner, id, true).then(|| TaskWatch {
            source,
            owner: owner.clone(),
            id: id.into(),
        })
    }

    fn outgoing(&self, event: Event) -> Option<Event> {
        let Event::TaskChanged { owner, id, task } = event else {
            return Some(event);
        };
        let snapshot = self.snapshot();
        let policy = &snapshot.policy;
        let source = snapshot.catalog.task_source(&id);
        let exposed = source.and_then(|source| snapshot.catalog.exposed(&source.name, &task, None));
        let task = exposed.map_or(task, Arc::from);
        let task = match policy.redact.is_on() {
            true => match policy.redact.redact(&task).ok()?.text {
                Some(text) => text.into(),
                None => task,
            },
            false => task,
        };
        (task.len() <= policy.max_output).then_some(Event::TaskChanged { owner, id, task })
    }

    /// Calls that are running now.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Health checks are to be told that it is not ready, until [`Self::started`]. Calls are taken all the same.
    pub fn starting(&self) {
        self.starting.store(true, Ordering::SeqCst);
    }

    /// It has started.
    pub fn started(&self) {
        if self.starting.swap(false, Ordering::SeqCst) {
            self.emit(Event::Started);
        }
    }

    /// Whether health checks are to be told that it is ready: it has started, and takes calls.
    pub fn is_ready(&self) -> bool {
        !self.starting.load(Ordering::Relaxed) && !self.is_draining()
    }

    /// True once [`Self::drain`] began.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Another process takes the place of this one: streams end, while calls are still taken.
    pub fn leave(&self) {
        if !self.leaving.swap(true, Ordering::SeqCst) {
            self.emit(Event::Leaving);
        }
    }

    /// True once [`Self::leave`] was called.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// Refuses new calls from now on.
    pub fn refuse_new(&self) {
        if !self.draining.swap(true, Ordering::SeqCst) {
            self.emit(Event::Draining);
        }
    }

    /// Refuses new calls and waits for running ones, at most `limit`. True if all ended.
    pub async fn drain(&self, limit: Duration) -> bool {
        self.refuse_new();
        let end = tokio::time::Instant::now() + limit;
        while self.in_flight() > 0 {
            if tokio::time::Instant::now() >= end {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        true
    }

    pub(crate) fn observer(&self) -> &dyn Observer {
        &*self.observer
    }

    pub(crate) fn enter(&self) -> (usize, InFlight<'_>) {
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        (before, InFlight(&self.in_flight))
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}

/// Counts one running call.
pub(crate) struct InFlight<'a>(&'a AtomicUsize);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Keeps a resource watched.
#[derive(Debug)]
pub struct Watch {
    gateway: Arc<Gateway>,
    uri: Arc<str>,
}

impl Watch {
    /// What is watched.
    pub fn uri(&self) -> &str {
        &self.uri
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.gateway.board.unwatch(&self.uri);
    }
}

/// Keeps a task followed.
pub struct TaskWatch {
    source: Arc<dyn Source>,
    owner: Principal,
    id: Box<str>,
}

impl TaskWatch {
    /// The task.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Debug for TaskWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TaskWatch").field(&self.id).finish()
    }
}

impl Drop for TaskWatch {
    fn drop(&mut self) {
        self.source.watch_task(&self.owner, &self.id, false);
    }
}

#[cfg(test)]
mod tests;
