//! Another configuration for a running gateway, in one step.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ferromcp_tenancy::Kind;

use super::board::{Board, Registry, lock};
use crate::access::{Access, AccessSettings, Grants, LOCAL};
use crate::catalog::{self, Catalog, Vetting};
use crate::event::{Event, Lists, ViewChange};
use crate::lists::ListTexts;
use crate::snapshot::{Identity, Policy, Snapshot};
use crate::source::Listing;

/// A source of the next configuration.
#[derive(Debug)]
pub enum Slot {
    /// The source of this name goes on as it is.
    Keep(Arc<str>),
    /// This listing takes the place of the source of its name, or is new.
    Put(Box<Listing>),
}

/// Everything that a configuration says of a gateway.
pub struct Reconfiguration {
    /// Who the server says it is.
    pub identity: Identity,
    /// Limits of the pipeline.
    pub policy: Policy,
    /// Tenants, credentials, limits and rules.
    pub access: AccessSettings,
    /// Vets the definitions of foreign sources.
    pub vetting: Option<Arc<dyn Vetting>>,
    /// All sources in the order of the configuration; what is not here is gone.
    pub sources: Vec<Slot>,
}

impl std::fmt::Debug for Reconfiguration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reconfiguration")
            .field("sources", &self.sources)
            .finish_non_exhaustive()
    }
}

impl Board {
    /// One snapshot is followed by one other: no call sees a part of each. Calls that run finish under the old one.
    pub(super) fn reconfigure(&self, next: Reconfiguration) {
        let mut registry = lock(&self.registry);
        if self.pending.load(Ordering::Acquire) {
            self.rebuild(&mut registry);
        }
        let vetting = next.vetting;
        let mut parts = Vec::with_capacity(next.sources.len());
        for slot in next.sources {
            let name = match &slot {
                Slot::Keep(name) => Arc::clone(name),
                Slot::Put(listing) => Arc::clone(&listing.name),
            };
            let before = registry.parts.iter().find(|part| part.listing.name == name);
            let listing = match slot {
                Slot::Put(mut listing) => {
                    listing.superseded = Arc::default();
                    Arc::from(listing)
                }
                Slot::Keep(_) => match before {
                    Some(before) => Arc::clone(&before.listing),
                    None => continue,
                },
            };
            // The vetting may be another, so what it said before does not count.
            let before = before.map(Arc::as_ref);
            parts.push(Arc::new(catalog::compile(
                listing,
                before,
                vetting.as_deref(),
                false,
            )));
        }
        for old in &registry.parts {
            if !parts.iter().any(|part| Arc::ptr_eq(&part.listing, &old.listing)) {
                old.listing.supersede();
            }
        }
        registry.parts = parts;
        registry.vetting = vetting;
        let snapshot = self.succeed(&registry, next.identity, next.policy, next.access);
        lock(&self.watches).follow(&snapshot.catalog);
    }

    /// Puts a snapshot in place with another access, over what the registry holds, and tells whose lists look different.
    pub(super) fn succeed(
        &self,
        registry: &Registry,
        identity: Identity,
        policy: Policy,
        settings: AccessSettings,
    ) -> Arc<Snapshot> {
        let before = self.latest();
        let catalog = Catalog::merge(&registry.parts);
        let access = before.access.succeeded_by(settings, &catalog, &before.limits);
        let change = seen_anew((&before.access, &before.catalog), (&access, &catalog));
        let next = Arc::new(Snapshot {
            generation: before.generation + 1,
            identity,
            limits: Arc::clone(access.limits()),
            guards: access.guards_with(&catalog, policy.scan),
            policy,
            access: Arc::new(access),
            catalog,
            lists: ListTexts::default(),
        });
        self.replace(Arc::clone(&next));
        self.emit(Event::AccessChanged(Arc::new(change)));
        next
    }
}

/// What each tenant sees differently: other entries, or others of the same that it may see. Tenants that were not there
/// before see nothing yet.
fn seen_anew(old: (&Access, &Catalog), new: (&Access, &Catalog)) -> ViewChange {
    let differing = Differing::between(old.1, new.1);
    let mut changed = HashMap::new();
    let mut note = |id: &Arc<str>, before: &Grants, after: &Grants| {
        let mut lists = differing.seen(before, after);
        if !before.is_like(after) {
            lists = lists.or(Lists::changed(before, after, new.1));
        }
        if lists.any() {
            changed.insert(Arc::clone(id), lists);
        }
    };
    for (id, before, after) in old.0.tenants_of_both(new.0) {
        note(id, before, after);
    }
    note(&LOCAL.into(), old.0.local_grants(), new.0.local_grants());
    ViewChange { changed }
}

/// Names whose entries are not the same in two catalogs.
struct Differing<'c> {
    tools: Vec<&'c str>,
    resources: Vec<&'c str>,
    prompts: Vec<&'c str>,
}

impl<'c> Differing<'c> {
    fn between(old: &'c Catalog, new: &'c Catalog) -> Self {
        let (was, is) = (old.fingerprint(), new.fingerprint());
        let mut found = Self {
            tools: Vec::new(),
            resources: Vec::new(),
            prompts: Vec::new(),
        };
        if was.tools != is.tools {
            let of = |c: &'c Catalog| {
                c.tools()
                    .iter()
                    .map(|t| (&*t.name, &*t.definition, t.source.state.as_str()))
            };
            found.tools = unlike(of(old), of(new));
        }
        if was.resources != is.resources {
            let of = |c: &'c Catalog| {
                let listed = c
                    .resources()
                    .iter()
                    .map(|r| (&*r.local_uri, &*r.definition, "resource"));
                listed.chain(
                    c.templates()
                        .iter()
                        .map(|t| (t.local.as_str(), &*t.definition, "template")),
                )
            };
            found.resources = unlike(of(old), of(new));
        }
        if was.prompts != is.prompts {
            let of = |c: &'c Catalog| c.prompts().iter().map(|p| (&*p.name, &*p.definition, "prompt"));
            found.prompts = unlike(of(old), of(new));
        }
        found
    }

    /// The lists in which a tenant sees one of them, before or after.
    fn seen(&self, before: &Grants, after: &Grants) -> Lists {
        let any = |kind: Kind, names: &[&str]| {
            names
                .iter()
                .any(|name| before.allows(kind, name) || after.allows(kind, name))
        };
        Lists {
            tools: any(Kind::Tool, &self.tools),
            resources: any(Kind::Resource, &self.resources),
            prompts: any(Kind::Prompt, &self.prompts),
        }
    }
}

/// The names of what is only on one side.
fn unlike<'c>(
    old: impl Iterator<Item = (&'c str, &'c str, &'c str)>,
    new: impl Iterator<Item = (&'c str, &'c str, &'c str)>,
) -> Vec<&'c str> {
    let (old, new): (HashSet<_>, HashSet<_>) = (old.collect(), new.collect());
    old.symmetric_difference(&new).map(|(name, ..)| *name).collect()
}
