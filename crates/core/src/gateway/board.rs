//! The snapshot of the moment, what it is made of, and how changes get into it.
//!
//! Merging all sources costs time in proportion to all that they list, and is needed for every change of any of them. So a
//! source that publishes while nothing else happens is merged at once, and those that publish soon after each other
//! are merged together: [`Board::publish`] then only notes that something is pending. Whoever looks at the lists, or calls a tool
//! that is concerned, has it merged first, so that nobody sees less than what was published.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::broadcast;
use tokio::time::Instant;

use super::watches::Watches;
use crate::access::{Access, AccessSettings};
use crate::call::{Call, Operation};
use crate::catalog::{self, Catalog, Compiled, Vetting};
use crate::event::Event;
use crate::lists::ListTexts;
use crate::snapshot::{Identity, Policy, Snapshot};
use crate::source::Listing;

/// How many events a slow listener may fall behind before it is told to look at everything anew.
const EVENT_BACKLOG: usize = 1024;
/// Least time from one merge to the next that nobody waits for.
const PAUSE: Duration = Duration::from_millis(10);
/// The pause is this many times what the last merge took, so that merging takes a small part of one core.
const PAUSE_FACTOR: u32 = 20;
/// But never longer than this.
const PAUSE_MAX: Duration = Duration::from_millis(250);

pub(super) struct Board {
    snapshot: ArcSwap<Snapshot>,
    /// Only changes of the catalog lock it.
    pub(super) registry: Mutex<Registry>,
    /// Something was published that the snapshot does not have yet. Written under the lock of the registry.
    pub(super) pending: AtomicBool,
    events: broadcast::Sender<Event>,
    pub(super) watches: Mutex<Watches>,
}

#[derive(Default)]
pub(super) struct Registry {
    /// In configured order.
    pub(super) parts: Vec<Arc<Compiled>>,
    pub(super) vetting: Option<Arc<dyn Vetting>>,
    /// What is published before this is merged later.
    quiet_until: Option<Instant>,
}

