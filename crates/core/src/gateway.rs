//! [`Gateway::call`]: the one way to a tool.

use std::borrow::Cow;
use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use ferromcp_limits::Standing;
use ferromcp_tenancy::Kind;
use tokio::sync::broadcast;

use crate::access::{Access, AccessSettings};
use crate::call::{Arguments, Call, CallContext, Credential, Principal, RequestId};
use crate::catalog::{
    self, Catalog, Compiled, PromptEntry, ResourceEntry, TemplateEntry, ToolEntry, Vetting,
};
use crate::deadline::Deadline;
use crate::error::CallError;
use crate::event::Event;
use crate::record::{Ending, Observer, Recorder};
use crate::reply::Reply;
use crate::snapshot::{Identity, Policy, Snapshot};
use crate::source::{Listing, Source};
use crate::stage;
use watches::Watches;

mod logs;
mod watches;

pub use logs::LogWish;

/// How many events a slow listener may fall behind before it is told to look at everything anew.
const EVENT_BACKLOG: usize = 1024;

/// The gateway: the current snapshot, and the pipeline over it. Cheap to share in an [`Arc`].
pub struct Gateway {
    snapshot: ArcSwap<Snapshot>,
    /// Sources in configured order. Only changes of the catalog lock it.
    registry: Mutex<Registry>,
    observer: Box<dyn Observer>,
    events: broadcast::Sender<Event>,
    in_flight: AtomicUsize,
    draining: AtomicBool,
    watches: Mutex<Watches>,
    logs: logs::Logs,
}

#[derive(Default)]
struct Registry {
    parts: Vec<Arc<Compiled>>,
    vetting: Option<Arc<dyn Vetting>>,
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
        let access = Arc::new(Access::default());
        let policy_scan = policy.scan;
        let snapshot = Snapshot {
            generation: 0,
            identity,
            policy,
            catalog: Catalog::default(),
            limits: Arc::clone(access.limits()),
            guards: access.guards_with(&Catalog::default(), policy_scan),
            access,
        };
        Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            registry: Mutex::default(),
            observer: Box::new(observer),
            events: broadcast::channel(EVENT_BACKLOG).0,
            in_flight: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            watches: Mutex::default(),
            logs: logs::Logs::default(),
        }
    }

    /// Sets who may call, and what. For a gateway that is not in use yet.
    #[must_use]
    pub fn with_access(self, access: Access) -> Self {
        let before = self.snapshot.load_full();
        let access = Arc::new(access);
        let catalog = Catalog::merge(&lock(&self.registry).parts);
        self.snapshot.store(Arc::new(Snapshot {
            generation: before.generation,
            identity: before.identity.clone(),
            policy: before.policy.clone(),
            limits: access.limits_with(&catalog, access.limits()),
            guards: access.guards_with(&catalog, before.policy.scan),
            access,
            catalog,
        }));
        self
    }

    /// Carries out one call: every door, every source, no way around.
    ///
    /// Dropping the future cancels the call; the record is written all the same.
    pub async fn call(&self, call: &Call<'_>) -> Outcome {
        let snapshot = self.snapshot.load_full();
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
        let _permit = stage::limit(snapshot, &principal, call, &mut recorder.standing)?;
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
        stage::outgoing(snapshot, &principal, reply.size());
        Ok(reply)
    }

    /// Who is behind a credential. What comes of it may be used as [`Credential::Proven`] for the same message,
    /// so that a credential is checked once.
    pub fn authenticate(&self, credential: Credential<'_>) -> Result<Principal, CallError> {
        self.snapshot.load().access.principal(credential)
    }

    /// Whether somebody who was let in before still would be: the tenant is there and not suspended, the key not revoked,
    /// the token or certificate not at its end. For streams that stay open.
    pub fn still_admits(&self, principal: &Principal) -> bool {
        self.snapshot.load().access.still(principal).is_ok()
    }

    /// Whether somebody may read a resource by the rules of this moment, so that it may be told of its changes.
    pub fn may_read(&self, principal: &Principal, uri: &str) -> bool {
        let snapshot = self.snapshot.load();
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

    /// The current snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// What a caller may see in lists.
    pub fn view(&self, credential: Credential<'_>) -> Result<View, CallError> {
        let snapshot = self.snapshot();
        let principal = snapshot.access.principal(credential)?;
        Ok(View { snapshot, principal })
    }

    /// Puts a source's listing in place of its last one, or adds the source. Callers are told
    /// only of lists that really changed.
    pub fn publish(&self, listing: Listing) {
        let listing = Arc::new(listing);
        let mut registry = lock(&self.registry);
        let place = registry
            .parts
            .iter()
            .position(|part| part.listing.name == listing.name);
        let before = place.and_then(|place| registry.parts.get(place));
        let vetting = registry.vetting.as_deref();
        let compiled = Arc::new(catalog::compile(listing, before.map(Arc::as_ref), vetting, true));
        match place.and_then(|place| registry.parts.get_mut(place)) {
            Some(place) => *place = compiled,
            None => registry.parts.push(compiled),
        }
        self.rebuild(&registry);
    }

    /// Vets the definitions of all foreign sources from now on, those that are published already among them.
    pub fn set_vetting(&self, vetting: Option<Arc<dyn Vetting>>) {
        let mut registry = lock(&self.registry);
        registry.vetting = vetting;
        let parts = registry.parts.iter().map(|part| {
            let listing = Arc::clone(&part.listing);
            let vetting = registry.vetting.as_deref();
            Arc::new(catalog::compile(listing, Some(part), vetting, false))
        });
        registry.parts = parts.collect();
        self.rebuild(&registry);
    }

    /// Takes a source out.
    pub fn withdraw(&self, name: &str) {
        let mut registry = lock(&self.registry);
        registry.parts.retain(|p| &*p.listing.name != name);
        self.rebuild(&registry);
    }

    /// Puts other tenants, credentials, limits and rules in place. Calls that run finish under the old ones; every call
    /// from now on, also of an open session, is held to the new ones. What was used of a rate or quota stays used, and
    /// running calls stay counted.
    pub fn set_access(&self, settings: AccessSettings) {
        let registry = lock(&self.registry);
        let before = self.snapshot.load_full();
        let access = before
            .access
            .succeeded_by(settings, &before.catalog, &before.limits);
        let change = before.access.seen_anew(&access, &before.catalog);
        let next = Snapshot {
            generation: before.generation + 1,
            identity: before.identity.clone(),
            policy: before.policy.clone(),
            limits: Arc::clone(access.limits()),
            guards: access.guards_with(&before.catalog, before.policy.scan),
            access: Arc::new(access),
            catalog: Catalog::merge(&registry.parts),
        };
        self.snapshot.store(Arc::new(next));
        self.emit(Event::AccessChanged(Arc::new(change)));
    }

    fn rebuild(&self, registry: &Registry) {
        let before = self.snapshot.load();
        let catalog = Catalog::merge(&registry.parts);
        let next = Snapshot {
            generation: before.generation + 1,
            identity: before.identity.clone(),
            policy: before.policy.clone(),
            limits: before.access.limits_with(&catalog, &before.limits),
            guards: before.access.guards_with(&catalog, before.policy.scan),
            access: Arc::clone(&before.access),
            catalog,
        };
        let (old, new) = (before.catalog.fingerprint(), next.catalog.fingerprint());
        let next = Arc::new(next);
        self.snapshot.store(Arc::clone(&next));
        lock(&self.watches).follow(&next.catalog);
        if old.tools != new.tools {
            self.emit(Event::ToolsChanged);
        }
        if old.resources != new.resources {
            self.emit(Event::ResourcesChanged);
        }
        if old.prompts != new.prompts {
            self.emit(Event::PromptsChanged);
        }
    }

    /// Tells listeners that a resource of this source has new contents. `uri`: the source's own.
    pub fn resource_updated(&self, source: &str, uri: &str) {
        let snapshot = self.snapshot.load();
        let found = snapshot.catalog.resource(uri);
        let is_other = found.is_some_and(|(listing, own)| &*listing.name != source || own != uri);
        if !is_other {
            self.emit(Event::ResourceUpdated { uri: uri.into() });
        }
        let alias = catalog::alias(source, uri);
        if lock(&self.watches).has(&alias) {
            self.emit(Event::ResourceUpdated { uri: alias.into() });
        }
    }

    /// Tells every listener of a change. What the policy does not let out of results is taken out of tasks as well; a
    /// task that cannot be searched for it, or is larger than results may be, is not told of: its owner may ask.
    pub fn emit(&self, event: Event) {
        let Some(event) = self.outgoing(event) else { return };
        // An error only says that nobody listens.
        let _ = self.events.send(event);
    }

    /// Changes from now on. A listener that falls behind gets `Lagged` and should take it as "all
    /// lists changed".
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Watches a resource until the guard is dropped.
    pub fn watch(self: &Arc<Self>, uri: &str) -> Watch {
        let uri: Arc<str> = uri.into();
        lock(&self.watches).add(&uri, &self.snapshot.load().catalog);
        Watch {
            gateway: Arc::clone(self),
            uri,
        }
    }

    /// Follows a task of this principal until the guard is dropped. `None` if there is no such task, as far as its source
    /// can tell.
    pub fn watch_task(&self, owner: &Principal, id: &str) -> Option<TaskWatch> {
        let snapshot = self.snapshot.load();
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
        let snapshot = self.snapshot.load();
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

    /// True once [`Self::drain`] began.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
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

/// The catalog as one caller may see it.
#[derive(Clone, Debug)]
pub struct View {
    snapshot: Arc<Snapshot>,
    principal: Principal,
}

impl View {
    /// The snapshot that the view is of.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Whose view it is.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The tools that the principal may see, in list order.
    pub fn tools(&self) -> Cow<'_, [Arc<ToolEntry>]> {
        self.seen(Kind::Tool, self.snapshot.catalog.tools(), |tool| &tool.name)
    }

    /// The resources that the principal may see, in list order.
    pub fn resources(&self) -> Cow<'_, [Arc<ResourceEntry>]> {
        self.seen(Kind::Resource, self.snapshot.catalog.resources(), |resource| {
            &resource.local_uri
        })
    }

    /// The resource templates that the principal may see, in list order.
    pub fn templates(&self) -> Cow<'_, [Arc<TemplateEntry>]> {
        self.seen(Kind::Resource, self.snapshot.catalog.templates(), |template| {
            template.local.as_str()
        })
    }

    /// The prompts that the principal may see, in list order.
    pub fn prompts(&self) -> Cow<'_, [Arc<PromptEntry>]> {
        self.seen(Kind::Prompt, self.snapshot.catalog.prompts(), |prompt| {
            &prompt.name
        })
    }

    /// Who reads this URI, if the principal may.
    pub fn resource_source<'a>(&'a self, uri: &'a str) -> Option<&'a Arc<Listing>> {
        let (found, own) = self.snapshot.catalog.resource(uri)?;
        self.principal
            .grants()
            .allows(Kind::Resource, &own)
            .then_some(found)
    }

    fn seen<'a, T>(&self, kind: Kind, all: &'a [Arc<T>], name: impl Fn(&T) -> &str) -> Cow<'a, [Arc<T>]> {
        let grants = self.principal.grants();
        if grants.acl().is_none() || all.iter().all(|item| grants.allows(kind, name(item))) {
            return Cow::Borrowed(all);
        }
        let seen = all.iter().filter(|item| grants.allows(kind, name(item)));
        Cow::Owned(seen.cloned().collect())
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
        lock(&self.gateway.watches).remove(&self.uri);
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

/// A lock whose holder panicked still guards consistent data here: every change is one statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