impl Board {
    pub(super) fn new(identity: Identity, policy: Policy) -> Self {
        let access = Arc::new(Access::default());
        let scan = policy.scan;
        let snapshot = Snapshot {
            generation: 0,
            identity,
            policy,
            catalog: Catalog::default(),
            limits: Arc::clone(access.limits()),
            guards: access.guards_with(&Catalog::default(), scan),
            access,
            lists: ListTexts::default(),
        };
        Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            registry: Mutex::default(),
            pending: AtomicBool::new(false),
            events: broadcast::channel(EVENT_BACKLOG).0,
            watches: Mutex::default(),
        }
    }

    /// With another access, before anything is published or called.
    pub(super) fn begin_with(&self, access: Access) {
        let before = self.snapshot.load();
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
            lists: ListTexts::default(),
        }));
    }

    /// The snapshot, which what was published in the last moments may be missing from. Access is always up to date.
    pub(super) fn latest(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// The snapshot with everything that was published.
    pub(super) fn current(&self) -> Arc<Snapshot> {
        self.merge_pending();
        self.snapshot.load_full()
    }

    /// The snapshot with everything that was published and concerns a tool.
    pub(super) fn for_tool<'n>(&self, name: impl FnOnce() -> Option<Cow<'n, str>>) -> Arc<Snapshot> {
        if self.pending.load(Ordering::Acquire) {
            let known = name().is_some_and(|name| {
                let snapshot = self.snapshot.load();
                let tool = snapshot.catalog.tool(&name);
                tool.is_some_and(|tool| tool.source.is_current())
            });
            if !known {
                self.merge_pending();
            }
        }
        self.snapshot.load_full()
    }

    pub(super) fn for_call(&self, call: &Call<'_>) -> Arc<Snapshot> {
        self.for_tool(|| (call.operation == Operation::CallTool).then_some(Cow::Borrowed(call.name)))
    }

    fn merge_pending(&self) {
        if self.pending.load(Ordering::Acquire) {
            let mut registry = lock(&self.registry);
            // Somebody else may have been quicker.
            if self.pending.load(Ordering::Acquire) {
                self.rebuild(&mut registry);
            }
        }
    }

    pub(super) fn publish(self: &Arc<Self>, mut listing: Listing) {
        listing.superseded = Arc::default();
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
            Some(place) => {
                place.listing.supersede();
                *place = compiled;
            }
            None => registry.parts.push(compiled),
        }
        self.changed(&mut registry);
    }

    pub(super) fn set_vetting(&self, vetting: Option<Arc<dyn Vetting>>) {
        let mut registry = lock(&self.registry);
        registry.vetting = vetting;
        let parts = registry.parts.iter().map(|part| {
            let listing = Arc::clone(&part.listing);
            let vetting = registry.vetting.as_deref();
            Arc::new(catalog::compile(listing, Some(part), vetting, false))
        });
        registry.parts = parts.collect();
        self.rebuild(&mut registry);
    }

    pub(super) fn withdraw(&self, name: &str) {
        let mut registry = lock(&self.registry);
        registry.parts.retain(|part| {
            let stays = &*part.listing.name != name;
            if !stays {
                part.listing.supersede();
            }
            stays
        });
        self.rebuild(&mut registry);
    }

    pub(super) fn set_access(&self, settings: AccessSettings) {
        let mut registry = lock(&self.registry);
        if self.pending.load(Ordering::Acquire) {
            self.rebuild(&mut registry);
        }
        let before = self.snapshot.load_full();
        let (identity, policy) = (before.identity.clone(), before.policy.clone());
        self.succeed(&registry, identity, policy, settings);
    }

    /// After a source published: merges now, or soon, together with what else comes until then.
    fn changed(self: &Arc<Self>, registry: &mut Registry) {
        if self.pending.load(Ordering::Acquire) {
            return;
        }
        let now = Instant::now();
        let quiet_until = registry.quiet_until.filter(|until| *until > now);
        match (quiet_until, tokio::runtime::Handle::try_current()) {
            (Some(until), Ok(runtime)) => {
                self.pending.store(true, Ordering::Release);
                let board = Arc::downgrade(self);
                runtime.spawn(async move {
                    tokio::time::sleep_until(until).await;
                    if let Some(board) = board.upgrade() {
                        board.merge_pending();
                    }
                });
            }
            _ => self.rebuild(registry),
        }
    }

    pub(super) fn rebuild(&self, registry: &mut Registry) {
        let begin = Instant::now();
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
            lists: ListTexts::default(),
        };
        let (old, new) = (before.catalog.fingerprint(), next.catalog.fingerprint());
        let next = Arc::new(next);
        self.snapshot.store(Arc::clone(&next));
        // After the snapshot: who sees that nothing is pending finds it.
        self.pending.store(false, Ordering::Release);
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
        let end = Instant::now();
        let pause = (end - begin) * PAUSE_FACTOR;
        registry.quiet_until = Some(end + pause.clamp(PAUSE, PAUSE_MAX));
    }

    /// Puts a snapshot in place. Under the lock of the registry.
    pub(super) fn replace(&self, next: Arc<Snapshot>) {
        self.snapshot.store(next);
    }

    pub(super) fn emit(&self, event: Event) {
        // An error only says that nobody listens.
        let _ = self.events.send(event);
    }

    pub(super) fn listen(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    pub(super) fn watch(&self, uri: &Arc<str>) {
        self.merge_pending();
        // The snapshot under the lock: a later one is followed after it.
        let mut watches = lock(&self.watches);
        watches.add(uri, &self.snapshot.load().catalog);
    }

    pub(super) fn is_watched(&self, uri: &str) -> bool {
        lock(&self.watches).has(uri)
    }

    pub(super) fn unwatch(&self, uri: &Arc<str>) {
        lock(&self.watches).remove(uri);
    }
}

/// A lock whose holder panicked still guards consistent data here: every change is one statement.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
